"""Objects that are there and objects that were found, and how far they overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from palikit.errors import InputError
from palikit.evaluation.metrics.score import Floats
from palikit.masks import Mask, iou
from palikit.results import Box, Detection, Segment

Shape = Literal["box", "mask"]
"""What of two objects is laid over each other."""

Confidence = Literal["model", "constant"]
"""What orders found objects: the model's scores, or nothing but the order they were written in."""


@dataclass(frozen=True)
class TrueObject:
    """An object that is in the picture.

    Attributes:
        label: its class.
        box: in pixels.
        mask: in the whole picture, where known.
        crowd: a region of many objects of the class: never missed, and what is found in it is
            neither right nor wrong.
        area: in square pixels, for the classes of size; the mask's, else the box's, where None.
            (COCO's annotations state the area of the outline, also where boxes are measured.)
    """

    label: str
    box: Box
    mask: Mask | None = None
    crowd: bool = False
    area: float | None = None


@dataclass(frozen=True)
class PictureObjects:
    """What is in one picture, what was found there, and which classes were asked for."""

    truth: tuple[TrueObject, ...]
    found: tuple[Detection | Segment, ...]
    asked: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassInPicture:
    """The objects of one class in one picture.

    Attributes:
        place: of the picture among all.
        truth: in the order given.
        found: in the order given.
    """

    place: int
    truth: list[TrueObject]
    found: list[Detection | Segment]


def by_class(pictures: Sequence[PictureObjects]) -> list[tuple[str, list[ClassInPicture]]]:
    """Each class that has a true object, by name, with the pictures where it is or was found."""
    groups: dict[str, list[ClassInPicture]] = {
        item.label: [] for picture in pictures for item in picture.truth
    }
    for place, picture in enumerate(pictures):
        here: dict[str, ClassInPicture] = {}
        for item in picture.truth:
            here.setdefault(item.label, ClassInPicture(place, [], [])).truth.append(item)
        for one in picture.found:
            if one.label in groups:
                here.setdefault(one.label, ClassInPicture(place, [], [])).found.append(one)
        for label, objects in here.items():
            groups[label].append(objects)
    return sorted(groups.items())


def score_of(one: Detection | Segment, confidence: Confidence) -> float:
    """What orders a found object; 1 where it carries no score."""
    return 1.0 if confidence == "constant" or one.score is None else one.score


def area_of(item: TrueObject | Detection | Segment, shape: Shape) -> float:
    """Square pixels of an object; of a truth its stated area, or its mask's, come first."""
    if isinstance(item, TrueObject):
        if item.area is not None:
            return item.area
        if item.mask is not None:
            return float(item.mask.area)
    return float(mask_of(item).area) if shape == "mask" else item.box.width * item.box.height


def mask_of(item: TrueObject | Detection | Segment) -> Mask:
    """The outline of an object.

    Raises:
        InputError: it has none.
    """
    mask = None if isinstance(item, Detection) else item.mask
    if mask is None:
        raise InputError(
            f"an object of class {item.label!r} has no mask: measure boxes, or give the mask codec "
            "that turns segmentation codes into masks"
        )
    return mask


def overlaps(
    found: Sequence[Detection | Segment], truth: Sequence[TrueObject], shape: Shape
) -> Floats:
    """Intersection over union of each found object with each true one: float64[F, T].

    With a crowd the intersection is divided by the found object's area alone, as in COCO's
    definition: an object within a crowd overlaps it by 1.

    Raises:
        InputError: masks are asked for and an object has none, or two that may overlap are of
            pictures of different sizes.
    """
    if not found or not truth:
        return np.zeros((len(found), len(truth)))
    crowd = np.array([item.crowd for item in truth], np.bool_)
    if shape == "box":
        return box_overlaps(corners(found), corners(truth), crowd)
    pairs = np.zeros((len(found), len(truth)))
    spans = [_columns(mask_of(item)) for item in truth]
    for row, one in enumerate(found):
        first, last = _columns(mask_of(one))
        for place, (item, (left, right)) in enumerate(zip(truth, spans, strict=True)):
            if first <= right and left <= last:  # of many objects few share a column
                pairs[row, place] = _mask_overlap(one, item)
    return pairs


def corners(items: Sequence[TrueObject | Detection | Segment]) -> Floats:
    """The boxes of objects: float64[N, 4], x1, y1, x2, y2 in pixels."""
    return np.array([item.box.to_list() for item in items], np.float64).reshape(-1, 4)


def box_overlaps(
    found: Floats, truth: Floats, crowd: npt.NDArray[np.bool_] | None = None, *, longer: float = 0.0
) -> Floats:
    """Intersection over union of each found box with each true one: float64[F, T].

    Args:
        found: float64[F, 4], as `corners` gives them.
        truth: float64[T, 4].
        crowd: bool[T], those whose own area does not count; None for none.
        longer: pixels that each side is longer than its corners say: 1 where these are the first
            and the last pixel. Boxes whose corners do not meet do not overlap all the same.
    """
    low = np.maximum(found[:, None, :2], truth[None, :, :2])
    high = np.minimum(found[:, None, 2:], truth[None, :, 2:])
    meet = (high >= low).all(axis=2)
    shared = np.where(meet, np.prod(high - low + longer, axis=2), 0.0)
    found_area, true_area = (
        np.prod(each[:, 2:] - each[:, :2] + longer, axis=1) for each in (found, truth)
    )
    rest = true_area - shared
    whole = found_area[:, None] + (rest if crowd is None else np.where(crowd, 0.0, rest))
    return np.where(whole > 0, shared / np.where(whole > 0, whole, 1.0), 0.0)


def _columns(mask: Mask) -> tuple[int, int]:
    """The first and the last column of a mask, in pixels; of an empty one none, as (1, 0)."""
    counts = mask.counts
    after = counts[-1] if len(counts) % 2 else 0
    last = mask.width * mask.height - after - 1
    return (counts[0] // mask.height, last // mask.height) if len(counts) > 1 else (1, 0)


def mask_intersection(a: Mask, b: Mask) -> int:
    """Pixels that are inside both masks, which are of one picture."""
    ratio = iou(a, b)
    # i / (a + b - i) = r gives i back up to rounding, and i is whole.
    return round(ratio / (1 + ratio) * (a.area + b.area))


def _mask_overlap(found: Detection | Segment, truth: TrueObject) -> float:
    a, b = mask_of(found), mask_of(truth)
    if not truth.crowd:
        return iou(a, b)
    return mask_intersection(a, b) / a.area if a.area else 0.0
