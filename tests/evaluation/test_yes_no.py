"""Both readings of POPE against their golden figures, and pairs of questions by hand."""

import json
from collections.abc import Callable

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.questions import over_parts
from palikit.evaluation.metrics.score import Score
from palikit.evaluation.metrics.yes_no import (
    pair_accuracy,
    pope_accuracy,
    says_yes,
    yes_no_accuracy,
)
from tests.conftest import shared

SETS = ("random", "popular", "adversarial")


def golden(name: str) -> tuple[list[str], list[str]]:
    questions, answers = (
        [json.loads(line) for line in shared("golden", "pope", file).read_text().splitlines()]
        for file in (f"coco_pope_{name}.json", f"answers_{name}.jsonl")
    )
    ids = [row["question_id"] for row in questions]
    assert ids == [row["question_id"] for row in answers]
    return [row["answer"] for row in answers], [row["label"] for row in questions]


@pytest.mark.parametrize("name", SETS)
def test_the_golden_figures_of_pope_come_out(name: str) -> None:
    expected = json.loads(shared("golden", "pope", "expected.json").read_text())[name]
    answers, truths = golden(name)
    official = pope_accuracy(answers, truths)
    assert len(official.per_example) == expected["n"] == 3000
    assert official.value == pytest.approx(expected["expected"]["accuracy"], abs=1e-12)
    for part in ("precision", "recall", "f1", "yes_ratio"):
        assert official.part(part) == pytest.approx(expected["expected"][part], abs=1e-12)
    equal = yes_no_accuracy(answers, truths)
    assert equal.value == pytest.approx(expected["bigvision_exact_lower_acc"], abs=1e-12)


def test_the_three_sets_of_pope_count_alike() -> None:
    parts = [golden(name) for name in SETS]
    answers = [text for part, _ in parts for text in part]
    truths = [text for _, part in parts for text in part]
    names = [name for name, (part, _) in zip(SETS, parts, strict=True) for _ in part]
    score = over_parts(pope_accuracy(answers, truths), names)
    assert score.value == pytest.approx(0.6, abs=1e-12)
    assert score.parts[:3] == tuple((name, pytest.approx(0.6)) for name in SETS)


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
