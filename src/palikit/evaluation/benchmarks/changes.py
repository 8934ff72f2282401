"""What protocols do to pictures before the model sees them."""

from collections.abc import Sequence
from functools import partial

from PIL import Image, ImageDraw

from palikit.evaluation.benchmarks.row import Change
from palikit.fonts import fitting, font_for
from palikit.results import Box

_RED = (255, 0, 0)
_WHITE = (255, 255, 255)
_BLACK = (0, 0, 0)


def padded(picture: Image.Image, side: int) -> Image.Image:
    """White to the right and below, up to a square; tables, molecules and sheet music.

    The report of PaliGemma 2 says that they are padded, not on which side.
    """
    del side  # the same at every resolution
    edge = max(picture.size)
    square = Image.new("RGB", (edge, edge), _WHITE)
    square.paste(picture, (0, 0))
    return square


def marked(box: Box, size: tuple[float, float] | None = None) -> Change:
    """A red frame of one pixel, drawn at the model's resolution: the widget of WidgetCap.

    Args:
        box: around the widget.
        size: width and height that the box is given in; those of the picture where None.
    """
    return partial(_mark, box=box, size=size)


def covered(labels: Sequence[tuple[Box, str]]) -> Change:
    """Texts of a diagram painted over in white, each with a letter in its place: AI2D.

    big_vision writes the letters in DM Sans; here they are in the font at hand.
    """
    return partial(_cover, labels=tuple(labels))


def _mark(
    picture: Image.Image, side: int, *, box: Box, size: tuple[float, float] | None
) -> Image.Image:
    width, height = size or picture.size
    small = picture.resize((side, side), Image.Resampling.BICUBIC)
    across, down = side / width, side / height
    corners = [box.x1 * across, box.y1 * down, box.x2 * across, box.y2 * down]
    edges = [min(max(round(value), 0), side - 1) for value in corners]
    if edges[0] <= edges[2] and edges[1] <= edges[3]:
        ImageDraw.Draw(small).rectangle(edges, outline=_RED, width=1)
    return small


def _cover(picture: Image.Image, side: int, *, labels: tuple[tuple[Box, str], ...]) -> Image.Image:
    del side  # the same at every resolution
    drawing = ImageDraw.Draw(covered_picture := picture.copy())
    for box, letter in labels:
        drawing.rectangle(box.to_list(), fill=_WHITE)
        height = max(int(box.height), 6)
        font = font_for(letter, height)
        while height > 6 and fitting(letter, font, int(box.width)) < len(letter):
            height -= 1
            font = font_for(letter, height)
        middle = ((box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2)
        drawing.text(middle, letter, fill=_BLACK, font=font, anchor="mm")
    return covered_picture
