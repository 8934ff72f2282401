"""Edits, rates and equality of texts, against other implementations and by hand."""

import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palikit.evaluation.metrics.edits import edit_distance
from palikit.evaluation.metrics.text import (
    character_error_rate,
    is_exact,
    similarity,
    text_similarity,
    word_error_rate,
)
from tests.conftest import shared

texts = st.text(alphabet="ab é猫", max_size=12)


@given(texts, texts)
def test_the_distance_is_that_of_rapidfuzz(a: str, b: str) -> None:
    distance = pytest.importorskip("rapidfuzz.distance").Levenshtein.distance
    assert edit_distance(a, b) == distance(a, b)
    assert edit_distance(a.split(), b.split()) == distance(a.split(), b.split())


def rate_differences(cases: int) -> Iterator[float]:
    """CER and WER beside jiwer, over corpora of ten texts."""
    jiwer = pytest.importorskip("jiwer")
    chance = random.Random(0)

    def text() -> str:
        return "x" + "".join(chance.choices("ab é猫", k=chance.randint(0, 12)))

    for _ in range(cases // 10):
        found, right = ([text() for _ in range(10)] for _ in range(2))
        answers = [[each] for each in right]
        yield abs(character_error_rate(found, answers).rate - jiwer.cer(right, found))
        yield abs(word_error_rate(found, answers).rate - jiwer.wer(right, found))


def test_rates_are_those_of_jiwer() -> None:
    assert max(rate_differences(1_000)) < 1e-12


@given(texts, texts)
def test_the_distance_is_that_of_the_plain_table(a: str, b: str) -> None:
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        before, row = row, [i]
        for j, other in enumerate(b, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != other)))
    assert edit_distance(a, b) == row[-1] == edit_distance(b, a)


def test_error_rates_pool_all_texts() -> None:
    found, right = ["kitten", "a"], [["sitting"], ["abc"]]
    characters = character_error_rate(found, right)
    assert (characters.errors, characters.length, characters.rate) == (5, 10, 0.5)
    words = word_error_rate(["the  cat sat", ""], [["the cat sits"], ["on it"]])
    assert (words.errors, words.length) == (3, 5)


def test_space_at_the_ends_is_no_error() -> None:
    assert character_error_rate([" a b\n"], [["a b "]]).errors == 0
    assert character_error_rate(["a  b"], [["a b"]]).errors == 1


def test_the_nearest_of_several_answers_counts() -> None:
    assert character_error_rate(["cats"], [["dog", "cat"]]).errors == 1
    assert similarity("cats", ["dog", "cat"]) == 0.75


def test_writing_much_where_nothing_is_right_costs_more_than_one() -> None:
    assert character_error_rate(["abcd"], [["x"]]).rate == 4.0
    assert character_error_rate(["abcd"], [[""]]).rate == 4.0
    assert character_error_rate([""], [[""]]).rate == 0.0


def test_case_and_space_are_ignored_where_that_is_said() -> None:
    found, right = " Two  Cats", ["a dog", "two cats"]
    assert is_exact(found, right, ignore_case=True, ignore_space=True)
    assert not is_exact(found, right, ignore_case=False, ignore_space=True)
    assert not is_exact(found, right, ignore_case=True, ignore_space=False)


def test_similarity_is_one_for_equal_and_zero_for_unlike_texts() -> None:
    assert text_similarity(["", "abc", "xyz"], [[""], ["abc"], ["abc"]]) == pytest.approx(2 / 3)
    assert text_similarity([], []) == 0.0


def test_the_golden_receipts_are_as_similar_as_their_anls_says() -> None:
    rows = json.loads(shared("golden", "anls_sroie", "cases.json").read_text())["rows"]
    for row in rows:
        value = similarity(row["prediction"], row["targets"])
        assert row["anls_case_lt"] == pytest.approx(value if value > 0.5 else 0.0, abs=1e-9)
