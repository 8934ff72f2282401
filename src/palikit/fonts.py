"""A font that can show a text, and how much of a text fits a width.

The font that comes with Pillow looks the same everywhere and knows little beyond unaccented Latin.
For other texts the first font of `SYSTEM_FONTS` that is installed and has all characters is taken;
where there is none, the one that lacks the fewest, and what it lacks shows as boxes.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Set
from functools import lru_cache
from typing import cast

from PIL.ImageFont import FreeTypeFont, load_default, truetype

SYSTEM_FONTS = (
    "DejaVuSans.ttf",  # Latin, Greek, Cyrillic, Arabic, Hebrew and more; on most Linux systems
    "Arial Unicode.ttf",  # macOS: nearly everything
    "arial.ttf",  # Windows: Latin, Greek, Cyrillic, Arabic, Hebrew
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "wqy-microhei.ttc",
    "msyh.ttc",  # Windows: Chinese, Japanese
    "malgun.ttf",  # Windows: Korean
    "Nirmala.ttf",  # Windows: scripts of India; .ttc from Windows 11 on
    "Nirmala.ttc",
    "LeelawUI.ttf",  # Windows: Thai, Lao, Khmer
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
)
"""File names that are looked for in the system's font folders, in this order."""

_PROBED = 16
"""Size in pixels that fonts are looked into at."""


def font_for(text: str, size: int) -> FreeTypeFont:
    """The font of `size` pixels that shows the most of a text."""
    characters = frozenset(c for c in text if c.isprintable() and not c.isspace())
    best = _default_font(size)
    lacking = _lacking(best, characters)
    for name in SYSTEM_FONTS:
        if not lacking:
            break
        font = _system_font(name, size)
        if font is not None and (count := _lacking(font, characters)) < lacking:
            best, lacking = font, count
    return best


def lacking(text: str) -> str:
    """The characters of a text that its font, see `font_for`, has no glyph for."""
    font = font_for(text, _PROBED)
    return "".join(c for c in dict.fromkeys(text) if not c.isspace() and _lacking(font, {c}))


def printable(text: str) -> str:
    """One line: what has no glyph, from tabs to lone surrogates, becomes a space."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def fitting(text: str, font: FreeTypeFont, room: int) -> int:
    """How many characters from the start take no more than `room` pixels."""
    lengths = range(len(text) + 1)
    return max(
        0, bisect_right(lengths, room, key=lambda n: math.ceil(font.getlength(text[:n]))) - 1
    )


def wrapped(text: str, font: FreeTypeFont, room: int) -> Iterator[str]:
    """Lines no wider than `room` pixels, broken at spaces, or within what has none."""
    while text:
        count = max(1, fitting(text, font, room))
        if count < len(text):
            space = text.rfind(" ", 0, count + 1)
            count = space if space > 0 else count
        yield text[:count]
        text = text[count:].lstrip()


def _lacking(font: FreeTypeFont, characters: Set[str]) -> int:
    """How many characters the font has no glyph for: they look like one that cannot exist."""
    unknown = font.getmask("\U0010ffff")
    masks = (font.getmask(character) for character in characters)
    return sum(mask.size == unknown.size and bytes(mask) == bytes(unknown) for mask in masks)


@lru_cache(maxsize=64)
def _system_font(name: str, size: int) -> FreeTypeFont | None:
    try:
        return truetype(name, size)
    except OSError:
        return None


@lru_cache(maxsize=16)
def _default_font(size: int) -> FreeTypeFont:
    return cast("FreeTypeFont", load_default(size))  # always of this kind where a size is given
