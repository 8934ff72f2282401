"""Both readings of POPE, and pairs of questions, by hand."""

from collections.abc import Callable

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.score import Score
from palikit.evaluation.metrics.yes_no import (
    pair_accuracy,
    pope_accuracy,
    says_yes,
    yes_no_accuracy,
)


@pytest.mark.parametrize(
    ("answer", "is_yes"),
    [
        ("yes", True),
        ("no", False),
        ("No, there is none.", False),
        ("There is not a cat", False),
        ("Yes. But no dog.", True),
        (". no", True),
        ("NO", True),
        ("No!", True),
        ("no,I think", True),
        ("nothing", True),
        ("well\nno", True),
        ("", True),
    ],
)
def test_everything_but_a_plain_no_in_the_first_sentence_means_yes(
    answer: str, is_yes: bool
) -> None:
    assert says_yes(answer) is is_yes


def test_equality_lowers_the_answer_and_strips_nothing() -> None:
    score = yes_no_accuracy(["YES", "yes.", "no", "No"], ["yes", "yes", "yes", "no"])
    assert score.per_example == (1, 0, 0, 1)
    assert (score.invalid, score.part("valid")) == (1, 0.75)


def test_figures_that_would_divide_by_nothing_are_zero() -> None:
    score = pope_accuracy(["no", "no"], ["no", "no"])
    assert score.value == 1
    assert dict(score.parts) == {"precision": 0, "recall": 0, "f1": 0, "yes_ratio": 0}


@pytest.mark.parametrize("metric", [yes_no_accuracy, pope_accuracy])
def test_rows_that_cannot_be_scored_are_refused(metric: Callable[..., Score]) -> None:
    with pytest.raises(InputError, match="no answers"):
        metric([], [])
    with pytest.raises(InputError, match="is 'maybe'"):
        metric(["yes"], ["maybe"])
    with pytest.raises(ValueError, match=r"truths|shorter"):
        metric(["yes", "no"], ["yes"])


def test_a_pair_counts_only_where_both_are_right() -> None:
    answers, truths = ["Open", "closed", "red", "red"], ["open", "closed", "red", "blue"]
    score = pair_accuracy(answers, truths)
    assert (score.value, score.part("questions")) == (0.5, 0.75)
    assert score.per_example == (1, 1, 0, 0)
    assert pair_accuracy(answers, truths, ignore_case=False).value == 0


def test_pairs_may_be_named() -> None:
    score = pair_accuracy(["a", "b", "a", "b"], ["a", "b", "a", "x"], pairs=["p", "q", "p", "q"])
    assert score.value == 0.5
    assert score.per_example == (1, 0, 1, 0)


def test_a_pair_of_other_than_two_questions_is_refused() -> None:
    with pytest.raises(InputError, match="'1' has 1 questions"):
        pair_accuracy(["a"] * 3, ["a"] * 3)
    with pytest.raises(InputError, match="'p' has 3 questions"):
        pair_accuracy(["a"] * 3, ["a"] * 3, pairs=["p", "p", "p"])
    with pytest.raises(ValueError, match="names of pairs"):
        pair_accuracy(["a"] * 2, ["a"] * 2, pairs=["p"])
