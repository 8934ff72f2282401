"""Printed capitals and digits, in a typeface of strokes drawn here and in the one Pillow carries.

The stroke letters stand on a grid of 5 x 7 points, x 0 .. 4 and y 0 .. 6; each stroke is a chain of
points. Thickness, slant, width and the look of line ends vary, which makes many faces of one.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

_STROKES = {
    "A": "06 20 46/14 34",
    "B": "06 00 30 41 42 33 03/33 44 45 36 06",
    "C": "41 30 10 01 05 16 36 45",
    "D": "06 00 20 42 44 26 06",
    "E": "40 00 06 46/03 33",
    "F": "40 00 06/03 33",
    "G": "41 30 10 01 05 16 36 45 43 23",
    "H": "00 06/40 46/03 43",
    "I": "20 26/10 30/16 36",
    "J": "40 45 36 16 05",
    "K": "00 06/40 03 46",
    "L": "00 06 46",
    "M": "06 00 23 40 46",
    "N": "06 00 46 40",
    "O": "10 30 41 45 36 16 05 01 10",
    "P": "06 00 30 41 42 33 03",
    "Q": "10 30 41 45 36 16 05 01 10/24 46",
    "R": "06 00 30 41 42 33 03/23 46",
    "S": "41 30 10 01 02 13 33 44 45 36 16 05",
    "T": "00 40/20 26",
    "U": "00 05 16 36 45 40",
    "V": "00 26 40",
    "W": "00 16 22 36 40",
    "X": "00 46/40 06",
    "Y": "00 23 40/23 26",
    "Z": "00 40 06 46",
    "0": "10 30 41 45 36 16 05 01 10/14 32",
    "1": "11 20 26/16 36",
    "2": "01 10 30 41 42 06 46",
    "3": "00 40 23 33 44 45 36 16 05",
    "4": "36 30 04 44",
    "5": "40 00 03 33 44 45 36 16 05",
    "6": "40 20 02 05 16 36 45 44 33 03",
    "7": "00 40 16",
    "8": "10 30 41 42 33 13 02 01 10/13 04 05 16 36 45 44 33",
    "9": "43 13 02 01 10 30 41 44 26 06",
}  # fmt: skip

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"

Face = Literal["stroke", "printed"]


@dataclass(frozen=True)
class Lettering:
    """How a text is printed.

    Attributes:
        face: strokes drawn here, or the typeface that Pillow carries.
        height: of a capital, in pixels.
        weight: thickness of a stroke, as a share of the height.
        slant: how far the top leans to the right, as a share of the height.
        width: of the stroke letters, as a share of their height.
        spacing: between letters, as a share of the height.
    """

    face: Face
    height: int
    weight: float = 0.14
    slant: float = 0.0
    width: float = 0.62
    spacing: float = 0.24


@dataclass(frozen=True)
class Printed:
    """A text as ink: uint8[h, w], 0 none, 255 full; and the columns of each letter."""

    ink: npt.NDArray[np.uint8]
    columns: tuple[tuple[int, int], ...]


def print_text(text: str, how: Lettering) -> Printed:
    """Print capitals and digits on one line."""
    letters = [_letter(letter, how) for letter in text]
    gap = max(1, round(how.spacing * how.height * (0.5 if how.face == "printed" else 1.0)))
    ink = np.zeros((letters[0].shape[0], sum(x.shape[1] + gap for x in letters) - gap), np.uint8)
    columns, left = [], 0
    for letter in letters:
        right = left + letter.shape[1]
        ink[:, left:right] = letter
        columns.append((left, right))
        left = right + gap
    return Printed(ink, tuple(columns))


@lru_cache(maxsize=4096)
def _letter(letter: str, how: Lettering) -> npt.NDArray[np.uint8]:
    drawn = _stroke_letter(letter, how) if how.face == "stroke" else _printed_letter(letter, how)
    if how.slant:
        drawn = _slanted(drawn, how.slant)
    pixels = np.asarray(drawn)
    used = np.flatnonzero(pixels.max(axis=0) > 40)
    return pixels[:, used[0] : used[-1] + 1] if used.size else pixels


def _stroke_letter(letter: str, how: Lettering) -> Image.Image:
    scale = 4  # drawn larger and reduced: Pillow's lines are not antialiased
    height, thick = how.height * scale, max(scale, round(how.weight * how.height * scale))
    margin = thick // 2 + 1
    step_x, step_y = how.width * height / 4, (height - thick) / 6
    size = (round(4 * step_x) + 2 * margin, height + 2)
    canvas = Image.new("L", size)
    draw = ImageDraw.Draw(canvas)
    for stroke in _STROKES[letter].split("/"):
        points = [
            (margin + int(p[0]) * step_x, margin + int(p[1]) * step_y) for p in stroke.split()
        ]
        draw.line(points, fill=255, width=thick, joint="curve")
        for x, y in points:
            draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=255)
    reduced = (max(1, round(size[0] / scale)), how.height)
    return canvas.resize(reduced, Image.Resampling.BOX)


def _printed_letter(letter: str, how: Lettering) -> Image.Image:
    font = _font(round(how.height * 1.38))  # capitals of this face are 0.72 of its size
    bold = 1 if how.weight > 0.15 and how.height >= 12 else 0
    canvas = Image.new("L", (2 * how.height + 4, how.height))
    ImageDraw.Draw(canvas).text(
        (how.height / 2, how.height), letter, fill=255, font=font, anchor="ls", stroke_width=bold
    )
    return canvas


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this build of Pillow has no FreeType: install Pillow from its wheels")
    return font


def _slanted(drawn: Image.Image, slant: float) -> Image.Image:
    extra = round(abs(slant) * drawn.height)
    shift = -extra if slant > 0 else 0
    return drawn.transform(
        (drawn.width + extra, drawn.height),
        Image.Transform.AFFINE,
        (1, slant, shift, 0, 1, 0),
        Image.Resampling.BILINEAR,
    )
