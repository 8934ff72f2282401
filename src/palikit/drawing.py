"""Results onto pictures: boxes, outlines and labels on a copy, texts on a strip below it.

Sizes follow the picture's, so that a drawing reads the same at 64 and at 6000 pixels once both are
shown at one size. A label always has the same colour, in every picture and every run.
"""

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw
from PIL.ImageFont import FreeTypeFont

from palikit.errors import InputError
from palikit.fonts import fitting, font_for, lacking, printable, wrapped
from palikit.masks import Mask
from palikit.pictures import load_picture
from palikit.results import Box, Detection, Detections, Result, Segment, Segments

RGB = tuple[int, int, int]
Rectangle = tuple[int, int, int, int]

_PALETTE: tuple[RGB, ...] = (
    # Picked one by one, each as far as possible from those before in OKLab, between lightness 0.5
    # and 0.88 and with a chroma of at least 0.12: seen on dark and on bright ground.
    (225, 30, 45),
    (0, 255, 0),
    (30, 60, 255),
    (0, 135, 15),
    (255, 180, 255),
    (210, 0, 255),
    (225, 165, 0),
    (45, 165, 225),
    (105, 240, 225),
    (135, 75, 150),
    (255, 90, 180),
    (60, 195, 105),
    (180, 135, 255),
    (165, 105, 0),
    (0, 105, 165),
    (210, 225, 0),
)

_TINT = 0.4
"""Opacity of a mask's inside."""

_MIN_STRIP = 320
"""Narrowest strip of text in pixels: some 40 letters a line."""


def draw(
    image: Image.Image,
    result: Result,
    *,
    scores: bool = True,
    boxes: bool = True,
    masks: bool = True,
) -> Image.Image:
    """A result on a copy of its picture.

    Args:
        image: the picture that was asked about; it becomes upright and RGB as `load_picture`
            makes it.
        result: boxes and outlines are drawn onto the picture, texts on a white strip below it.
        scores: whether labels show scores, where known.
        boxes: whether boxes are drawn, and the labels on them.
        masks: whether masks are drawn.

    Returns:
        A new picture in RGB; unchanged pixels where there is nothing to be drawn.

    Raises:
        InputError: the picture is not of the size that the boxes or masks refer to, or damaged.
    """
    canvas = load_picture(image, max_pixels=image.width * image.height)
    if not isinstance(result, Detections | Segments):
        return _with_text_below(canvas, result.text)
    known = [f.mask for f in result.objects if isinstance(f, Segment) and f.mask is not None]
    for width, height in {(result.width, result.height), *((m.width, m.height) for m in known)}:
        if canvas.size != (width, height):
            raise InputError(
                f"the result is in pixels of a picture of {width} x {height}, and this one has "
                f"{canvas.width} x {canvas.height}: give the picture that was asked about"
            )
    found: tuple[Detection | Segment, ...] = result.objects
    objects = sorted(found, key=lambda one: -one.box.width * one.box.height)  # small over large
    if masks:
        _draw_masks(canvas, objects)
    if boxes:
        _draw_boxes(canvas, objects, scores=scores)
    return canvas


def undrawable(result: Result) -> str:
    """Characters of a result that no font on this machine has; a drawing shows them as boxes."""
    if isinstance(result, Detections | Segments):
        texts = [found.label for found in result.objects]
    else:
        texts = result.text.splitlines()
    return "".join(dict.fromkeys(c for text in texts for c in lacking(printable(text))))


@dataclass(frozen=True)
class _Scale:
    """Sizes that fit a picture, in its pixels."""

    line: int
    font: int

    @property
    def padding(self) -> int:
        return max(1, self.font // 4)

    @classmethod
    def of(cls, size: tuple[int, int]) -> "_Scale":
        side = math.sqrt(size[0] * size[1])
        # Below some sizes nobody could read it; below others it would cover the picture.
        line = max(round(side / 280), 2 if side > 120 else 1)
        font = max(round(side / 40), min(13, round(side / 7)), 8)
        return cls(line, font)


def _draw_masks(canvas: Image.Image, objects: Sequence[Detection | Segment]) -> None:
    for found in objects:
        if isinstance(found, Segment) and found.mask is not None:
            _draw_mask(canvas, found.mask, _colour(found.label), _Scale.of(canvas.size).line)


def _draw_boxes(
    canvas: Image.Image, objects: Sequence[Detection | Segment], *, scores: bool
) -> None:
    """Boxes, then labels over all of them."""
    scale = _Scale.of(canvas.size)
    pen = ImageDraw.Draw(canvas)
    boxes = [_pixels(found.box, canvas.size) for found in objects]
    for found, box in zip(objects, boxes, strict=True):
        _draw_box(pen, box, _colour(found.label), scale.line)
    plates: list[_Plate] = []
    for found, box in zip(objects, boxes, strict=True):
        text = _label_text(found, canvas.width, scale, scores=scores)
        plate = _plate(found.label, text, box, canvas.size, scale, plates, boxes)
        if plate is not None:
            plates.append(plate)
    for plate in plates:
        _draw_plate(pen, plate, scale)


def _draw_mask(canvas: Image.Image, mask: Mask, colour: RGB, line: int) -> None:
    """Tint the inside and draw its border, within the mask so that neighbours stay apart."""
    inside = Image.fromarray(mask.to_array().astype(np.uint8) * 255)
    area = inside.getbbox()
    if area is None:
        return
    inside = inside.crop(area)
    border = Image.new("L", inside.size)
    pen = ImageDraw.Draw(border)
    for ring in Mask.from_array(np.asarray(inside) > 0).to_polygons():
        pen.line([*ring, *ring[:4]], fill=255, width=2 * _thin(line, inside.size))
    tint = inside.point([round(value * _TINT) for value in range(256)])
    opacity = ImageChops.lighter(ImageChops.darker(border, inside), tint)
    canvas.paste(colour, area, opacity)


def _draw_box(pen: ImageDraw.ImageDraw, box: Rectangle, colour: RGB, line: int) -> None:
    """A frame with a thin edge of the opposite brightness, for ground of its own colour."""
    x1, y1, x2, y2 = box
    line = _thin(line, (x2 - x1, y2 - y1))
    if line > 1:
        edge = max(1, line // 3)
        around = (x1 - edge, y1 - edge, x2 + edge, y2 + edge)
        pen.rectangle(around, outline=_on(colour), width=line + 2 * edge)
    pen.rectangle(box, outline=colour, width=line)


def _thin(line: int, size: tuple[int, int]) -> int:
    """A line for an object of this size: what is small must not be all frame."""
    return min(line, 1 + min(size) // 16)


def _pixels(box: Box, size: tuple[int, int]) -> Rectangle:
    """First and last pixels of a box, cut at the picture's edge; at least one pixel."""
    (x1, x2), (y1, y2) = (
        (min(max(round(low), 0), side - 1), min(round(high), side) - 1)
        for low, high, side in zip((box.x1, box.y1), (box.x2, box.y2), size, strict=True)
    )
    return x1, y1, max(x1, x2), max(y1, y2)


@dataclass(frozen=True)
class _Plate:
    """A label where it will stand."""

    place: Rectangle
    label: str
    text: str


def _plate(
    label: str,
    text: str,
    box: Rectangle,
    size: tuple[int, int],
    scale: _Scale,
    plates: list[_Plate],
    boxes: list[Rectangle],
) -> _Plate | None:
    """The label of an object where it hides the least of other labels, then of objects.

    None where there is no room: in a picture smaller than the text, or in a crowd where another
    plate has told already what this colour stands for.
    """
    font = font_for(label, scale.font)
    width = math.ceil(font.getlength(text)) + 2 * scale.padding
    height = sum(font.getmetrics()) + scale.padding
    if not text or width > size[0] or height > size[1]:
        return None
    place = min(
        _places(box, width, height, size), key=lambda candidate: _hidden(candidate, plates, boxes)
    )
    if any(_hidden(place, plates, boxes)) and any(other.label == label for other in plates):
        return None
    return _Plate(place, label, text)


def _label_text(found: Detection | Segment, room: int, scale: _Scale, *, scores: bool) -> str:
    score = f"{found.score:.2f}" if scores and found.score is not None else ""
    font = font_for(found.label, scale.font)
    return _shortened(printable(found.label), score, font, room - 2 * scale.padding)


def _draw_plate(pen: ImageDraw.ImageDraw, plate: _Plate, scale: _Scale) -> None:
    x1, y1, x2, y2 = plate.place
    colour = _colour(plate.label)
    pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=colour)
    position = (x1 + scale.padding, y1 + scale.padding // 2)
    pen.text(position, plate.text, fill=_on(colour), font=font_for(plate.label, scale.font))


def _places(box: Rectangle, width: int, height: int, size: tuple[int, int]) -> Iterator[Rectangle]:
    """Where a plate can lie, the best first, all within the picture."""
    x1, y1, x2, y2 = box
    left, right = x1, x2 + 1 - width
    above, below = y1 - height, y2 + 1
    for x, y in (
        *((left, above), (left, y1), (right, above), (left, below)),
        *((right, y1), (right, below), (left, below - height), (right, below - height)),
    ):
        x_in, y_in = min(max(x, 0), size[0] - width), min(max(y, 0), size[1] - height)
        yield x_in, y_in, x_in + width, y_in + height


def _hidden(place: Rectangle, plates: list[_Plate], boxes: list[Rectangle]) -> tuple[int, int]:
    """What a plate at this place would hide: pixels of other plates, and objects."""
    return (
        sum(_overlap(place, plate.place) for plate in plates),
        sum(3 * _overlap(place, box) > _overlap(box, box) for box in boxes),
    )


def _overlap(a: Rectangle, b: Rectangle) -> int:
    """Pixels in common."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def _with_text_below(canvas: Image.Image, text: str) -> Image.Image:
    """The picture with a strip that holds all of the text, wrapped; white beside a narrow one."""
    scale = _Scale.of(canvas.size)
    width = max(canvas.width, _MIN_STRIP)
    font = font_for(text, scale.font)
    margin = 2 * scale.padding
    lines = [
        line
        for paragraph in text.strip().splitlines()
        for line in wrapped(printable(paragraph), font, width - 2 * margin)
    ]
    if not lines:
        return canvas
    step = sum(font.getmetrics()) + scale.padding
    height = canvas.height + len(lines) * step + 2 * margin
    extended = Image.new("RGB", (width, height), "white")
    extended.paste(canvas)
    pen = ImageDraw.Draw(extended)
    for index, line in enumerate(lines):
        y = canvas.height + margin + index * step
        pen.text((margin, y), line, fill="black", font=font)
    return extended


def _shortened(label: str, score: str, font: FreeTypeFont, room: int) -> str:
    """Label and score; where they are too wide, the label gives way."""
    text = f"{label} {score}".strip()
    if font.getlength(text) <= room:
        return text
    tail = f"… {score}".rstrip()
    return label[: fitting(label, font, room - math.ceil(font.getlength(tail)))].rstrip() + tail


def _colour(label: str) -> RGB:
    """Always the same for a label; Python's own hash differs from run to run."""
    return _PALETTE[zlib.crc32(label.encode("utf-8", "surrogatepass")) % len(_PALETTE)]


def _on(ground: RGB) -> RGB:
    """Black or white, whichever stands out more (luma of ITU-R BT.601)."""
    luma = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
    return (0, 0, 0) if luma > 130 else (255, 255, 255)
