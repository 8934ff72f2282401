"""ANLS by hand, against its golden figures and against a plain table of edits."""

import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palikit.errors import MissingExtraError
from palikit.evaluation.metrics.anls import anls, answer_anls, infovqa_answers
from tests.conftest import shared

texts = st.text(alphabet="abB 猫", max_size=8)


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


@settings(max_examples=1000, deadline=None)
@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_it_is_the_nearest_truth_by_a_plain_table_of_edits(text: str, truths: list[str]) -> None:
    for inclusive in (False, True):
        best = 0.0
        for truth in truths:
            longer = max(len(text), len(truth))
            twice = 2 * edits(text.lower(), truth.lower())
            if twice < longer or (inclusive and twice == longer) or not longer:
                best = max(best, 1 - twice / 2 / max(longer, 1))
        assert answer_anls(text, truths, inclusive=inclusive) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("anls_lower_lt", {}),
        ("anls_lower_le", {"inclusive": True}),
        ("anls_case_lt", {"ignore_case": False}),
        ("anls_official_strip_lower_lt", {"ignore_space": True}),
    ],
)
def test_the_golden_figures_of_receipts_come_out(name: str, options: dict[str, Any]) -> None:
    cases = json.loads(shared("golden", "anls_sroie", "cases.json").read_text())
    rows = cases["rows"]
    score = anls([row["prediction"] for row in rows], [row["targets"] for row in rows], **options)
    assert len(score.per_example) == 239
    assert score.per_example == pytest.approx([row[name] for row in rows], abs=1e-12)
    assert score.value == pytest.approx(cases["summary"][name], abs=1e-10)


def test_the_published_figure_of_the_eight_golden_pairs_comes_out() -> None:
    cases = json.loads(shared("golden", "anls_chartqa_pix2struct", "cases.json").read_text())
    score = anls(cases["predictions"], cases["targets"], inclusive=True)
    assert 100 * score.value == pytest.approx(cases["published"]["anls"], abs=1e-10)


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
