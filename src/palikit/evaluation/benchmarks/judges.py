"""From answers to figures: which metric a benchmark takes, and what its groups are for."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from palikit.errors import InputError
from palikit.evaluation.benchmarks.row import Answered, Judge
from palikit.evaluation.metrics.anls import anls
from palikit.evaluation.metrics.bleu import bleu
from palikit.evaluation.metrics.cider import cider_d
from palikit.evaluation.metrics.counting import counting_accuracy
from palikit.evaluation.metrics.detection import average_precision_score, average_precision_value
from palikit.evaluation.metrics.exact import exact_match
from palikit.evaluation.metrics.grits import grits
from palikit.evaluation.metrics.long_captions import mean_characters, mean_sentences
from palikit.evaluation.metrics.music import (
    kern_character_error_rate,
    kern_line_error_rate,
    kern_symbol_error_rate,
)
from palikit.evaluation.metrics.objects import PictureObjects, TrueObject
from palikit.evaluation.metrics.ocr_words import Word, box_polygon, ocr_spotting
from palikit.evaluation.metrics.questions import over_parts, part_means
from palikit.evaluation.metrics.refcoco import Referral, refcoco_iou
from palikit.evaluation.metrics.relaxed import relaxed_accuracy
from palikit.evaluation.metrics.rouge import rouge_l
from palikit.evaluation.metrics.rsvqa import HIGH_RESOLUTION, LOW_RESOLUTION, rsvqa_accuracy
from palikit.evaluation.metrics.science_qa import letter_accuracy
from palikit.evaluation.metrics.score import Score, require_examples
from palikit.evaluation.metrics.teds import teds
from palikit.evaluation.metrics.vqa import soft_accuracy, vqa_accuracy
from palikit.evaluation.metrics.yes_no import pair_accuracy, pope_accuracy, yes_no_accuracy
from palikit.results import Detection, Detections, Segments

AP_SAMPLES = 100
"""Bootstrap samples of an average precision; each costs a whole summation."""

References = Sequence[Sequence[str]]


def vqa(answered: Sequence[Answered]) -> Score:
    """The official accuracy of VQAv2; parts by answer type."""
    return vqa_accuracy(_texts(answered), _truths(answered), answer_types=_groups(answered))


def soft(answered: Sequence[Answered]) -> Score:
    """VQA accuracy without leaving people out; parts by group, where there are some."""
    score = soft_accuracy(_texts(answered), _truths(answered))
    return _with_groups(score, answered)


def exact(answered: Sequence[Answered]) -> Score:
    """Equality letter for letter."""
    return _with_groups(exact_match(_texts(answered), _truths(answered)), answered)


def exact_lower(answered: Sequence[Answered]) -> Score:
    """Equality in lower case."""
    return exact_match(_texts(answered), _truths(answered), ignore_case=True)


def near(answered: Sequence[Answered]) -> Score:
    """ANLS in lower case, as big_vision computes it for DocVQA, InfographicVQA and ST-VQA."""
    score = anls(_texts(answered), _truths(answered))
    return _with_groups(score, answered)


def relaxed(answered: Sequence[Answered]) -> Score:
    """ChartQA; where the questions are of both sets, the mean of the sets."""
    groups = [each.example.group for each in answered]
    subsets = groups if all(groups) else None
    return relaxed_accuracy(_texts(answered), _truths(answered), subsets=subsets)


def counts(answered: Sequence[Answered]) -> Score:
    """TallyQA and CountBenchQA; parts simple and complex."""
    known = {"simple": True, "complex": False}
    simple = [known.get(each.example.group) for each in answered]
    return counting_accuracy(_texts(answered), _single(answered), simple=simple)


def rsvqa_low(answered: Sequence[Answered]) -> Score:
    """RSVQA-LR, the mean of the question types that are not numeric."""
    groups = [each.example.group for each in answered]
    return rsvqa_accuracy(_texts(answered), _truths(answered), groups, averaged=LOW_RESOLUTION)


def rsvqa_high(answered: Sequence[Answered]) -> Score:
    """RSVQA-HR, likewise."""
    groups = [each.example.group for each in answered]
    return rsvqa_accuracy(_texts(answered), _truths(answered), groups, averaged=HIGH_RESOLUTION)


def letters(answered: Sequence[Answered]) -> Score:
    """ScienceQA: the letter of "The answer is A."."""
    return _with_groups(letter_accuracy(_texts(answered), _single(answered)), answered)


def yes_no(answered: Sequence[Answered]) -> Score:
    """POPE as big_vision reads it; parts `official/...` as RUCAIBox/POPE does."""
    score = yes_no_accuracy(_texts(answered), _single(answered))
    official = pope_accuracy(_texts(answered), _single(answered))
    return _with(score, ("official/accuracy", official.value), *_named(official, "official/"))


def pairs(answered: Sequence[Answered]) -> Score:
    """MMVP: both questions of a pair."""
    groups = [each.example.group for each in answered]
    return pair_accuracy(_texts(answered), _single(answered), pairs=groups)


def cider(answered: Sequence[Answered]) -> Score:
    """CIDEr-D; parts by group would have other document frequencies and are not made."""
    return cider_d(_texts(answered), _truths(answered))


def cider_and_bleu(answered: Sequence[Answered]) -> Score:
    """CIDEr-D, and BLEU-4 beside it."""
    texts, truths = _texts(answered), _truths(answered)
    return _with(cider_d(texts, truths), ("bleu4", bleu(texts, truths).value))


def report(answered: Sequence[Answered]) -> Score:
    """CIDEr-D, BLEU-4 and ROUGE-L of reports; RadGraph's F1 needs a model and is not made."""
    rouge = rouge_l(_texts(answered), _truths(answered))
    return _with(cider_and_bleu(answered), ("rouge_l", rouge.value))


def length(answered: Sequence[Answered]) -> Score:
    """Characters a caption, and sentences beside them, of the table on DOCCI."""
    texts = _texts(answered)
    return _with(mean_characters(texts), ("sentences", mean_sentences(texts).value))


def languages(
    figure: Callable[[Sequence[str], References], Score], *, without: Sequence[str] = ()
) -> Judge:
    """The unweighted mean over languages, each scored by itself.

    Args:
        figure: of answers and references; the mean of its `per_example`.
        without: languages that the mean leaves out; they are parts all the same.

    Returns:
        A judge whose parts are the languages, and "all", the mean of all of them.
    """

    def judge(answered: Sequence[Answered]) -> Score:
        return _by_language(answered, figure, without)

    return judge


def outlines(answered: Sequence[Answered]) -> Score:
    """RefCOCO: the outline that each answer begins with."""
    return refcoco_iou([_referral(each) for each in answered])


def boxes(answered: Sequence[Answered]) -> Score:
    """COCO's AP over boxes, by the model's scores."""
    require_examples(len(answered))
    return average_precision_score(_pictures(answered), samples=AP_SAMPLES)


def boxes_value(answered: Sequence[Answered]) -> float:
    """The figure of `boxes` alone."""
    return average_precision_value(_pictures(answered))


def spotting(answered: Sequence[Answered]) -> Score:
    """Words in HierText's protocol; the labels of found boxes are their texts."""
    found = [[Word(box_polygon(one.box), one.label) for one in _found(each)] for each in answered]
    return ocr_spotting(found, [_words(each) for each in answered])


def tables(answered: Sequence[Answered]) -> Score:
    """TEDS, and S-TEDS, GriTS-Top and GriTS-Con beside it."""
    texts, truths = _texts(answered), _single(answered)
    score = teds(texts, truths)
    structure = teds(texts, truths, structure_only=True)
    return _with(
        score,
        ("s_teds", structure.value),
        ("grits_top", grits(texts, truths, kind="topology").value),
        ("grits_con", grits(texts, truths, kind="content").value),
    )


def music(answered: Sequence[Answered]) -> Score:
    """CER of **kern, and SER and LER beside it, in percent."""
    texts, truths = _texts(answered), _single(answered)
    return _with(
        kern_character_error_rate(texts, truths),
        ("ser", kern_symbol_error_rate(texts, truths).value),
        ("ler", kern_line_error_rate(texts, truths).value),
    )


def _by_language(
    answered: Sequence[Answered],
    figure: Callable[[Sequence[str], References], Score],
    without: Sequence[str],
) -> Score:
    texts, truths = _texts(answered), _truths(answered)
    groups = [each.example.group for each in answered]
    values, invalid = [0.0] * len(answered), 0
    for language in dict.fromkeys(groups):
        places = [place for place, group in enumerate(groups) if group == language]
        score = figure([texts[place] for place in places], [truths[place] for place in places])
        invalid += score.invalid
        for place, value in zip(places, score.per_example, strict=True):
            values[place] = value
    whole = Score(0.0, (0.0, 0.0), tuple(values), invalid)
    counted = [group for group in dict.fromkeys(groups) if group not in without]
    score = over_parts(whole, groups, of=counted)
    return _with(score, ("all", sum(value for _, value in score.parts) / len(score.parts)))


def _texts(answered: Sequence[Answered]) -> list[str]:
    return [each.text for each in answered]


def _truths(answered: Sequence[Answered]) -> list[tuple[str, ...]]:
    require_examples(len(answered))
    for each in answered:
        if not each.example.answers:
            raise _unknown(each)
    return [each.example.answers for each in answered]


def _single(answered: Sequence[Answered]) -> list[str]:
    return [each[0] for each in _truths(answered)]


def _unknown(each: Answered) -> InputError:
    return InputError(
        f"question {each.example.id} ({each.example.where or 'no place known'}) has no reference: "
        "where those of a split are secret, only its server can score the answers; write a "
        "submission file"
    )


def _groups(answered: Sequence[Answered]) -> list[str | None] | None:
    groups = [each.example.group or None for each in answered]
    return groups if any(groups) else None


def _with_groups(score: Score, answered: Sequence[Answered]) -> Score:
    groups = _groups(answered)
    return score if groups is None else _with(score, *part_means(score.per_example, groups))


def _with(score: Score, *parts: tuple[str, float]) -> Score:
    return replace(score, parts=(*score.parts, *parts))


def _named(score: Score, prefix: str) -> list[tuple[str, float]]:
    return [(prefix + name, value) for name, value in score.parts]


_REFERRED = re.compile(r"(<loc\d{4}>){4}(<seg\d{3}>){16}")


def _found(each: Answered) -> list[Detection]:
    result = each.prediction.result if each.prediction else None
    return list(result.objects) if isinstance(result, Detections) else []


def _pictures(answered: Sequence[Answered]) -> list[PictureObjects]:
    return [PictureObjects(_objects(each), tuple(_found(each))) for each in answered]


def _objects(each: Answered) -> tuple[TrueObject, ...]:
    if each.example.objects is None:
        raise _unknown(each)
    return each.example.objects


def _words(each: Answered) -> tuple[Word, ...]:
    if each.example.words is None:
        raise _unknown(each)
    return each.example.words


def _referral(each: Answered) -> Referral:
    objects = _objects(each)
    if len(objects) != 1 or objects[0].mask is None:
        raise InputError(
            f"expression {each.example.id} ({each.example.where}) has {len(objects)} objects: "
            "expected one, with its outline"
        )
    result = each.prediction.result if each.prediction else None
    # The published evaluator reads the first twenty tokens, and nothing after them.
    is_read = not each.text or _REFERRED.match(each.text) is not None
    found = result.objects if is_read and isinstance(result, Segments) else ()
    first = found[0] if found else None
    return Referral(
        first.mask if first else None, first.box if first else None, objects[0].mask, objects[0].box
    )
