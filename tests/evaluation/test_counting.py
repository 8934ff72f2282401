"""Counting by hand."""

import pytest

from palikit.evaluation.metrics.counting import NUMERALS, counting_accuracy, to_numeral


def test_number_words_are_read_up_to_twenty() -> None:
    assert [to_numeral(each) for each in ("None", "zero", "TWELVE", "twenty")] == [
        "0",
        "0",
        "12",
        "20",
    ]
    assert [to_numeral(each) for each in ("twenty-one", " two", "7")] == ["twenty-one", " two", "7"]
    assert len(NUMERALS) == 22


def test_simple_and_complex_questions_and_every_count_are_parts() -> None:
    score = counting_accuracy(
        ["two", "2", "10", "16", "many"],
        ["2", "3", "10", "16", "3"],
        simple=[True, True, False, None, False],
    )
    assert score.value == 0.6
    assert score.invalid == 1
    assert score.parts == (
        ("simple", 0.5),
        ("complex", 0.5),
        ("count/2", 1.0),
        ("count/3", 0.0),
        ("count/10", 1.0),
        ("count/16", 1.0),
    )


def test_digits_must_be_equal_letter_for_letter() -> None:
    assert counting_accuracy(["3 ", "03", "three"], ["3"] * 3).per_example == (0, 0, 1)


def test_rows_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        counting_accuracy(["1", "2"], ["1"])
    with pytest.raises(ValueError, match="names of parts"):
        counting_accuracy(["1"], ["1"], simple=[True, False])
