"""ANLS by hand and against a plain table of edits."""

import random
import sys
from collections.abc import Iterator

import pytest

from palikit.errors import MissingExtraError
from palikit.evaluation.metrics.anls import anls, answer_anls, infovqa_answers


@pytest.fixture(autouse=True)
def _needs_rapidfuzz() -> None:
    pytest.importorskip("rapidfuzz")


def edits(a: str, b: str) -> int:
    table = [[i + j if not i * j else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            swapped = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, swapped)
    return table[-1][-1]


def anls_differences(cases: int) -> Iterator[float]:
    """Of one to three truths, with the threshold left out and counted in."""
    chance = random.Random(0)

    def text() -> str:
        return "".join(chance.choices("abB 猫", k=chance.randint(0, 8)))

    for _ in range(cases):
        answer, truths = text(), [text() for _ in range(chance.randint(1, 3))]
        for inclusive in (False, True):
            value = answer_anls(answer, truths, inclusive=inclusive)
            yield abs(value - slow_anls(answer, truths, inclusive))


def slow_anls(answer: str, truths: list[str], inclusive: bool) -> float:
    best = 0.0
    for truth in truths:
        longer = max(len(answer), len(truth))
        twice = 2 * edits(answer.lower(), truth.lower())
        if twice < longer or (inclusive and twice == longer) or not longer:
            best = max(best, 1 - twice / 2 / max(longer, 1))
    return best


def test_it_is_the_nearest_truth_by_a_plain_table_of_edits() -> None:
    assert max(anls_differences(1_000)) < 1e-12


def test_an_answer_that_is_half_wrong_earns_nothing() -> None:
    assert answer_anls("ab", ["ax"]) == 0
    assert answer_anls("ab", ["ax"], inclusive=True) == 0.5
    assert answer_anls("abc", ["abx"]) == pytest.approx(2 / 3)
    assert answer_anls("abc", ["abx"], threshold=0.2) == 0


def test_an_empty_truth_is_met_by_an_empty_answer_alone() -> None:
    assert answer_anls("", [""]) == 1
    assert answer_anls("a", [""]) == 0
    assert answer_anls("", ["a"]) == 0


def test_space_counts_unless_told_otherwise() -> None:
    assert answer_anls(" a  b ", ["a b"], ignore_space=True) == 1
    assert answer_anls(" a  b ", ["a b"]) == 0


def test_a_list_may_be_answered_in_any_order() -> None:
    assert infovqa_answers(["a, b", "c"]) == ("a, b", "b, a", "c")
    assert len(infovqa_answers(["a, b, c"])) == 6
    assert infovqa_answers(["x, x"]) == ("x, x",)
    assert infovqa_answers(["1,000"]) == ("1,000",)
    assert answer_anls("b, c, a", infovqa_answers(["a, b, c"])) == 1


def test_a_very_long_list_keeps_its_order() -> None:
    eight, nine = (", ".join("abcdefghi"[:count]) for count in (8, 9))
    assert len(infovqa_answers([eight])) == 40320
    assert infovqa_answers([nine]) == (nine,)


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(MissingExtraError, match=r"palikit\[evaluate\]"):
        anls(["a"], [["a"]])
