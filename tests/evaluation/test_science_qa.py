"""The letter of ScienceQA by hand."""

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.science_qa import letter_accuracy, read_letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("The answer is B.", "B"),
        ("the ANSWER is b. Because it is.", "B"),
        ("The answer is B", None),
        ("So the answer is B.", None),
        ("The answer is BC.", None),
        ("B", None),
        ("", None),
    ],
)
def test_an_answer_must_begin_with_the_sentence(answer: str, letter: str | None) -> None:
    assert read_letter(answer) == letter


def test_an_answer_without_a_letter_is_wrong_and_counted() -> None:
    answers = ["The answer is A.", "The answer is B.", "B", "C."]
    score = letter_accuracy(answers, ["A", "a", "B", "The answer is C."])
    assert score.per_example == (1, 0, 0, 0)
    assert score.invalid == 2


def test_a_truth_without_a_letter_is_refused() -> None:
    for truth in ("", "AB", "3", "cat"):
        with pytest.raises(InputError, match="names no option"):
            letter_accuracy(["The answer is A."], [truth])
    with pytest.raises(ValueError, match="shorter"):
        letter_accuracy(["a", "b"], ["A"])
