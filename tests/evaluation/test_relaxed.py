"""Relaxed accuracy by hand."""

import random
from collections.abc import Iterator

import pytest

from palikit.evaluation.metrics.relaxed import is_relaxed, relaxed_accuracy


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        ("105", "100", True),
        ("106", "100", False),
        ("-95", "-100", True),
        ("95", "-100", False),
        ("100%", "96%", True),
        ("96%", "0.96", True),
        ("5%", "5", False),
        ("1000", "1,000", False),
        ("1,000", "1,000", True),
        ("$5", "5", False),
        ("0", "0", True),
        ("0.0", "0", False),
        ("0.001", "0", False),
        ("Male", "male", True),
        ("males", "male", False),
        ("1e2", "100", True),
        ("%", "%", True),
        ("nan", "nan", False),
        ("inf", "inf", False),
    ],
)
def test_numbers_may_be_off_by_a_twentieth(answer: str, truth: str, right: bool) -> None:
    assert is_relaxed(answer, truth) is right


def relaxed_differences(cases: int) -> Iterator[float]:
    """Of whole numbers near each other, by whole numbers; exactly a twentieth is left open."""
    chance = random.Random(0)
    for _ in range(cases):
        truth = chance.choice([-1, 1]) * chance.randint(1, 10_000)
        answer = truth + round(chance.gauss(0, 0.06) * truth)
        apart = 20 * abs(answer - truth) - abs(truth)
        if apart:
            yield abs(float(is_relaxed(str(answer), str(truth))) - float(apart < 0))


def test_integers_are_right_within_a_twentieth() -> None:
    assert max(relaxed_differences(1_000)) == 0


def test_human_and_augmented_questions_count_alike() -> None:
    answers, truths = ["1", "2", "3", "x"], [["1"], ["2"], ["3"], ["4"]]
    subsets = ["augmented", "augmented", "augmented", "human"]
    assert relaxed_accuracy(answers, truths).value == 0.75
    score = relaxed_accuracy(answers, truths, subsets=subsets)
    assert score.value == 0.5
    assert score.parts == (("augmented", 1.0), ("human", 0.0))


def test_words_in_place_of_a_number_are_counted() -> None:
    assert relaxed_accuracy(["about 4", "5", "cat"], [["4"], ["4"], ["dog"]]).invalid == 1
