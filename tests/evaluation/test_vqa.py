"""VQA accuracy and the soft accuracy by hand."""

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.vqa import (
    answer_soft_accuracy,
    soft_accuracy,
    vqa_accuracy,
)
from palikit.evaluation.metrics.vqa_text import normalised


@pytest.mark.parametrize(
    ("agreeing", "accuracy"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)]
)
def test_each_person_is_left_out_once(agreeing: int, accuracy: float) -> None:
    truths = ["cat"] * agreeing + [f"dog {number}" for number in range(10 - agreeing)]
    assert vqa_accuracy(["cat"], [truths]).value == pytest.approx(accuracy, abs=1e-12)


def test_answers_are_normalised_only_where_people_disagree() -> None:
    assert vqa_accuracy(["Yes"], [["yes"] * 10]).value == 0
    assert vqa_accuracy([" yes\n"], [["yes"] * 10]).value == 1
    assert vqa_accuracy(["Yes"], [["yes"] * 9 + ["no"]]).value == 1


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("The Two dogs!", "2 dogs"),
        ("top-left", "top left"),
        ("top-left - red", "topleft red"),
        ("1,000 t-shirts", "1000 tshirts"),
        ("3.b", "3b"),
        ("3.5 m.", "3.5 m"),
        ("dont", "don't"),
        ("somebody'd", "somebodyd"),
        ("im", "im"),
        ("eleven", "eleven"),
        ("it's 10:30", "it's 10:30"),
    ],
)
def test_an_answer_is_normalised_with_the_official_faults(text: str, written: str) -> None:
    assert normalised(text) == written


def test_types_of_question_are_parts() -> None:
    truths = [["yes"] * 10, ["2"] * 10, ["red"] * 8 + ["blue"] * 2, ["no"] * 10]
    score = vqa_accuracy(
        ["yes", "3", "blue", "yes"],
        truths,
        answer_types=["yes/no", "number", "other", "yes/no"],
        question_types=["is the", "how many", "what color", None],
    )
    assert score.value == pytest.approx((1 + 0 + 0.6 + 0) / 4)
    assert score.per_example == pytest.approx((1, 0, 0.6, 0))
    assert dict(score.parts) == pytest.approx(
        {
            "yes/no": 0.5,
            "number": 0,
            "other": 0.6,
            "question/is the": 1,
            "question/how many": 0,
            "question/what color": 0.6,
        }
    )
    assert score.interval[0] <= score.value <= score.interval[1]


def test_soft_accuracy_leaves_nobody_out_and_normalises_nothing() -> None:
    truths = ["red", "red", "Red", "blue"]
    assert answer_soft_accuracy("red", truths) == pytest.approx(2 / 3)
    assert answer_soft_accuracy("RED", truths) == 0
    assert answer_soft_accuracy("RED", truths, ignore_case=True) == 1
    assert answer_soft_accuracy("the red", truths, ignore_case=True) == 0
    assert answer_soft_accuracy("red", ["red"] * 10) == 1


def test_soft_accuracy_also_tells_how_many_answers_anybody_gave() -> None:
    score = soft_accuracy(["a", "b", "c"], [["a", "x"], ["b"] * 3, ["x"]])
    assert score.value == pytest.approx((1 / 3 + 1) / 3)
    assert score.part("any") == pytest.approx(2 / 3)


def test_a_question_with_one_truth_is_refused() -> None:
    with pytest.raises(InputError, match="give a list of one or more"):
        vqa_accuracy(["yes"], [[]])
    with pytest.raises(InputError, match="two or more"):
        vqa_accuracy(["yes", "no"], [["yes"] * 10, ["no"]])


def test_rows_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        vqa_accuracy(["a", "b"], [["a", "a"]])
    with pytest.raises(ValueError, match="names of parts"):
        vqa_accuracy(["a"], [["a", "a"]], answer_types=["other", "other"])
    with pytest.raises(InputError, match="no answers"):
        vqa_accuracy([], [])
