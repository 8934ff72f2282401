"""The pictures that are asked about: real ones where there are any, drawn ones otherwise."""

import random
from pathlib import Path

from PIL import Image, ImageDraw

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "photos"

DRAWN = 50
"""As many as there are real ones."""

_ENDINGS = (".jpg", ".jpeg", ".png")


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder, in the order of their names."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in _ENDINGS)


def open_pictures(folder: Path) -> list[Image.Image]:
    """All pictures of a folder, decoded, in RGB."""
    pictures = []
    for file in picture_files(folder):
        with Image.open(file) as picture:
            pictures.append(picture.convert("RGB"))
    return pictures


def draw_pictures(folder: Path, count: int = DRAWN) -> None:
    """Pictures of 800 x 800 with rectangles in random places, the same ones every time."""
    chance = random.Random(0)
    for number in range(count):
        picture = Image.new("RGB", (800, 800), _color(chance))
        draw = ImageDraw.Draw(picture)
        for _ in range(30):
            x, y = chance.randrange(700), chance.randrange(700)
            draw.rectangle((x, y, x + 99, y + 99), _color(chance))
        picture.save(folder / f"{number:03d}.jpg", quality=90)


def _color(chance: random.Random) -> tuple[int, int, int]:
    return chance.randrange(256), chance.randrange(256), chance.randrange(256)
