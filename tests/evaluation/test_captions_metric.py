"""BLEU, ROUGE-L and CIDEr of captions: rules by hand, edges and errors."""

import math
from typing import Any

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.bleu import bleu
from palikit.evaluation.metrics.cider import cider, cider_d
from palikit.evaluation.metrics.ptb import tokenize
from palikit.evaluation.metrics.rouge import rouge_l

METRICS = [bleu, rouge_l, cider_d, cider]

ANSWERS = ["a dog runs on the grass", "two men ride a red bus", "a cat"]
REFERENCES = [
    ["a dog is running on the grass", "the dog runs"],
    ["two men on a bus", "men ride in a red bus", "a bus"],
    ["a dog on a sofa"],
]


@pytest.mark.parametrize("metric", METRICS)
def test_tokens_score_as_the_captions_they_come_from(metric: Any) -> None:
    answers = ["A dog's bowl, isn't it?", "Two men (in red)."]
    references = [["The dog's bowl."], ["Two men in red!", "2 men"]]
    tokens = [tokenize(each) for each in answers]
    right = [[tokenize(each) for each in group] for group in references]
    assert metric(answers, references) == metric(tokens, right, tokenized=True)


@pytest.mark.parametrize("metric", METRICS)
def test_equal_captions_score_best(metric: Any) -> None:
    same = metric(ANSWERS[:2], [[each] for each in ANSWERS[:2]])
    other = metric(ANSWERS[:2], REFERENCES[:2])
    best = 10.0 if metric in {cider_d, cider} else 1.0
    assert same.value == pytest.approx(best)
    assert other.value < best
    assert same.per_example == pytest.approx([best, best])


@pytest.mark.parametrize("metric", [rouge_l, cider_d, cider])
def test_the_value_is_the_mean_and_inside_its_interval(metric: Any) -> None:
    score = metric(ANSWERS, REFERENCES)
    assert score.value == pytest.approx(sum(score.per_example) / 3)
    assert score.interval[0] <= score.value <= score.interval[1]


def test_bleu_sums_counts_over_the_captions() -> None:
    score = bleu(ANSWERS, REFERENCES, order=1)
    # matches 6 of 6, 6 of 6 and 1 of 2; nearest lengths 7, 6 and 5
    assert score.value == pytest.approx(13 / 14 * math.exp(1 - 18 / 14), abs=1e-9)
    assert score.per_example[1] == pytest.approx(1.0)
    assert score.part("BLEU-1") == score.value
    assert bleu(ANSWERS, REFERENCES).value == score.part("BLEU-4")


def test_of_two_references_as_near_the_shorter_is_the_length() -> None:
    longer = bleu(["a b c"], [["a b c d"]], order=1).value
    both = bleu(["a b c"], [["a b c d", "a b"]], order=1).value
    assert longer == pytest.approx(math.exp(1 - 4 / 3))
    assert both == pytest.approx(1.0)


def test_rouge_takes_precision_and_recall_from_different_references() -> None:
    # precision 2/2 of the first, recall 1/1 of the second
    assert rouge_l(["a b"], [["a x b y z", "b"]]).value == pytest.approx(1.0)
    precision, recall = 1.0, 2 / 5
    one = (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    assert rouge_l(["a b"], [["a x b y z"]]).value == pytest.approx(one)


def test_clipping_and_length_tell_the_two_ciders_apart() -> None:
    answers, references = ["dog dog dog dog", "a cat"], [["dog"], ["a cat"]]
    assert cider_d(answers, references).per_example[0] < 1.0
    assert cider(answers, references).per_example[0] == pytest.approx(2.5)


def test_one_picture_alone_has_no_cider_but_with_a_corpus_it_has() -> None:
    assert cider_d(ANSWERS[:1], REFERENCES[:1]).value == 0.0
    whole = cider_d(ANSWERS, REFERENCES)
    alone = cider_d(ANSWERS[1:2], REFERENCES[1:2], corpus=REFERENCES)
    assert alone.value == pytest.approx(whole.per_example[1])


@pytest.mark.parametrize("metric", METRICS)
def test_an_empty_caption_scores_nothing_and_is_counted(metric: Any) -> None:
    full, score = metric(ANSWERS[:2], REFERENCES[:2]), metric(["", ANSWERS[1]], REFERENCES[:2])
    assert score.per_example[0] == pytest.approx(0.0, abs=1e-9)
    assert score.value < full.value


def test_an_empty_caption_equals_an_empty_reference_for_rouge_alone() -> None:
    assert (
        rouge_l(
            ["..."],
            [
                ["!?", ""][:1],
            ],
        ).value
        == 0.0
    )
    assert rouge_l(["."], [[","]]).value == 1.0
    assert cider_d([".", "a"], [[","], ["a"]]).per_example[0] == 0.0


@pytest.mark.parametrize("metric", METRICS)
def test_captions_without_references_are_refused(metric: Any) -> None:
    with pytest.raises(InputError, match="caption 1 has no references"):
        metric(["a", "b"], [["a"], []])
    with pytest.raises(InputError, match="no answers"):
        metric([], [])
    with pytest.raises(InputError, match="one text, not a list"):
        metric(["a"], ["a dog"])
    with pytest.raises(ValueError, match="zip"):
        metric(["a"], [["a"], ["b"]])


def test_bleu_5_is_refused() -> None:
    with pytest.raises(ValueError, match="BLEU-5"):
        bleu(ANSWERS, REFERENCES, order=5)
