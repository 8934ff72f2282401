"""Small files as a benchmark's distributor ships them."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

SIZE = (8, 6)
"""Width and height of the pictures, in pixels."""


def picture(folder: Path, name: str, size: tuple[int, int] = SIZE) -> None:
    """A grey picture."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (120, 120, 120)).save(path)


def film(folder: Path, name: str) -> None:
    """A file that is called like a film; nobody opens it here."""
    text(folder, name, "no film")


def text(folder: Path, name: str, content: str) -> None:
    """A text file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def as_json(folder: Path, name: str, value: Any) -> None:
    """A JSON file."""
    text(folder, name, json.dumps(value))


def as_lines(folder: Path, name: str, values: Sequence[Any]) -> None:
    """A file of JSON lines."""
    text(folder, name, "".join(json.dumps(value) + "\n" for value in values))


def as_csv(folder: Path, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A CSV file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
