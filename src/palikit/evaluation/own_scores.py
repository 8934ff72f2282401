"""The figure of own data with its interval: that of a training's validation, and the others."""

from collections.abc import Sequence

from palikit.data.options import DataTask
from palikit.evaluation.metrics import segmentation, text
from palikit.evaluation.metrics.detection import average_precision_score
from palikit.evaluation.metrics.objects import PictureObjects
from palikit.evaluation.metrics.score import Score, mean_score, ratio_score, require_examples
from palikit.evaluation.scoring import Judged, summarise

_AP_SAMPLES = 100


def own_score(judged: Sequence[Judged], task: DataTask) -> Score:
    """The deciding figure of `summarise` with an interval; the other figures are its parts.

    Raises:
        InputError: there are no answers, or nothing is to be found in any picture.
    """
    require_examples(len(judged))
    figures = summarise(judged, task)
    main = _main(judged, task)
    parts = tuple(pair for pair in figures.figures if pair[0] != figures.main)
    invalid = sum(each.is_unparsed for each in judged)
    return Score(main.value, main.interval, main.per_example, invalid, parts)


def _main(judged: Sequence[Judged], task: DataTask) -> Score:
    if task in ("detect", "segment"):
        pictures = [each.objects for each in judged if each.objects is not None]
        if task == "detect":
            return average_precision_score(pictures, samples=_AP_SAMPLES)
        return _quality(pictures)
    pairs = [(each.text, each.case.row.suffixes) for each in judged]
    if task == "vqa":
        return mean_score([float(text.is_exact(found, answers)) for found, answers in pairs])
    if task == "caption":
        return mean_score([text.similarity(found, answers) for found, answers in pairs])
    rates = [text.character_error_rate([found], [answers]) for found, answers in pairs]
    return ratio_score(
        [each.errors for each in rates],
        [each.length for each in rates],
        per_example=[each.rate for each in rates],
    )


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
