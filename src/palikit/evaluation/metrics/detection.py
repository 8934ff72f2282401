"""Average precision as COCO defines it, and reports of what is not there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from palikit.errors import InputError, counted
from palikit.evaluation.metrics.coco_evaluator import (
    MatchedClass,
    Matching,
    Places,
    match_classes,
)
from palikit.evaluation.metrics.objects import Confidence, PictureObjects, Shape
from palikit.evaluation.metrics.score import Score, require_examples, resampled


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
        recall_small, recall_medium, recall_large: of objects of these sizes.
        classes: each class, by name.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    recall: float | None
    recall_small: float | None
    recall_medium: float | None
    recall_large: float | None
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
    """COCO's average precision: `pycocotools/cocoeval.py` (cocodataset/cocoapi, BSD-2).

    Computed by faster-coco-eval, which gives the same figures. Kept from the original: 101 recall
    points; greedy matching in the order of the scores; a found object takes the true one it
    overlaps most, the later one of equals, and a crowd or an object of another size only where
    nothing else is left; those found objects do not count; neither do unmatched ones of another
    size; equal scores keep the order of the pictures and of the answer, so that without confidences
    the result depends on it. Not kept: a true object whose id is 0 is no special case, as objects
    have no ids here.

    Args:
        pictures: truths and answers; the order of the pictures decides between equal scores.
        shape: whether boxes or masks are laid over each other.
        confidence: "model" judges by the scores that the objects carry (1 where they carry none),
            "constant" takes every score for 1.
        max_detections: objects of a class that count in a picture, highest scores first.

    Raises:
        InputError: `shape` is "mask" and an object has none, or the masks of one picture differ in
            size.
        MissingExtraError: faster-coco-eval is not there.
    """
    return _scores(match_classes(pictures, Matching(shape, confidence, max_detections)))


def average_precision_score(
    pictures: Sequence[PictureObjects],
    *,
    shape: Shape = "box",
    confidence: Confidence = "model",
    max_detections: int = 100,
    samples: int = 0,
) -> Score:
    """The same with an interval over the pictures, and the value of each picture by itself.

    Matching is done once, but every sample and every picture is summed up anew, and that soon takes
    longer than the matching. A class of which a sample holds no true object is left out of that
    sample's mean; what is done with the samples tells `interval_over_pictures`. A picture with
    nothing to find is worth 1 by itself where nothing was found, else 0.

    Args:
        pictures: truths and answers, as in `average_precision`.
        shape: as there.
        confidence: as there.
        max_detections: as there.
        samples: of the bootstrap, 100 are enough for two digits; 0 leaves the interval (nan, nan).

    Returns:
        AP in [0, 1]; parts `ap50`, `ap75`, `ap_small`, `ap_medium`, `ap_large`, `recall` and
        `ap/CLASS`, those that are defined.

    Raises:
        InputError: as `average_precision`, or there is no picture or nothing to find in any.
        MissingExtraError: faster-coco-eval is not there.
    """
    require_examples(len(pictures))
    classes = match_classes(pictures, Matching(shape, confidence, max_detections))
    scores = _scores(classes)
    if scores.ap is None:
        raise nothing_to_find(len(pictures))
    interval = interval_over_pictures(
        scores.ap,
        len(pictures),
        lambda times: _mean([each.ap_of(times) for each in classes]),
        samples,
    )
    return Score(scores.ap, interval, _alone(pictures, classes), parts=_parts(scores))


def average_precision_value(pictures: Sequence[PictureObjects]) -> float:
    """The figure of `average_precision_score` alone, in a fraction of its time.

    Raises:
        InputError: nothing is to be found in any picture.
        MissingExtraError: faster-coco-eval is not there.
    """
    value = average_precision(pictures).ap
    if value is None:
        raise nothing_to_find(len(pictures))
    return value


def interval_over_pictures(
    value: float, count: int, figure: Callable[[Places], float | None], samples: int
) -> tuple[float, float]:
    """Bootstrap interval of an average precision, moved so that the samples' mean is the value.

    A sample holds some pictures several times and others never, and so scores higher than a set of
    as many different pictures: with rare classes all samples can lie above the figure. Their
    spread is what another set would show.

    Args:
        value: over all pictures.
        count: pictures.
        figure: int64[count], how many times each picture is there -> the figure, None where there
            is none.
        samples: 0 gives (nan, nan).
    """
    figures: list[float] = []

    def of_places(places: Places) -> float:
        known = figure(np.bincount(places, minlength=count))
        figures.append(float("nan") if known is None else known)
        return figures[-1]

    if not samples:
        return float("nan"), float("nan")
    low, high = resampled(count, of_places, samples=samples)
    moved = value - float(np.nanmean(figures))
    return max(0.0, low + moved), min(1.0, high + moved)


def nothing_to_find(count: int) -> InputError:
    """What to raise where a set of pictures has no average precision."""
    return InputError(
        f"average precision of {counted(count, 'picture')} without a true object is not defined: "
        "give pictures that hold some"
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


def _scores(classes: Sequence[MatchedClass]) -> DetectionScores:
    curves = [each.curves() for each in classes]
    rows = tuple(
        ClassScores(
            one.label,
            curve.ap(),
            curve.ap(threshold=0),
            curve.ap(threshold=5),
            curve.mean_recall(),
            one.num_truths,
        )
        for one, curve in zip(classes, curves, strict=True)
    )
    return DetectionScores(
        ap=_mean([row.ap for row in rows]),
        ap50=_mean([row.ap50 for row in rows]),
        ap75=_mean([row.ap75 for row in rows]),
        ap_small=_mean([curve.ap("small") for curve in curves]),
        ap_medium=_mean([curve.ap("medium") for curve in curves]),
        ap_large=_mean([curve.ap("large") for curve in curves]),
        recall=_mean([row.recall for row in rows]),
        recall_small=_mean([curve.mean_recall("small") for curve in curves]),
        recall_medium=_mean([curve.mean_recall("medium") for curve in curves]),
        recall_large=_mean([curve.mean_recall("large") for curve in curves]),
        classes=rows,
    )


def _alone(
    pictures: Sequence[PictureObjects], classes: Sequence[MatchedClass]
) -> tuple[float, ...]:
    """Average precision of each picture by itself."""
    known: list[list[float]] = [[] for _ in pictures]
    for each in classes:
        for place, value in each.ap_of_each():
            known[place].append(value)
    return tuple(
        sum(values) / len(values) if values else float(not picture.found)
        for picture, values in zip(pictures, known, strict=True)
    )


def _parts(scores: DetectionScores) -> tuple[tuple[str, float], ...]:
    figures = (
        ("ap50", scores.ap50),
        ("ap75", scores.ap75),
        ("ap_small", scores.ap_small),
        ("ap_medium", scores.ap_medium),
        ("ap_large", scores.ap_large),
        ("recall", scores.recall),
        *((f"ap/{each.label}", each.ap) for each in scores.classes),
    )
    return tuple((name, value) for name, value in figures if value is not None)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
