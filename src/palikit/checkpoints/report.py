"""What a checkpoint has too little, too much, or in the wrong shape, told all at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]

_SHOWN = 10
"""Names shown of each kind; a checkpoint of another model can have hundreds."""


@dataclass(frozen=True)
class Mismatch:
    """How stored weights differ from a model's.

    Attributes:
        missing: names the model needs and the files lack.
        unexpected: names the files have and the model does not know, as the files spell them.
        misshaped: names of both with the stored and the expected shape.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshaped: tuple[tuple[str, Shape, Shape], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshaped)

    def __str__(self) -> str:
        shapes = [f"{name} {list(got)} for {list(want)}" for name, got, want in self.misshaped]
        kinds = (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of another shape", shapes),
        )
        return "; ".join(
            f"{len(names)} {kind}: {_shortened(names)}" for kind, names in kinds if names
        )


def compare(
    stored: Mapping[str, Shape], expected: Mapping[str, Shape], unexpected: Iterable[str] = ()
) -> Mismatch:
    """Stored against expected shapes, by name; `unexpected` are names already known as such."""
    return Mismatch(
        missing=tuple(name for name in expected if name not in stored),
        unexpected=(*unexpected, *(name for name in stored if name not in expected)),
        misshaped=tuple(
            (name, shape, expected[name])
            for name, shape in stored.items()
            if name in expected and shape != expected[name]
        ),
    )


def _shortened(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
