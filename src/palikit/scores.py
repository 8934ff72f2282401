"""What a validation found: figures, which of them decides, and a page of pictures. No torch."""

from dataclasses import dataclass
from pathlib import Path

from palikit.errors import InputError


@dataclass(frozen=True)
class Scores:
    """The figures of one validation.

    Attributes:
        figures: names and values, in the order they are shown.
        main: the name of the figure that decides which model is best.
        higher_is_better: whether the larger value of `main` is the better one.
        page: an HTML page of examples, where one was written.
    """

    figures: tuple[tuple[str, float], ...]
    main: str
    higher_is_better: bool = True
    page: Path | None = None

    def __post_init__(self) -> None:
        self.figure(self.main)

    def figure(self, name: str) -> float:
        """The value of one figure.

        Raises:
            InputError: there is none of that name.
        """
        for known, value in self.figures:
            if known == name:
                return value
        names = ", ".join(known for known, _ in self.figures) or "none"
        raise InputError(f"validation has no figure {name!r}: its figures are {names}")
