"""The figure of own data with its interval: that of a training's validation, and the others."""

from collections.abc import Sequence
from dataclasses import replace

from palikit.data.options import DataTask
from palikit.evaluation.metrics import segmentation, text
from palikit.evaluation.metrics.detection import average_precision_score, average_precision_value
from palikit.evaluation.metrics.objects import PictureObjects
from palikit.evaluation.metrics.score import Score, mean_score, ratio_score, require_examples
from palikit.evaluation.metrics.voc import voc_average_precision
from palikit.evaluation.scoring import Judged, is_right, summarise

_AP_SAMPLES = 100


def own_score(judged: Sequence[Judged], task: DataTask) -> Score:
    """The deciding figure of `summarise` with an interval; the other figures are its parts.

    Raises:
        InputError: there are no answers, or nothing is to be found in any picture.
    """
    require_examples(len(judged))
    figures = summarise(judged, task)
    main = _main(judged, task)
    others = tuple(pair for pair in figures.figures if pair[0] != figures.main)
    invalid = sum(each.is_unparsed for each in judged)
    return replace(main, invalid=invalid, parts=(*main.parts, *others))


def own_value(judged: Sequence[Judged], task: DataTask) -> float:
    """The deciding figure alone. Raises InputError as `own_score`."""
    if task != "detect":
        return _main(judged, task).value
    return average_precision_value(_pictures(judged))


def _main(judged: Sequence[Judged], task: DataTask) -> Score:
    if task == "detect":
        pictures = _pictures(judged)
        score = average_precision_score(pictures, samples=_AP_SAMPLES)
        # Validation leaves it out: it is for comparing with what others measured as Pascal VOC.
        return replace(score, parts=(("voc_ap", voc_average_precision(pictures).value),))
    if task == "segment":
        return _quality(_pictures(judged))
    if task == "vqa":
        return mean_score([float(is_right(each)) for each in judged])
    pairs = [(each.text, each.case.row.suffixes) for each in judged]
    if task == "caption":
        return mean_score([text.similarity(found, answers) for found, answers in pairs])
    rates = [text.character_error_rate([found], [answers]) for found, answers in pairs]
    return ratio_score(
        [each.errors for each in rates],
        [each.length for each in rates],
        per_example=[each.rate for each in rates],
    )


def _pictures(judged: Sequence[Judged]) -> list[PictureObjects]:
    return [each.objects for each in judged if each.objects is not None]


def _quality(pictures: Sequence[PictureObjects]) -> Score:
    """Panoptic quality: overlaps of the matched over the matched and half of all others."""
    above, below, alone = [], [], []
    for picture in pictures:
        found = segmentation.instance_scores([picture])
        others = found.num_truths + found.num_found - 2 * found.num_matched
        above.append((found.mean_iou or 0.0) * found.num_matched)
        below.append(found.num_matched + others / 2)
        alone.append(1.0 if found.quality is None else found.quality)
    return ratio_score(above, below, per_example=alone)
