"""Quality of outlines: instances of many objects, matched one to one."""

from collections.abc import Sequence
from dataclasses import dataclass

from palikit.evaluation.metrics.objects import PictureObjects, Shape, overlaps


@dataclass(frozen=True)
class InstanceScores:
    """How instances fit, over all pictures and classes.

    Attributes:
        mean_iou: mean mask IoU of the matched instances alone; None without a match. To be read
            with `recall`: missed instances do not lower it.
        recall: matched of the true instances; None without any.
        precision: matched of the found ones; None without any.
        quality: panoptic quality, the sum of the matched IoUs divided by matched + half of the
            missed + half of the wrongly found; None where nothing is there and nothing was found.
        num_matched, num_truths, num_found: counts behind them.
    """

    mean_iou: float | None
    recall: float | None
    precision: float | None
    quality: float | None
    num_matched: int
    num_truths: int
    num_found: int


def instance_scores(
    pictures: Sequence[PictureObjects], *, match_by: Shape = "mask", min_iou: float = 0.5
) -> InstanceScores:
    """Match instances of a class one to one, and measure the masks of the matched.

    No benchmark's own code: the matching of panoptic quality (Kirillov et al., arXiv 1801.00868),
    made greedy, largest overlap first, so that thresholds up to .5 and boxes can be used too.
    Crowds are left out, with whatever is found in them and has no match.

    Args:
        pictures: truths and answers, with masks.
        match_by: whether boxes or masks decide who belongs together; the IoU that is averaged is
            the masks' in both cases.
        min_iou: least overlap of a match, in (0, 1].

    Raises:
        InputError: an object has no mask.
    """
    ious: list[float] = []
    num_truths = num_found = 0
    for picture in pictures:
        matched, truths, found = _picture_matches(picture, match_by, min_iou)
        ious += matched
        num_truths += truths
        num_found += found
    wrong = num_truths + num_found - 2 * len(ious)
    weight = len(ious) + wrong / 2
    return InstanceScores(
        mean_iou=sum(ious) / len(ious) if ious else None,
        recall=len(ious) / num_truths if num_truths else None,
        precision=len(ious) / num_found if num_found else None,
        quality=sum(ious) / weight if weight else None,
        num_matched=len(ious),
        num_truths=num_truths,
        num_found=num_found,
    )


def _picture_matches(
    picture: PictureObjects, match_by: Shape, min_iou: float
) -> tuple[list[float], int, int]:
    """Mask IoUs of the matched, the number of truths, and of found objects, in one picture."""
    ious: list[float] = []
    num_truths = num_found = 0
    # Sorted, so that sums are the same in every process, whose sets differ in order.
    for label in sorted({item.label for item in (*picture.truth, *picture.found)}):
        truth = [item for item in picture.truth if item.label == label and not item.crowd]
        crowds = [item for item in picture.truth if item.label == label and item.crowd]
        found = [one for one in picture.found if one.label == label]
        by_mask = overlaps(found, truth, "mask")
        deciding = by_mask if match_by == "mask" else overlaps(found, truth, "box")
        pairs = match_greedily(deciding.tolist(), min_iou)
        ious += [float(by_mask[one, item]) for one, item in pairs]
        in_crowd = overlaps(found, crowds, match_by).max(axis=1, initial=0.0) >= min_iou
        unmatched = set(range(len(found))) - {one for one, _ in pairs}
        num_truths += len(truth)
        num_found += len(found) - sum(bool(in_crowd[one]) for one in unmatched)
    return ious, num_truths, num_found


def match_greedily(ious: list[list[float]], min_iou: float) -> list[tuple[int, int]]:
    """Pairs (found, true), each used once, taken by falling overlap; earlier ones win ties."""
    candidates = [
        (-value, one, item)
        for one, row in enumerate(ious)
        for item, value in enumerate(row)
        if value >= min_iou
    ]
    pairs: list[tuple[int, int]] = []
    used_found: set[int] = set()
    used_true: set[int] = set()
    for _, one, item in sorted(candidates):
        if one not in used_found and item not in used_true:
            pairs.append((one, item))
            used_found.add(one)
            used_true.add(item)
    return pairs
