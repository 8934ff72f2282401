"""What the scenes show: shapes and pictograms as polygons.

Coordinates are in a square from -1 to 1, x to the right, y downwards. A shape is painted part by
part; holes show what lies behind.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

Point = tuple[float, float]
Tone = Literal["main", "dark", "light", "hole"]
"""The shape's colour, a darker or lighter tone of it, or nothing at all."""


@dataclass(frozen=True)
class Part:
    """One polygon of a shape."""

    points: tuple[Point, ...]
    tone: Tone = "main"


@dataclass(frozen=True)
class Shape:
    """A kind of object.

    Attributes:
        parts: painted in this order.
        max_turn: how far it may be rotated, in degrees, and still be called by its name.
    """

    parts: tuple[Part, ...]
    max_turn: float = 25.0


def ellipse(
    x: float, y: float, rx: float, ry: float | None = None, start: float = 0, end: float = 360
) -> tuple[Point, ...]:
    """An ellipse, or the part of it between two angles in degrees, clockwise from the right."""
    ry = rx if ry is None else ry
    steps = max(4, round(abs(end - start) / 9))
    angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + 1))
    return tuple((x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles)


def corners(number: int, radius: float = 1.0, start: float = -90) -> tuple[Point, ...]:
    """A regular polygon."""
    angles = (math.radians(start + 360 * i / number) for i in range(number))
    return tuple((radius * math.cos(a), radius * math.sin(a)) for a in angles)


def rectangle(x1: float, y1: float, x2: float, y2: float) -> tuple[Point, ...]:
    """An upright rectangle."""
    return ((x1, y1), (x2, y1), (x2, y2), (x1, y2))


def _star() -> tuple[Point, ...]:
    outer, inner = corners(5), corners(5, 0.42, -54)
    return tuple(point for pair in zip(outer, inner, strict=True) for point in pair)


def _heart() -> tuple[Point, ...]:
    angles = (math.tau * i / 48 for i in range(48))
    return tuple(
        (
            math.sin(a) ** 3,
            -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)) / 16,
        )
        for a in angles
    )


def _moon() -> tuple[Point, ...]:
    back = ellipse(0, 0, 1, start=40, end=320)
    (x, y), (_, last) = back[0], back[-1]
    # The inner edge is an arc of another circle through both tips.
    centre, radius = 0.45, math.hypot(x - 0.45, y)
    angle = math.degrees(math.atan2(last, x - centre)) % 360
    return back + ellipse(centre, 0, radius, start=angle, end=360 - angle)


def _cross() -> tuple[Point, ...]:
    a = 0.36
    return (
        (-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a),
        (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a),
    )  # fmt: skip


def _petals() -> Iterable[Part]:
    for x, y in corners(5, 0.58):
        yield Part(ellipse(x, y, 0.42))
    yield Part(ellipse(0, 0, 0.34), "light")


def _of(*parts: Part | tuple[Point, ...], max_turn: float = 25.0) -> Shape:
    return Shape(tuple(part if isinstance(part, Part) else Part(part) for part in parts), max_turn)


@cache
def shapes() -> dict[str, Shape]:
    """Every kind of object by its name."""
    arrow = (
        (-1.0, -0.3),
        (0.1, -0.3),
        (0.1, -0.8),
        (1.0, 0.0),
        (0.1, 0.8),
        (0.1, 0.3),
        (-1.0, 0.3),
    )
    return {
        "circle": _of(ellipse(0, 0, 1)),
        "square": _of(rectangle(-0.85, -0.85, 0.85, 0.85), max_turn=12),
        "triangle": _of(((0.0, -0.9), (1.0, 0.85), (-1.0, 0.85))),
        "star": _of(_star(), max_turn=36),
        "heart": _of(_heart()),
        "cross": _of(_cross(), max_turn=15),
        "ring": _of(ellipse(0, 0, 1), Part(ellipse(0, 0, 0.52), "hole")),
        "moon": _of(_moon(), max_turn=30),
        "arrow": _of(arrow, max_turn=180),
        "house": _of(
            rectangle(-0.75, -0.15, 0.75, 0.95),
            Part(((0.0, -1.0), (1.0, -0.1), (-1.0, -0.1)), "dark"),
            Part(rectangle(-0.2, 0.35, 0.2, 0.95), "light"),
            max_turn=10,
        ),
        "tree": _of(
            Part(rectangle(-0.16, 0.3, 0.16, 1.0), "dark"),
            ellipse(0, -0.55, 0.5, 0.45),
            ellipse(-0.38, 0.0, 0.48, 0.45),
            ellipse(0.38, 0.0, 0.48, 0.45),
            max_turn=10,
        ),
        "car": _of(
            ((-1.0, 0.3), (-0.9, -0.1), (-0.5, -0.15), (-0.3, -0.6),
             (0.45, -0.6), (0.7, -0.12), (1.0, -0.05), (1.0, 0.35)),
            Part(((-0.3, -0.14), (-0.18, -0.45), (0.06, -0.45), (0.06, -0.14)), "light"),
            Part(((0.18, -0.14), (0.18, -0.45), (0.38, -0.45), (0.52, -0.14)), "light"),
            Part(ellipse(-0.52, 0.36, 0.25), "dark"),
            Part(ellipse(0.55, 0.36, 0.25), "dark"),
            max_turn=12,
        ),
        "fish": _of(
            ((0.45, 0.0), (1.0, -0.55), (0.85, 0.0), (1.0, 0.55)),
            ellipse(-0.2, 0, 0.8, 0.5),
            Part(ellipse(-0.6, -0.12, 0.11), "dark"),
        ),
        "flower": _of(*_petals(), max_turn=180),
        "boat": _of(
            Part(rectangle(-0.07, -1.0, 0.07, 0.4), "dark"),
            ((0.07, -0.95), (0.85, 0.25), (0.07, 0.25)),
            Part(((-0.07, -0.75), (-0.07, 0.25), (-0.65, 0.25)), "light"),
            ((-1.0, 0.4), (1.0, 0.4), (0.6, 0.95), (-0.6, 0.95)),
            max_turn=12,
        ),
        "cup": _of(
            ellipse(0.5, -0.05, 0.5, 0.42),
            Part(ellipse(0.5, -0.05, 0.26, 0.2), "hole"),
            ((-0.8, -0.7), (0.6, -0.7), (0.5, 0.75), (-0.7, 0.75)),
            Part(rectangle(-0.8, -0.7, 0.6, -0.5), "light"),
            max_turn=12,
        ),
    }  # fmt: skip
