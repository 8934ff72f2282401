"""The options that answers depend on, and how those of an earlier run are told from this one's."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from palikit.options import GenerationOptions, LoadOptions


@dataclass(frozen=True)
class Settings:
    """What one and the same question can be answered differently with.

    Attributes:
        loading: how the model is loaded; the device is left out of every comparison.
        generation: how text is generated.
        frames: see `open_source`.
        weights: what tells those that are asked from others; None where that is not known.
    """

    loading: LoadOptions
    generation: GenerationOptions
    frames: int | None = None
    weights: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The options by name, in the values that JSON has."""
        own = {"frames": self.frames, "weights": self.weights}
        options = {**asdict(self.loading), **asdict(self.generation), **own}
        return {name: value for name, value in options.items() if name != "device"}

    def differences(self, earlier: Mapping[str, Any]) -> list[str]:
        """What is not as in a record that `to_dict` once wrote: "name: earlier, now this"."""
        now = self.to_dict()
        if "weights" not in earlier:  # a record of before they were in it
            del now["weights"]
        return [
            f"{name}: {earlier.get(name)}, now {value}"
            for name, value in now.items()
            if earlier.get(name) != value
        ]

    def to_json(self) -> str:
        """The record as a file holds it."""
        return json.dumps(self.to_dict(), indent=2) + "\n"


def read_settings(file: Path) -> Mapping[str, Any] | None:
    """The record of a file; None where there is no such file or it holds something else.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        record = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return record if isinstance(record, Mapping) else None
