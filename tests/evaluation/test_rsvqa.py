"""RSVQA by hand."""

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.rsvqa import HIGH_RESOLUTION, LOW_RESOLUTION, rsvqa_accuracy

ANSWERS = ["yes", "no", "yes", "rural", "5", "no"]
TRUTHS = [["yes"], ["yes"], ["yes"], ["rural"], ["4"], ["no"]]
TYPES = ["comp", "comp", "presence", "rural_urban", "count", "presence"]


def test_types_count_alike_and_numbers_are_left_out_where_asked() -> None:
    low = rsvqa_accuracy(ANSWERS, TRUTHS, TYPES, averaged=LOW_RESOLUTION)
    assert low.value == pytest.approx((0.5 + 1 + 1) / 3)
    assert rsvqa_accuracy(ANSWERS, TRUTHS, TYPES, averaged=HIGH_RESOLUTION).value == 0.75
    assert rsvqa_accuracy(ANSWERS, TRUTHS, TYPES).value == pytest.approx((0.5 + 1 + 1 + 0) / 4)


def test_every_type_and_the_overall_accuracies_are_parts() -> None:
    assert rsvqa_accuracy(ANSWERS, TRUTHS, TYPES).parts == (
        ("comp", 0.5),
        ("presence", 1.0),
        ("rural_urban", 1.0),
        ("count", 0.0),
        ("overall", pytest.approx(4 / 6)),
        ("overall_nonum", 0.8),
    )


def test_a_set_without_averaged_types_is_refused() -> None:
    with pytest.raises(InputError, match="found: count"):
        rsvqa_accuracy(["5"], [["5"]], ["count"], averaged=LOW_RESOLUTION)


def test_answers_are_compared_letter_for_letter() -> None:
    assert rsvqa_accuracy(["Yes"], [["yes"]], ["comp"]).value == 0
