"""Error rates of **kern, by hand and beside the plain edit distance."""

import random
from collections.abc import Iterator

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.edits import edit_distance
from palikit.evaluation.metrics.music import (
    kern_character_error_rate,
    kern_characters,
    kern_line_error_rate,
    kern_lines,
    kern_symbol_error_rate,
    kern_symbols,
)
from tests.evaluation.agreement import SIZES, apart

pytest.importorskip("rapidfuzz")

SCORE = "**kern\t**kern\n*clefF4\t*clefG2\n4C 4E\t8cL"


def test_a_score_is_cut_into_characters_symbols_and_lines() -> None:
    assert kern_symbols(SCORE) == (
        [
            "**kern",
            "<t>",
            "**kern",
            "<b>",
            "*clefF4",
            "<t>",
            "*clefG2",
            "<b>",
            "4C",
            "4E",
            "<t>",
            "8cL",
        ]
    )
    assert kern_lines(SCORE) == ["**kern\t**kern", "*clefF4\t*clefG2", "4C 4E\t8cL"]
    assert kern_characters("4C 4E\t8cL\n") == list("4C 4E\t8cL\n")


def test_empty_symbols_stand_between_separators() -> None:
    assert kern_symbols("a\n\tb") == ["a", "<b>", "", "<t>", "b"]
    assert kern_symbols("") == [""]


def test_a_wrong_note_is_counted_by_each_rate_in_its_unit() -> None:
    answer = SCORE.replace("8cL", "8dL")
    assert kern_character_error_rate([answer], [SCORE]).value == pytest.approx(100 / 39)
    assert kern_symbol_error_rate([answer], [SCORE]).value == pytest.approx(100 / 12)
    assert kern_line_error_rate([answer], [SCORE]).value == pytest.approx(100 / 3)


def test_rates_are_of_the_corpus_not_means_of_examples() -> None:
    score = kern_line_error_rate(["x", "a\nb\nc"], ["y", "a\nb\nc"])
    assert score.value == 25.0
    assert score.per_example == (100.0, 0.0)
    assert score.interval[0] <= 25.0 <= score.interval[1]


def kern_differences(cases: int) -> Iterator[float]:
    """Of all three rates, of corpora of twenty texts and of each text alone."""
    rng = random.Random(7)
    rates = {
        kern_characters: kern_character_error_rate,
        kern_symbols: kern_symbol_error_rate,
        kern_lines: kern_line_error_rate,
    }
    for _ in range(cases // 20):
        answers, truths = (
            ["".join(rng.choices("4cC# \t\n<bt>", k=rng.randrange(1, 25))) for _ in range(20)]
            for _ in range(2)
        )
        truths[0] = ""
        for cut, rate in rates.items():
            edits = [edit_distance(cut(a), cut(b)) for a, b in zip(answers, truths, strict=True)]
            lengths = [len(cut(each)) for each in truths]
            score = rate(answers, truths)
            yield abs(score.value - 100 * sum(edits) / sum(lengths))
            each = [100 * e / max(n, 1) for e, n in zip(edits, lengths, strict=True)]
            yield apart(score.per_example, each)


@pytest.mark.parametrize("cases", SIZES)
def test_rates_are_those_of_the_plain_edit_distance(cases: int) -> None:
    assert max(kern_differences(cases)) < 1e-9


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(InputError, match="no answers"):
        kern_symbol_error_rate([], [])
    with pytest.raises(InputError, match="every reference is empty"):
        kern_character_error_rate(["4c"], [""])
