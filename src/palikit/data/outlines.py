"""Outlines drawn as polygons -> masks, and the boxes around them."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from palikit.errors import InputError
from palikit.masks import Mask
from palikit.results import Box

Point = tuple[float, float]
"""x, y in pixels."""


def fill_rings(rings: Iterable[Sequence[Point]], width: int, height: int) -> Mask:
    """The mask of an object drawn as closed rings, as COCO means them: their union.

    A pixel is inside where its centre is, so that the filled area is the polygon's own on average;
    a ring that crosses itself is filled by the even-odd rule. What lies beyond the picture is cut.

    Args:
        rings: each three points or more, in pixels of the picture.
        width: of the picture, in pixels.
        height: of the picture.

    Raises:
        InputError: a ring of fewer than three points.
    """
    inside = np.zeros((height, width), np.bool_)
    for ring in rings:
        if len(ring) < 3:
            raise InputError(f"an outline has {len(ring)} points: expected three or more")
        _fill(np.array(ring, np.float64), inside)
    return Mask.from_array(inside)


def box_of_mask(mask: Mask) -> Box | None:
    """The smallest box of whole pixels around a mask; None around an empty one."""
    inside = mask.to_array()
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if len(rows) == 0:
        return None
    edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return Box(*(float(edge) for edge in edges))


def clipped(box: Box, size: tuple[int, int]) -> Box | None:
    """The part of a box within a picture of this width and height; None where there is none."""
    width, height = size
    cut = Box(max(box.x1, 0.0), max(box.y1, 0.0), min(box.x2, width), min(box.y2, height))
    return cut if cut.x1 < cut.x2 and cut.y1 < cut.y2 else None


def corners_of(box: Box) -> tuple[Point, ...]:
    """The ring of a box."""
    return ((box.x1, box.y1), (box.x2, box.y1), (box.x2, box.y2), (box.x1, box.y2))


def box_of_points(points: Sequence[Point]) -> Box:
    """The smallest box around some points."""
    xs, ys = zip(*points, strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys))


def _fill(ring: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_]) -> None:
    """Adds a ring[n, (x, y)] to inside[height, width], by a scan line through each pixel row."""
    height, width = inside.shape
    top = max(int(np.ceil(ring[:, 1].min() - 0.5)), 0)
    bottom = min(int(np.ceil(ring[:, 1].max() - 0.5)), height)
    if top >= bottom:
        return
    x1, y1 = ring.T
    x2, y2 = np.roll(ring, -1, axis=0).T
    centre = np.arange(top, bottom)[:, None] + 0.5
    row, edge = np.nonzero((y1 <= centre) != (y2 <= centre))
    along = (centre[row, 0] - y1[edge]) / (y2[edge] - y1[edge])
    crossing = x1[edge] + along * (x2[edge] - x1[edge])
    # The first pixel whose centre lies right of the crossing: from there on the side changes.
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    turns = np.zeros((bottom - top, width + 1), np.int64)
    np.add.at(turns, (row, column), 1)
    inside[top:bottom] |= np.cumsum(turns, axis=1)[:, :width] % 2 == 1
