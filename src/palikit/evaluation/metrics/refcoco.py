"""One outline for one expression: RefCOCO, RefCOCO+, RefCOCOg."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palikit.evaluation.metrics.objects import box_overlaps, mask_intersection
from palikit.evaluation.metrics.score import Floats, Score, mean_score, require_examples
from palikit.masks import Mask
from palikit.results import Box

BOX_THRESHOLDS = (0.5, 0.75)
MASK_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Referral:
    """What was found for one expression, beside what it means.

    Attributes:
        mask: the outline found, in the whole picture; None where the answer holds none.
        box: the box found, in pixels; None where the answer holds none.
        true_mask: the outline meant, in the whole picture.
        true_box: the box meant, in pixels.
    """

    mask: Mask | None
    box: Box | None
    true_mask: Mask
    true_box: Box

    @property
    def is_valid(self) -> bool:
        """Whether box and outline could both be read."""
        return self.mask is not None and self.box is not None


def refcoco_iou(referrals: Sequence[Referral]) -> Score:
    """Mean IoU of the outlines, in [0, 1]: the published figure, "MIoU" and elsewhere "gIoU".

    The definition of big_vision's `evaluators/proj/paligemma/transfers/segmentation.py`. Kept: each
    expression counts once, also several of one object; the IoU is over the whole picture at its own
    size; an answer that lacks a readable box or outline is invalid and worth 0 in both. Boxes are
    compared in pixels, where the original takes shares of the picture's sides: that scales
    intersection and union alike.

    Returns:
        The mean; `invalid`; the IoU of each expression; and the parts `ciou` (all intersections
        over all unions, elsewhere "oIoU"; an invalid answer adds its truth to the unions),
        `boxacc/0.5` and `boxacc/0.75` (the share of boxes with at least this IoU), and
        `precision/0.5` to `precision/0.9` (the share of outlines with more than this IoU, the P@X
        of other papers).

    Raises:
        InputError: there are no expressions, or two masks of one are of different sizes.
    """
    require_examples(len(referrals))
    shared, unions = _pixels(referrals)
    ious = shared / np.maximum(unions, 1.0)  # whole pixels: less than one is none
    boxes = np.array([_box_iou(each) for each in referrals])
    parts = (
        ("ciou", float(shared.sum() / max(unions.sum(), 1.0))),
        *((f"boxacc/{limit}", float((boxes >= limit).mean())) for limit in BOX_THRESHOLDS),
        *((f"precision/{limit}", float((ious > limit).mean())) for limit in MASK_THRESHOLDS),
    )
    return mean_score(ious, invalid=sum(not each.is_valid for each in referrals), parts=parts)


def _pixels(referrals: Sequence[Referral]) -> tuple[Floats, Floats]:
    """Intersection and union of each pair of outlines, in pixels."""
    shared, unions = [], []
    for each in referrals:
        found = each.mask if each.is_valid else None
        common = 0 if found is None else mask_intersection(found, each.true_mask)
        shared.append(common)
        unions.append(each.true_mask.area + (0 if found is None else found.area) - common)
    return np.array(shared, np.float64), np.array(unions, np.float64)


def _box_iou(referral: Referral) -> float:
    found, true = referral.box, referral.true_box
    if found is None or not referral.is_valid:
        return 0.0
    one, other = (np.array([box.to_list()], np.float64) for box in (found, true))
    return float(box_overlaps(one, other)[0, 0])
