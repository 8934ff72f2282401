"""GriTS by hand, beside its slow definition, and on tables that are ragged or no tables."""

import random
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.grits import (
    Kind,
    content_similarity,
    grits,
    grits_of_table,
    match_grids,
    span_similarity,
)
from palikit.evaluation.metrics.table_grid import Grid, grid_of
from palikit.evaluation.metrics.table_html import UnreadableTableError, read_table
from tests.evaluation.agreement import SIZES, apart
from tests.evaluation.table_examples import random_table

KINDS: tuple[Kind, ...] = ("topology", "content")
SQUARE = "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>"


def grid(html: str) -> Grid:
    return grid_of(read_table(html), 10_000)


def random_grid(rng: random.Random) -> Grid:
    while True:
        try:
            return grid_of(read_table(random_table(rng, rows=4, cells=4, odd=0)), 12)
        except UnreadableTableError:  # no cell, or too many to be slow with
            continue


@cache
def slow_spans(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    cells = [
        {(x, y) for x in range(left, right) for y in range(top, bottom)}
        for left, top, right, bottom in (a, b)
    ]
    both = cells[0] | cells[1]
    width = max(x for x, _ in both) - min(x for x, _ in both) + 1
    height = max(y for _, y in both) - min(y for _, y in both) + 1
    return len(cells[0] & cells[1]) / (width * height)


def slow_reward(true: Grid, found: Grid, kind: Kind, r: int, c: int, s: int, d: int) -> float:
    if kind == "topology":
        return slow_spans(tuple(true.spans[r, c].tolist()), tuple(found.spans[s, d].tolist()))
    first, second = true.texts[r][c], found.texts[s][d]
    return SequenceMatcher(None, first, second).ratio()


def slow_alignment(scores: list[list[float]]) -> tuple[float, list[tuple[int, int]]]:
    """Best sum and pairs, by a table and pointers, one position at a time."""
    rows, columns = len(scores), len(scores[0])
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    came = [["match"] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows + 1):
        for j in range(columns + 1):
            if not i or not j:
                came[i][j] = "skip true" if i else "skip found"
                continue
            ways = {
                "match": best[i - 1][j - 1] + scores[i - 1][j - 1],
                "skip true": best[i - 1][j],
                "skip found": best[i][j - 1],
            }
            best[i][j] = max(ways.values())
            came[i][j] = next(way for way, value in ways.items() if value == best[i][j])
    pairs, i, j = [], rows, columns
    while i or j:
        way = came[i][j]
        i, j = i - (way != "skip found"), j - (way != "skip true")
        if way == "match":
            pairs.append((i, j))
    return best[-1][-1], pairs[::-1]


def slow_match(true: Grid, found: Grid, kind: Kind) -> tuple[float, float]:
    """Similarity of the matched positions, and the bound that rows or columns alone give."""
    (rows, columns), (lines, places) = true.shape, found.shape

    def of_rows(r: int, s: int) -> float:
        rewards = [
            [slow_reward(true, found, kind, r, c, s, d) for d in range(places)]
            for c in range(columns)
        ]
        return slow_alignment(rewards)[0]

    def of_columns(c: int, d: int) -> float:
        rewards = [
            [slow_reward(true, found, kind, r, c, s, d) for s in range(lines)] for r in range(rows)
        ]
        return slow_alignment(rewards)[0]

    by_row, row_pairs = slow_alignment([[of_rows(r, s) for s in range(lines)] for r in range(rows)])
    by_column, column_pairs = slow_alignment(
        [[of_columns(c, d) for d in range(places)] for c in range(columns)]
    )
    total = sum(
        slow_reward(true, found, kind, r, c, s, d) for r, s in row_pairs for c, d in column_pairs
    )
    return total, min(by_row, by_column)


def grits_differences(cases: int, kind: Kind) -> Iterator[float]:
    """Of similarities and sizes; the match may not lie above the bound either."""
    rng = random.Random(4)
    for _ in range(cases):
        true, found = random_grid(rng), random_grid(rng)
        match = match_grids(found, true, kind=kind)
        expected, bound = slow_match(true, found, kind)
        yield max(0.0, match.similarity - bound)
        yield abs(match.similarity - expected)
        yield apart((match.true, match.found), (np.prod(true.shape), np.prod(found.shape)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cases", SIZES)
def test_matches_are_those_of_the_slow_definition(kind: Kind, cases: int) -> None:
    assert max(grits_differences(cases, kind)) < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_no_choice_of_rows_and_columns_is_beaten(kind: Kind) -> None:
    """The factored match is a choice of rows and columns, so the best of all choices bounds it."""
    rng = random.Random(5)
    for _ in range(100):
        true, found = random_grid(rng), random_grid(rng)
        if max(true.shape + found.shape) > 3:
            continue
        similar = span_similarity if kind == "topology" else content_similarity
        alike = similar(found, true)
        best = max(
            alike[np.ix_(rows, columns, lines, places)].diagonal(0, 0, 2).diagonal(0, 0, 1).sum()
            for n in range(min(true.shape[0], found.shape[0]) + 1)
            for m in range(min(true.shape[1], found.shape[1]) + 1)
            for rows in combinations(range(true.shape[0]), n)
            for lines in combinations(range(found.shape[0]), n)
            for columns in combinations(range(true.shape[1]), m)
            for places in combinations(range(found.shape[1]), m)
        )
        assert match_grids(found, true, kind=kind).similarity <= best + 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_equals_itself(kind: Kind) -> None:
    rng = random.Random(6)
    for _ in range(100):
        each = random_grid(rng)
        assert match_grids(each, each, kind=kind).f1 == pytest.approx(1.0)


def test_a_missing_row_costs_recall() -> None:
    answer = "<table><tr><td>c</td><td>d</td></tr></table>"
    for kind in KINDS:
        score = grits([answer], [SQUARE], kind=kind)
        assert (score.part("precision"), score.part("recall")) == (1.0, 0.5)
        assert score.value == pytest.approx(2 / 3)


def test_spans_are_compared_by_the_rectangle_around_both() -> None:
    wide = grid('<table><tr><td colspan="2">a</td></tr><tr><td>b</td><td>c</td></tr></table>')
    tall = grid('<table><tr><td rowspan="2">a</td><td>b</td></tr><tr><td>c</td></tr></table>')
    # 2 x 1 and 1 x 2 share one position of the four around them; their union has three.
    assert span_similarity(wide, tall)[0, 0, 0, 0] == 1 / 4


def test_frequent_letters_of_long_texts_are_ignored() -> None:
    long = ("ab" * 150, "ba" * 150)
    first, second = (grid(f"<table><tr><td>{each}</td></tr></table>") for each in long)
    expected = SequenceMatcher(None, *long).ratio()
    assert content_similarity(second, first)[0, 0, 0, 0] == expected
    assert expected != SequenceMatcher(None, *long, autojunk=False).ratio()


def test_texts_within_a_cell_are_joined_by_a_blank() -> None:
    assert grid("<table><tr><td>x<b>2</b></td></tr></table>").texts == (("x 2",),)


def test_cells_fill_the_first_free_column() -> None:
    spanned = grid(
        '<table><tr><td rowspan="2">a</td><td>b</td></tr><tr><td>c</td><th>d</th></tr></table>'
    )
    assert spanned.texts == (("a", "b", ""), ("a", "c", "d"))
    assert spanned.spans[:, 0].tolist() == [[0, 0, 1, 2], [0, -1, 1, 1]]


def test_positions_without_a_cell_are_empty_cells() -> None:
    ragged = grid("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>")
    assert ragged.texts == (("a", "b"), ("c", ""))
    assert ragged.spans[1, 1].tolist() == [0, 0, 1, 1]
    assert grits_of_table("<table><tr><td>a</td></tr><tr></tr></table>", SQUARE, kind="content")


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "no table",
        "<table></table>",
        '<table><tr><td rowspan="0">a</td></tr></table>',
        '<table><tr><td colspan="-1">a</td></tr></table>',
        '<table><tr><td colspan="x">a</td></tr></table>',
        '<table><tr><td colspan="999999999">a</td></tr></table>',
        '<table><tr><td rowspan="1500">a</td></tr><tr><td colspan="1500">b</td></tr></table>',
        '<table><tr><td rowspan="100">a</td><td colspan="100">b</td></tr></table>',
        "<table>" + "<tr><td>a</td></tr>" * 3000 + "</table>",
    ],
)
def test_an_answer_that_is_no_table_or_too_large_counts_as_wrong_and_invalid(answer: str) -> None:
    for kind in KINDS:
        score = grits([answer, SQUARE], [SQUARE, SQUARE], kind=kind)
        assert score.per_example == (0.0, 1.0)
        assert (score.value, score.invalid, score.part("recall")) == (0.5, 1, 0.5)


def test_a_truth_without_cells_is_refused() -> None:
    with pytest.raises(InputError, match="no cell"):
        grits([SQUARE], ["<table></table>"], kind="topology")
    with pytest.raises(InputError, match="no answers"):
        grits([], [], kind="topology")
