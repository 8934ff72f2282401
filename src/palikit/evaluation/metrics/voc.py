"""Average precision as Pascal VOC defines it: one overlap, every point of the curve or eleven."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from palikit.evaluation.metrics.coco_evaluator import Places
from palikit.evaluation.metrics.detection import interval_over_pictures, nothing_to_find
from palikit.evaluation.metrics.objects import (
    ClassInPicture,
    Confidence,
    PictureObjects,
    box_overlaps,
    by_class,
    corners,
    score_of,
)
from palikit.evaluation.metrics.score import Floats, Score, require_examples

Points = Literal["every", "eleven"]
"""VOC from 2010 on sums the whole curve; before, it took the mean at recall 0, .1, ... 1."""

Edges = Literal["exclusive", "inclusive"]
"""Whether the right and bottom edges are where a box ends, or name its last pixel."""

Bools = npt.NDArray[np.bool_]


def voc_average_precision(
    pictures: Sequence[PictureObjects],
    *,
    min_iou: float = 0.5,
    points: Points = "every",
    edges: Edges = "exclusive",
    confidence: Confidence = "model",
    samples: int = 0,
) -> Score:
    """Mean over the classes of VOC's average precision of boxes, in [0, 1].

    The development kit's `VOCevaldet.m`, as rafaelpadilla/review_object_detection_metrics
    (`src/evaluators/pascal_voc_evaluator.py`) has it. Kept: found objects go by falling score,
    equal scores in the order of the pictures and of the answer; each looks at the true object that
    it overlaps most, the first of equals, and is wrong where that one is taken, even if another one
    would do; the overlap may equal `min_iou`. Of the kit alone: what belongs to a "difficult"
    object, here a crowd, does not count, nor does the object.

    Args:
        pictures: truths and answers.
        min_iou: least intersection over union.
        points: of the curve.
        edges: "exclusive" for boxes that end where they say, as all of PaliKit's do, those read
            from VOC's files too; "inclusive" makes each side a pixel longer, as the kit does with
            the numbers in these files and the repository above with boxes of any source.
        confidence: as in `detection.average_precision`.
        samples: of the bootstrap over the pictures; 0 leaves the interval (nan, nan).

    Returns:
        The mean, with `ap/CLASS` for each class that has something to find, and for each picture
        what it scores by itself: with nothing to find 1 where nothing was found, else 0.

    Raises:
        InputError: there is no picture or nothing to find in any.
    """
    require_examples(len(pictures))
    rule = _Rule(min_iou, points, edges, confidence)
    classes = _classes(pictures, rule)
    once = np.ones(len(pictures), np.int64)
    value = _mean_ap(classes, once, points)
    if value is None:
        raise nothing_to_find(len(pictures))
    interval = interval_over_pictures(
        value, len(pictures), lambda times: _mean_ap(classes, times, points), samples
    )
    parts = ((f"ap/{each.label}", each.ap(once, points)) for each in classes)
    return Score(
        value,
        interval,
        tuple(_alone(each, rule) for each in pictures),
        parts=tuple((name, ap) for name, ap in parts if ap is not None),
    )


@dataclass(frozen=True)
class _Rule:
    min_iou: float
    points: Points
    edges: Edges
    confidence: Confidence


@dataclass(frozen=True)
class _Class:
    """Found objects of a class by falling score, and the truths in each picture.

    Attributes:
        places: int64[n], the picture of each.
        right: bool[n].
        counted: bool[n], those that are right or wrong.
        truths: int64[pictures].
    """

    label: str
    places: Places
    right: Bools
    counted: Bools
    truths: Places

    def ap(self, times: Places, points: Points) -> float | None:
        """Where each picture is there so many times; None with nothing to find."""
        total = int(self.truths @ times)
        if not total:
            return None
        weights = times[self.places] * self.counted
        right, seen = np.cumsum(weights * self.right), np.cumsum(weights)
        recall, precision = right / total, right / np.maximum(seen, 1)
        best_from_here = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        if points == "every":
            return float(np.diff(recall, prepend=0.0) @ best_from_here[:-1])
        return float(best_from_here[np.searchsorted(recall, np.linspace(0, 1, 11))].mean())


def _class(label: str, pictures: list[ClassInPicture], num_pictures: int, rule: _Rule) -> _Class:
    judged = [_judge(each, rule) for each in pictures]
    scores = np.concatenate([scores for scores, _, _ in judged])
    order = np.argsort(-scores, kind="stable")
    truths = np.zeros(num_pictures, np.int64)
    for each in pictures:
        truths[each.place] = sum(not item.crowd for item in each.truth)
    places = np.repeat([each.place for each in pictures], [len(each.found) for each in pictures])
    return _Class(
        label,
        places[order],
        np.concatenate([right for _, right, _ in judged])[order],
        np.concatenate([counted for _, _, counted in judged])[order],
        truths,
    )


def _judge(objects: ClassInPicture, rule: _Rule) -> tuple[Floats, Bools, Bools]:
    """Score of each found object, whether it is right, and whether it counts."""
    scores = np.array([score_of(one, rule.confidence) for one in objects.found], np.float64)
    right, counted = np.zeros(len(scores), np.bool_), np.ones(len(scores), np.bool_)
    if not objects.truth:
        return scores, right, counted
    longer = 1.0 if rule.edges == "inclusive" else 0.0
    overlaps = box_overlaps(corners(objects.found), corners(objects.truth), longer=longer)
    taken: set[int] = set()
    for index in np.argsort(-scores, kind="stable").tolist():
        best = int(np.argmax(overlaps[index]))
        if overlaps[index, best] < rule.min_iou:
            continue
        counted[index] = not objects.truth[best].crowd
        right[index] = counted[index] and best not in taken
        taken.add(best)
    return scores, right, counted


def _mean_ap(classes: Sequence[_Class], times: Places, points: Points) -> float | None:
    values = [value for each in classes if (value := each.ap(times, points)) is not None]
    return sum(values) / len(values) if values else None


def _alone(picture: PictureObjects, rule: _Rule) -> float:
    value = _mean_ap(_classes([picture], rule), np.ones(1, np.int64), rule.points)
    return float(not picture.found) if value is None else value


def _classes(pictures: Sequence[PictureObjects], rule: _Rule) -> list[_Class]:
    return [_class(label, objects, len(pictures), rule) for label, objects in by_class(pictures)]
