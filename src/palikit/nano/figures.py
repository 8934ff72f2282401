"""Shapes turned, scaled to pixels and painted."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from palikit.nano.backgrounds import Pixels
from palikit.nano.shapes import Point, Shape, Tone, shapes


@dataclass(frozen=True)
class Figure:
    """A shape turned and scaled to pixels.

    Attributes:
        parts: polygons from its top left corner on, in pixels, painted in this order.
        width, height: in pixels.
    """

    parts: tuple[tuple[tuple[Point, ...], Tone], ...]
    width: int
    height: int


def turned(random: np.random.Generator, shape: Shape, side: float) -> Figure:
    """A shape turned as far as it may be, stretched a little, perhaps mirrored.

    Args:
        random: draws all of that.
        shape: to be shown.
        side: the longer one, in pixels.
    """
    angle = math.radians(random.uniform(-shape.max_turn, shape.max_turn))
    stretch = random.uniform(0.85, 1.18)
    flip = -1 if random.random() < 0.5 else 1
    cos, sin = math.cos(angle), math.sin(angle)
    polygons = [
        [
            (cos * x * flip - sin * y * stretch, sin * x * flip + cos * y * stretch)
            for x, y in part.points
        ]
        for part in shape.parts
    ]
    xs = [x for points in polygons for x, _ in points]
    ys = [y for points in polygons for _, y in points]
    left, top, width, height = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    scale = side / max(width, height)
    parts = tuple(
        (tuple(((x - left) * scale, (y - top) * scale) for x, y in points), part.tone)
        for points, part in zip(polygons, shape.parts, strict=True)
    )
    return Figure(parts, max(2, math.ceil(width * scale)), max(2, math.ceil(height * scale)))


def render(figure: Figure, main: npt.NDArray[np.float64]) -> tuple[Pixels, Pixels]:
    """Colours float32[h, w, 3] and how much each pixel is covered, float32[h, w] in 0 .. 1."""
    scale = 4 if figure.width * figure.height < 900 else 2
    size = (figure.width * scale, figure.height * scale)
    tones = {"main": main, "dark": main * 0.62, "light": main + (255 - main) * 0.55}
    if main.mean() < 60:  # nothing is darker than black
        tones["dark"], tones["light"] = main + 45, main + 120
    paint = Image.new("RGB", size, tuple(main.round().astype(int)))
    ink = Image.new("L", size)
    on_paint, on_ink = ImageDraw.Draw(paint), ImageDraw.Draw(ink)
    for points, tone in figure.parts:
        scaled = [(x * scale, y * scale) for x, y in points]
        if tone == "hole":
            on_ink.polygon(scaled, fill=0)
        else:
            on_paint.polygon(scaled, fill=tuple(tones[tone].round().astype(int)))
            on_ink.polygon(scaled, fill=255)
    reduced = np.asarray(paint.reduce(scale), np.float32)
    covered = np.asarray(ink.reduce(scale), np.float32) / np.float32(255)
    return reduced, covered


def draw_outline(random: np.random.Generator, side: int) -> npt.NDArray[np.bool_]:
    """The pixels of one shape of any kind, its longer side `side` pixels: bool[h, w]."""
    kinds = tuple(shapes())
    figure = turned(random, shapes()[kinds[random.integers(len(kinds))]], side)
    _, ink = render(figure, np.zeros(3))
    return ink > 0.5
