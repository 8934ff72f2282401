"""Exact match by hand."""

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.exact import exact_match


def test_every_letter_counts_unless_told_otherwise() -> None:
    answers, truths = ["Yes", "yes", "yes ", "two"], [["yes"]] * 3 + [["2"]]
    assert exact_match(answers, truths).per_example == (0, 1, 0, 0)
    assert exact_match(answers, truths, ignore_case=True).per_example == (1, 1, 0, 0)
    assert exact_match(answers, truths, ignore_space=True).per_example == (0, 1, 1, 0)


def test_any_of_several_truths_is_enough() -> None:
    assert exact_match(["b", "c"], [["a", "b"], ["a", "b"]]).value == 0.5


def test_molecules_are_compared_as_they_are_written() -> None:
    assert exact_match(["OCC", "CCO"], [["CCO"], ["CCO"]]).value == 0.5


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(InputError, match="no answers"):
        exact_match([], [])
    with pytest.raises(ValueError, match="shorter"):
        exact_match(["a", "b"], [["a"]])
