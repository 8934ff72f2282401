"""Average precision as COCO defines it, and reports of what is not there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from palikit.evaluation.metrics.objects import (
    Floats,
    PictureObjects,
    Shape,
    TrueObject,
    area_of,
    overlaps,
)
from palikit.results import Detection, Segment

Confidence = Literal["model", "constant"]
"""What orders found objects: the model's scores, or nothing but the order they were written in."""

IOU_THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
RECALL_POINTS: Floats = np.linspace(0.0, 1.0, 101)

_EVERY_SIZE = (0.0, 1e10)
_SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Square pixels; both bounds belong to a class, as in COCO's evaluator."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClassScores:
    """One class: average precision in [0, 1], at IoU .5 to .95, .5 and .75; truths without crowds.

    The scores are None where there is no true object to find.
    """

    label: str
    ap: float | None
    ap50: float | None
    ap75: float | None
    recall: float | None
    num_truths: int


@dataclass(frozen=True)
class DetectionScores:
    """Means over the classes that have true objects, in [0, 1]; None where no class has any.

    Attributes:
        ap: mean over the IoU thresholds .50, .55, ... .95 of the average precision.
        ap50, ap75: at one threshold.
        ap_small, ap_medium, ap_large: of objects up to 32 x 32, up to 96 x 96, and above, pixels.
        recall: mean over the thresholds of the share of true objects found (COCO's AR).
        classes: each class, by name.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    recall: float | None
    classes: tuple[ClassScores, ...]


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    count: int
    total: int

    @property
    def rate(self) -> float | None:
        """In [0, 1]; None of nothing."""
        return self.count / self.total if self.total else None


def average_precision(
    pictures: Sequence[PictureObjects],
    *,
    shape: Shape = "box",
    confidence: Confidence = "model",
    max_detections: int = 100,
) -> DetectionScores:
    """COCO's average precision: `pycocotools.cocoeval.COCOeval` (cocodataset/cocoapi, BSD-2).

    Kept from the original: 101 recall points; greedy matching in the order of the scores; a found
    object takes the true one it overlaps most, the later one of equals, and a crowd or an object
    of another size only where nothing else is left; those found objects do not count; neither do
    unmatched ones of another size; equal scores keep the order of the pictures and of the answer,
    so that without confidences the result depends on it. Not kept: a true object whose id is 0 is
    no special case, as objects have no ids here.

    Args:
        pictures: truths and answers; the order of the pictures decides between equal scores.
        shape: whether boxes or masks are laid over each other.
        confidence: "model" judges by the scores that the objects carry (1 where they carry none),
            "constant" takes every score for 1.
        max_detections: objects of a class that count in a picture, highest scores first.

    Raises:
        InputError: `shape` is "mask" and an object has none.
    """
    labels = sorted({item.label for picture in pictures for item in picture.truth})
    by_class = [
        _ClassData.of(pictures, label, shape, confidence, max_detections) for label in labels
    ]
    curves = [data.curve(_EVERY_SIZE) for data in by_class]
    sizes = {
        name: _mean([data.curve(bounds).ap() for data in by_class])
        for name, bounds in _SIZES.items()
    }
    classes = tuple(
        ClassScores(
            label, curve.ap(), curve.ap(0), curve.ap(5), curve.mean_recall(), curve.num_truths
        )
        for label, curve in zip(labels, curves, strict=True)
    )
    return DetectionScores(
        ap=_mean([each.ap for each in classes]),
        ap50=_mean([each.ap50 for each in classes]),
        ap75=_mean([each.ap75 for each in classes]),
        ap_small=sizes["small"],
        ap_medium=sizes["medium"],
        ap_large=sizes["large"],
        recall=_mean([each.recall for each in classes]),
        classes=classes,
    )


def false_reports(pictures: Sequence[PictureObjects]) -> Share:
    """Of the classes asked for that are not in the picture, those of which a box was reported.

    The measure of hallucinated objects: one class asked in one picture is one case, whether by
    itself or among others, and one box of it is enough. A crowd counts as present.
    """
    count = total = 0
    for picture in pictures:
        absent = set(picture.asked) - {item.label for item in picture.truth}
        total += len(absent)
        count += len(absent & {one.label for one in picture.found})
    return Share(count, total)


@dataclass(frozen=True)
class _Curve:
    """Precision[threshold, recall point] and recall[threshold] of a class in one range of size."""

    precision: Floats
    recall: Floats
    num_truths: int

    def ap(self, threshold: int | None = None) -> float | None:
        if not self.num_truths:
            return None
        chosen = self.precision if threshold is None else self.precision[threshold]
        return float(chosen.mean())

    def mean_recall(self) -> float | None:
        return float(self.recall.mean()) if self.num_truths else None


@dataclass(frozen=True)
class _PictureData:
    """One class in one picture: found objects by falling score, and all that matching needs."""

    scores: Floats
    found_areas: Floats
    true_areas: Floats
    crowd: Bools
    ious: Floats

    @classmethod
    def of(
        cls,
        found: list[Detection | Segment],
        truth: list[TrueObject],
        shape: Shape,
        confidence: Confidence,
        max_detections: int,
    ) -> "_PictureData":
        scores = np.array([_score(one, confidence) for one in found], np.float64)
        order = np.argsort(-scores, kind="stable")[:max_detections]
        kept = [found[place] for place in order]
        return cls(
            scores=scores[order],
            found_areas=np.array([area_of(one, shape) for one in kept], np.float64),
            true_areas=np.array([area_of(item, shape) for item in truth], np.float64),
            crowd=np.array([item.crowd for item in truth], np.bool_),
            ious=overlaps(kept, truth, shape),
        )

    def match(self, bounds: tuple[float, float]) -> tuple[Bools, Bools, int]:
        """Hits[threshold, found], ignored[threshold, found], and the number of truths to find."""
        skipped = self.crowd | _outside(self.true_areas, bounds)
        num_thresholds, num_found = len(IOU_THRESHOLDS), len(self.scores)
        hits = np.zeros((num_thresholds, num_found), np.bool_)
        ignored = np.zeros_like(hits)
        free = np.ones((num_thresholds, len(skipped)), np.bool_)
        # As the original: an overlap of 1 passes a threshold that rounding put above it.
        limits = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None]
        for index, row in enumerate(self.ious):
            candidates = (free | self.crowd) & (row >= limits)
            for group in (candidates & ~skipped, candidates & skipped):
                taken = _last_best(row, group)
                new = (taken >= 0) & ~hits[:, index]
                hits[new, index] = True
                ignored[new, index] = skipped[taken[new]]
                free[new, taken[new]] = False
        ignored |= ~hits & _outside(self.found_areas, bounds)
        return hits, ignored, int((~skipped).sum())


@dataclass(frozen=True)
class _ClassData:
    """One class in every picture."""

    pictures: tuple[_PictureData, ...]

    @classmethod
    def of(
        cls,
        pictures: Sequence[PictureObjects],
        label: str,
        shape: Shape,
        confidence: Confidence,
        max_detections: int,
    ) -> "_ClassData":
        pairs = (
            (
                [one for one in picture.found if one.label == label],
                [item for item in picture.truth if item.label == label],
            )
            for picture in pictures
        )
        return cls(
            tuple(
                _PictureData.of(found, truth, shape, confidence, max_detections)
                for found, truth in pairs
                if found or truth
            )
        )

    def curve(self, bounds: tuple[float, float]) -> _Curve:
        """Precision at each recall point, and the recall reached, over all pictures."""
        matched = [picture.match(bounds) for picture in self.pictures]
        num_truths = sum(count for _, _, count in matched)
        scores = np.concatenate([picture.scores for picture in self.pictures])
        order = np.argsort(-scores, kind="stable")
        hits = np.concatenate([hits for hits, _, _ in matched], axis=1)[:, order]
        counted = ~np.concatenate([ignored for _, ignored, _ in matched], axis=1)[:, order]
        precision = np.zeros((len(IOU_THRESHOLDS), len(RECALL_POINTS)))
        recall = np.zeros(len(IOU_THRESHOLDS))
        if num_truths and len(order):
            for index, (right, wrong) in enumerate(
                zip(np.cumsum(hits & counted, 1), np.cumsum(~hits & counted, 1), strict=True)
            ):
                recall[index] = right[-1] / num_truths
                precision[index] = _interpolated(right, wrong, num_truths)
        return _Curve(precision, recall, num_truths)


def _interpolated(
    right: npt.NDArray[np.int64], wrong: npt.NDArray[np.int64], num_truths: int
) -> Floats:
    """At each recall point the best precision at that recall or beyond; 0 beyond the last."""
    precision = right / np.maximum(right + wrong, 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(right / num_truths, RECALL_POINTS, side="left")
    return np.append(best_from_here, 0.0)[places]


def _last_best(row: Floats, group: Bools) -> npt.NDArray[np.int64]:
    """For each threshold the place of the largest overlap in the group, the last of equals, or -1.

    Args:
        row: overlaps of one found object with each truth.
        group: bool[threshold, truth], which truths may be taken.
    """
    if not row.size:
        return np.full(len(group), -1, np.int64)
    values = np.where(group, row, -1.0)
    last = row.size - 1 - np.argmax(values[:, ::-1], axis=1)
    return np.where(group.any(axis=1), last, -1).astype(np.int64)


def _outside(areas: Floats, bounds: tuple[float, float]) -> Bools:
    return (areas < bounds[0]) | (areas > bounds[1])


def _score(found: Detection | Segment, confidence: Confidence) -> float:
    return 1.0 if confidence == "constant" or found.score is None else found.score


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
