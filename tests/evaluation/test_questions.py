"""Pairing answers with truths, and means over parts."""

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.exact import exact_match
from palikit.evaluation.metrics.questions import over_parts, paired, part_means
from palikit.evaluation.metrics.score import mean_score


def test_a_text_in_place_of_a_list_of_truths_is_refused() -> None:
    with pytest.raises(InputError, match="question 1 has 'yes'"):
        paired(["yes", "yes"], [["yes"], "yes"])
    with pytest.raises(InputError, match="question 0 has"):
        paired(["yes"], [[]])


def test_parts_come_in_order_of_first_appearance() -> None:
    parts = part_means([1, 0, 1, 1], ["b", "a", None, "b"], prefix="of/")
    assert parts == (("of/b", 1.0), ("of/a", 0.0))
    assert part_means([1, 0], [None, None]) == ()


def test_parts_count_alike_however_large_they_are() -> None:
    score = mean_score([1, 1, 1, 0], invalid=2, parts=(("old", 0.5),))
    over = over_parts(score, ["big", "big", "big", "small"])
    assert score.value == 0.75
    assert over.value == 0.5
    assert over.parts == (("big", 1.0), ("small", 0.0), ("old", 0.5))
    assert (over.per_example, over.invalid) == (score.per_example, 2)


def test_only_the_wanted_parts_make_the_figure() -> None:
    score = mean_score([1, 0, 1, 0])
    over = over_parts(score, ["a", "b", "c", None], of=["a", "b", "absent"])
    assert over.value == 0.5
    assert [name for name, _ in over.parts] == ["a", "b", "c"]
    with pytest.raises(InputError, match="absent; found: a, b, c"):
        over_parts(score, ["a", "b", "c", None], of=["absent"])


def test_the_interval_is_that_of_the_mean_of_parts() -> None:
    values, names = [1.0] * 300 + [0.0, 1.0] * 10, ["big"] * 300 + ["small"] * 20
    low, high = over_parts(mean_score(values), names).interval
    # The small part alone moves, and by half of what its own mean does.
    assert 0.58 < low < 0.70 < 0.80 < high < 0.92


def test_names_that_do_not_fit_the_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="names of parts for 1"):
        over_parts(exact_match(["a", "b"], [["a"], ["b"]]), ["only"])


def test_parts_that_do_not_count_do_not_move_the_interval() -> None:
    score = mean_score([1.0] * 20 + [0.0, 1.0] * 20)
    names = ["wanted"] * 20 + ["other"] * 40
    assert over_parts(score, names, of=["wanted"]).interval == (1.0, 1.0)
