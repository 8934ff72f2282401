"""From judged answers to the figures of a task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palikit.data.options import DataTask
from palikit.evaluation.cases import Case, TruthReader
from palikit.evaluation.metrics import detection, segmentation, text
from palikit.evaluation.metrics.objects import PictureObjects, overlaps
from palikit.prediction import Prediction
from palikit.results import Detections, Segments
from palikit.scores import Scores

MATCH_IOU = 0.5
"""Least overlap of two boxes that are taken for the same object in a single picture's score."""


@dataclass(frozen=True)
class Judged:
    """One answer beside its truth.

    Attributes:
        case: what was asked.
        text: what the model wrote.
        objects: truth and answer of `detect` and `segment`; None for texts.
        is_unparsed: whether a part of the text could not be read as an object.
        is_cut_off: whether the answer reached the limit of tokens.
        score: of this answer alone, 1 is best: see `score_objects` and `metrics.text.similarity`.
    """

    case: Case
    text: str
    objects: PictureObjects | None
    is_unparsed: bool
    is_cut_off: bool
    score: float


def judge(case: Case, answer: Prediction[Any], task: DataTask, read: TruthReader) -> Judged:
    """One answer beside its truth, and what it is worth alone."""
    result = answer.result
    objects = None
    if isinstance(result, Detections | Segments):
        truth = read(case, answer.width, answer.height)
        objects = PictureObjects(truth, tuple(result.objects), case.task.labels)
        score = score_objects(objects, task)
    else:
        score = text.similarity(answer.text, case.row.suffixes)
    return Judged(
        case,
        answer.text,
        objects,
        is_unparsed=objects is not None and bool(result.unparsed),
        is_cut_off=answer.finish_reason == "length",
        score=score,
    )


def is_right(judged: Judged) -> bool:
    """Whether a text is one of the row's, whatever its case and its blanks."""
    return text.is_exact(judged.text, judged.case.row.suffixes, ignore_case=True, ignore_space=True)


def score_objects(picture: PictureObjects, task: DataTask) -> float:
    """How good one picture's answer is, in [0, 1]; 1 where nothing is there and nothing was found.

    For `segment` the panoptic quality, for `detect` the F1 of boxes that overlap by half.
    """
    if task == "segment":
        quality = segmentation.instance_scores([picture]).quality
        return 1.0 if quality is None else quality
    truth = [item for item in picture.truth if not item.crowd]
    total = len(truth) + len(picture.found)
    matched = 0
    for label in {item.label for item in truth}:
        same = [item for item in truth if item.label == label]
        found = [one for one in picture.found if one.label == label]
        ious = overlaps(found, same, "box").tolist()
        matched += len(segmentation.match_greedily(ious, MATCH_IOU))
    return 2 * matched / total if total else 1.0


def summarise(judged: Sequence[Judged], task: DataTask) -> Scores:
    """The figures of a whole validation set; `docs/fine-tuning.md` lists them."""
    cut_off = ("cut_off", _share([each.is_cut_off for each in judged]))
    if task not in ("detect", "segment"):
        figures, main = _of_texts(judged, task)
        return Scores((*figures, cut_off), main, higher_is_better=main != "cer")
    pictures = [each.objects for each in judged if each.objects is not None]
    boxes = detection.average_precision(pictures)
    figures = [*(_of_masks(pictures) if task == "segment" else ()), *_of_boxes(boxes)]
    if (absent := detection.false_reports(pictures).rate) is not None:
        figures.append(("false_reports", absent))
    figures += [("unparsed", _share([each.is_unparsed for each in judged])), cut_off]
    main = "quality" if task == "segment" else "ap"
    return Scores((*figures, *_of_classes(boxes.classes)), main)


def _of_boxes(scores: detection.DetectionScores) -> list[tuple[str, float]]:
    """Figures that are defined; the deciding one is 0 where there is nothing to find at all."""
    figures = [
        ("ap", scores.ap or 0.0),
        ("ap50", scores.ap50),
        ("ap75", scores.ap75),
        ("ap_small", scores.ap_small),
        ("ap_medium", scores.ap_medium),
        ("ap_large", scores.ap_large),
        ("recall", scores.recall),
    ]
    return [(name, value) for name, value in figures if value is not None]


def _of_masks(pictures: Sequence[PictureObjects]) -> list[tuple[str, float]]:
    instances = segmentation.instance_scores(pictures)
    figures = [
        ("quality", instances.quality or 0.0),
        ("mask_iou", instances.mean_iou),
        ("mask_recall", instances.recall),
        ("mask_precision", instances.precision),
        ("mask_ap", detection.average_precision(pictures, shape="mask").ap),
    ]
    return [(name, value) for name, value in figures if value is not None]


def _of_classes(classes: Sequence[detection.ClassScores]) -> list[tuple[str, float]]:
    pairs = [("ap/", each.label, each.ap) for each in classes]
    pairs += [("ap50/", each.label, each.ap50) for each in classes]
    return [(kind + label, value) for kind, label, value in pairs if value is not None]


def _of_texts(judged: Sequence[Judged], task: DataTask) -> tuple[list[tuple[str, float]], str]:
    found = [each.text for each in judged]
    answers = [each.case.row.suffixes for each in judged]
    exact = ("exact", _share([is_right(each) for each in judged]))
    if task == "ocr":
        characters = text.character_error_rate(found, answers).rate
        words = text.word_error_rate(found, answers).rate
        return [("cer", characters), ("wer", words), exact], "cer"
    similar = ("similarity", text.text_similarity(found, answers))
    return ([exact, similar], "exact") if task == "vqa" else ([similar, exact], "similarity")


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0
