"""Outlines of objects as run lengths: small, exact, and what COCO tools read.

A mask belongs to a whole picture. Its runs go down the columns, left column first, and alternate
between outside and inside, beginning with outside (a run that may be empty). This is the run
length encoding of the COCO API; the text form below is the one its tools exchange.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from palikit.errors import InputError

MAX_PIXELS = 2**32 - 1
"""COCO's own readers count pixels in 32 bits."""

_DIGIT_BITS = 5
_MAX_DIGITS = 7  # 35 bits: a difference of two runs of up to MAX_PIXELS, and its sign


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Mask:
    """Which pixels of a picture belong to an object.

    Args:
        width: of the whole picture, in pixels.
        height: of the whole picture.
        counts: run lengths in pixels, down the columns, outside first; their sum is the number of
            pixels.

    Attributes:
        width, height: as given.

    Raises:
        InputError: a size or run that is negative, or runs that do not fill the picture.
    """

    width: int
    height: int
    # uint32 in bytes: of a tuple of ints, a data set of outlines takes five times the memory.
    _runs: bytes

    def __init__(
        self, width: int, height: int, counts: Sequence[int] | npt.NDArray[np.int64]
    ) -> None:
        pixels = _checked_pixels(width, height)
        runs = np.asarray(counts, np.int64)
        # No run above `pixels`, so that the sum cannot overflow.
        is_whole = runs.min(initial=0) >= 0 and runs.max(initial=0) <= pixels
        if not is_whole or runs.sum() != pixels:
            raise InputError(
                f"the runs of a {width} x {height} mask must be positive and sum to {pixels}, but "
                f"they sum to {sum(runs.tolist())}: the mask is of another picture or damaged"
            )
        object.__setattr__(self, "width", width)
        object.__setattr__(self, "height", height)
        object.__setattr__(self, "_runs", runs.astype(np.uint32).tobytes())

    @property
    def counts(self) -> tuple[int, ...]:
        """Run lengths in pixels, as given; made anew each time."""
        return tuple(self.runs.tolist())

    @property
    def runs(self) -> npt.NDArray[np.uint32]:
        """The same as uint32[number of runs], read-only, without a copy."""
        return np.frombuffer(self._runs, np.uint32)

    def __repr__(self) -> str:
        return f"Mask({self.width} x {self.height}, {self.area} px inside)"

    @classmethod
    def from_array(cls, array: npt.NDArray[np.bool_]) -> Self:
        """The mask of a bool[height, width] array.

        Raises:
            InputError: an array of other type or dimensions, or an empty one.
        """
        _check_bool(array)
        height, width = array.shape
        return cls.from_patch(array, 0, 0, width, height)

    @classmethod
    def from_patch(
        cls, patch: npt.NDArray[np.bool_], x: int, y: int, width: int, height: int
    ) -> Self:
        """A mask that is empty outside a patch: cost grows with the patch, not with the picture.

        Args:
            patch: bool[h, w].
            x: column of the patch's left edge in the picture, in pixels.
            y: row of the patch's top edge.
            width: of the picture, in pixels.
            height: of the picture.

        Raises:
            InputError: the patch is no such array or does not lie within the picture.
        """
        _check_bool(patch)
        pixels = _checked_pixels(width, height)
        h, w = patch.shape
        if x < 0 or y < 0 or x + w > width or y + h > height:
            raise InputError(
                f"a patch of {w} x {h} pixels at ({x}, {y}) does not lie within a picture of "
                f"{width} x {height}: cut it at the picture's edge first"
            )
        columns = np.zeros((w, h + 2), np.bool_)
        columns[:, 1:-1] = patch.T
        column, row = np.nonzero(columns[:, 1:] != columns[:, :-1])
        bounds = (x + column.astype(np.int64)) * height + y + row
        return cls(width, height, _counts(bounds, pixels))

    @classmethod
    def from_rle(cls, rle: Mapping[str, Any]) -> Self:
        """Read COCO's `{"size": [height, width], "counts": ...}`.

        `counts` is the compressed text, as str or bytes, or the plain list of run lengths. Empty
        runs in the middle are merged away, so equal outlines give equal masks.

        Raises:
            InputError: a key is missing, or the runs are malformed or do not fill the size.
        """
        try:
            height, width = (int(side) for side in rle["size"])
            counts = rle["counts"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                'a COCO mask is {"size": [height, width], "counts": text or run lengths}: '
                f"this one has {sorted(map(str, rle))}"
            ) from error
        runs = _decompress(counts) if isinstance(counts, str | bytes) else _run_list(counts)
        checked = cls(width, height, runs)
        return cls(width, height, _counts(np.cumsum(runs), checked.width * checked.height))

    @property
    def area(self) -> int:
        """Number of pixels inside."""
        return int(self.runs[1::2].sum(dtype=np.int64))

    def to_array(self) -> npt.NDArray[np.bool_]:
        """bool[height, width], true inside."""
        runs = self.runs
        pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return np.ascontiguousarray(pixels.reshape(self.width, self.height).T)

    def to_rle(self) -> dict[str, Any]:
        """`{"size": [height, width], "counts": compressed text}`, as COCO results hold it."""
        return {"size": [self.height, self.width], "counts": _compress(self.runs)}

    def to_polygons(self) -> list[list[float]]:
        """Closed rings along pixel edges, each a flat list x, y, x, y, ... of corners in pixels.

        Seen on screen, outer rings run clockwise and holes counter-clockwise, so that filling by
        the even-odd and by the non-zero rule both give this mask exactly, and signed areas sum to
        `area`. Pixels that touch at a corner only are rings of their own. (COCO fills each ring:
        there, a mask with holes needs `to_rle`.)
        """
        return _rings(self.to_array())


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two masks of one picture, in [0, 1]; 0 where both are empty.

    Raises:
        InputError: the masks are of pictures of different sizes.
    """
    if (a.width, a.height) != (b.width, b.height):
        raise InputError(
            f"masks of {a.width} x {a.height} and {b.width} x {b.height} pixels cannot be "
            "compared: bring both to one picture"
        )
    ends_a, ends_b = (np.cumsum(each.runs, dtype=np.int64) for each in (a, b))
    ends = np.union1d(ends_a, ends_b)
    lengths = np.diff(ends, prepend=0)
    starts = ends - lengths
    inside_a, inside_b = (
        np.searchsorted(own, starts, side="right") % 2 == 1 for own in (ends_a, ends_b)
    )
    union = int(lengths[inside_a | inside_b].sum())
    return int(lengths[inside_a & inside_b].sum()) / union if union else 0.0


def _checked_pixels(width: int, height: int) -> int:
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise InputError(
            f"a mask of {width} x {height} pixels is not possible: "
            f"both sides must be positive, with at most {MAX_PIXELS} pixels"
        )
    return width * height


def _check_bool(array: npt.NDArray[np.bool_]) -> None:
    if array.ndim != 2 or array.dtype != np.bool_:
        raise InputError(
            f"a mask is made from a bool array of two dimensions [height, width], "
            f"not {array.dtype} of shape {list(array.shape)}: compare with a threshold first"
        )


def _counts(bounds: npt.NDArray[np.int64], pixels: int) -> npt.NDArray[np.int64]:
    """Run lengths from the places where inside and outside change, in any multiplicity.

    A place that is named twice is no change: a run that ends at the foot of one column and goes
    on at the head of the next, or the two ends of an empty run.
    """
    places, times = np.unique(bounds, return_counts=True)
    places = places[(times % 2 == 1) & (places < pixels)]
    counts: npt.NDArray[np.int64] = np.diff(places, prepend=0, append=pixels)
    return counts


def _compress(runs: npt.NDArray[np.uint32]) -> str:
    """COCO's text: from the fourth run on, differences to the run two before, in base 32.

    Digits go lowest first, each as one character from "0" on; 32 is added while more follow, and
    bit 16 of the last digit is the sign.
    """
    rest = runs.astype(np.int64)
    rest[3:] -= runs[1:-2]
    characters = np.zeros((len(rest), _MAX_DIGITS), np.uint8)
    wanted = np.ones(len(rest), np.bool_)
    for place in range(_MAX_DIGITS):
        digit = rest & 31
        rest >>= _DIGIT_BITS
        more = rest != np.where(digit & 16, -1, 0)
        characters[:, place] = np.where(wanted, digit + 32 * more + 48, 0)
        wanted &= more
    return characters[characters > 0].tobytes().decode("ascii")


def _decompress(text: str | bytes) -> npt.NDArray[np.int64]:
    """Run lengths from COCO's text. Raises InputError on what is no such text."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    digits = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(digits & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1]) if len(last) else last
    lengths = last - first + 1
    whole = len(last) > 0 and last[-1] == len(digits) - 1
    if not whole or digits.min() < 0 or digits.max() > 63 or lengths.max() > _MAX_DIGITS:
        raise InputError(
            f"{str(text)[:40]!r} is not the compressed text of a COCO mask: "
            "give the counts as COCO's tools write them"
        )
    places = np.arange(len(digits)) - np.repeat(first, lengths)
    values = np.add.reduceat((digits & 31) << (_DIGIT_BITS * places), first)
    values -= np.where(digits[last] & 16, np.int64(1) << (_DIGIT_BITS * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])  # the very first run stands alone
    return values


def _run_list(counts: Any) -> npt.NDArray[np.int64]:
    try:
        runs = np.array(counts, np.int64)
    except (TypeError, ValueError, OverflowError):
        runs = np.empty((0, 0), np.int64)
    if runs.ndim != 1 or len(runs) == 0:
        raise InputError("the counts of a COCO mask must be text or a list of run lengths")
    return runs


def _rings(inside: npt.NDArray[np.bool_]) -> list[list[float]]:
    """Link straight stretches of boundary into rings, the object always on the right hand."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if len(rows) == 0:
        return []
    # Most masks fill a small part of their picture.
    inside = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    starts, ends, directions = _boundary(inside)
    # Where two pixels touch at a corner only, two stretches arrive and two leave: turning right
    # keeps to the pixel that was being followed.
    arriving = np.lexsort(((directions + 1) % 4, ends[:, 0], ends[:, 1]))
    leaving = np.lexsort((directions, starts[:, 0], starts[:, 1]))
    following = np.empty(len(starts), np.int64)
    following[arriving] = leaving
    corners: list[list[float]] = (starts + np.array([columns[0], rows[0]])).astype(float).tolist()
    successors: list[int] = following.tolist()
    unseen = [True] * len(corners)
    rings = []
    for beginning in range(len(corners)):
        ring: list[float] = []
        stretch = beginning
        while unseen[stretch]:
            unseen[stretch] = False
            ring += corners[stretch]
            stretch = successors[stretch]
        if ring:
            rings.append(ring)
    return rings


def _boundary(
    inside: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All straight stretches of boundary, directed so that the object is on the right hand.

    Returns starts[n, (x, y)], ends[n, (x, y)] and directions[n]: 0 right, 1 down, 2 left, 3 up.
    """
    y, x_span, below = _stretches(inside)
    x, y_span, beside = _stretches(inside.T)
    x_span = np.where(below[:, None], x_span, x_span[:, ::-1])
    y_span = np.where(beside[:, None], y_span[:, ::-1], y_span)
    starts, ends = (
        np.concatenate([np.stack([x_span[:, end], y], 1), np.stack([x, y_span[:, end]], 1)])
        for end in (0, 1)
    )
    directions = np.concatenate([np.where(below, 0, 2), np.where(beside, 3, 1)])
    return starts, ends, directions


def _stretches(
    inside: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Boundary along the lines between rows, as long as the object stays on one side.

    Returns line[n] (line i lies above row i), span[n, (from, to)] in columns, and below[n]:
    whether the object is below the line.
    """
    step = np.diff(np.pad(inside.astype(np.int8), 1), axis=0)
    changed = step[:, 1:] != step[:, :-1]
    line, start = np.nonzero(changed & (step[:, 1:] != 0))
    _, end = np.nonzero(changed & (step[:, :-1] != 0))
    return line, np.stack([start, end], 1), step[line, start + 1] > 0
