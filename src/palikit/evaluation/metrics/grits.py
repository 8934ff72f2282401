"""GriTS: how much of one table's grid is found, in order, in that of another.

Axis legend: R rows and C columns of the true table, S rows and D columns of the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import numpy as np

from palikit.evaluation.metrics.score import Floats, Ints, Score, mean_score
from palikit.evaluation.metrics.table_grid import Grid, grid_of
from palikit.evaluation.metrics.table_html import (
    UnreadableTableError,
    read_table,
    unusable_truth,
)

Kind = Literal["topology", "content"]
"""What of two cells is compared: which rows and columns they span, or their text."""

MAX_POSITIONS = 2_000
"""Largest grid of an answer that is compared whatever the truth; see `grits`."""

_UNBOUNDED = 10**6


@dataclass(frozen=True)
class GridMatch:
    """How far two grids agree, each in [0, 1].

    Attributes:
        similarity: summed over the matched positions.
        found: positions of the answer.
        true: positions of the truth.
    """

    similarity: float
    found: int
    true: int

    @property
    def precision(self) -> float:
        """Similarity a position of the answer."""
        return self.similarity / self.found

    @property
    def recall(self) -> float:
        """Similarity a position of the truth."""
        return self.similarity / self.true

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 where both are 0."""
        return 2 * self.similarity / (self.found + self.true)


def grits(answers: Sequence[str], truths: Sequence[str], *, kind: Kind) -> Score:
    """Grid table similarity, GriTS-Top or GriTS-Con: mean F1 over the tables, in [0, 1].

    microsoft/table-transformer, `src/grits.py` (`grits_from_html`; arXiv 2203.12555): rows are
    aligned by what their best alignments of columns add up to, columns likewise, each on its own;
    the similarities of the positions where an aligned row meets an aligned column are summed.
    Kept as there:

    - topology: spans seen from the position; shared area over the area of the rectangle around
      both, which is larger than their union where they are not nested;
    - content: `difflib.SequenceMatcher` of truth and answer, in this order, which ignores what is
      frequent in a text of 200 characters and more; two empty texts are alike; the texts within a
      cell are joined by one blank, so `x<b>2</b>` reads "x 2";
    - `td` and `th` alike; a span beyond the last row adds rows; where spans overlap, the later
      cell has the position;
    - of alignments that add up to the same, a match comes before skipping a row of the truth, and
      that before skipping one of the answer, seen from the end.

    Different from there: HTML is mended as for TEDS (the original reads strict XML), the first
    table of the body is meant, and a position that no cell holds, in a ragged table, is an empty
    cell of its own (there it raises).

    An answer counts as 0 and as invalid where it holds no table, a table without cells, a span
    that is no whole number from 1, or cells over more positions than both MAX_POSITIONS and twice
    the truth's, which could not score above two thirds: the time grows with the product of both.

    Args:
        answers: HTML.
        truths: HTML.
        kind: what is compared.

    Returns:
        The figure; parts are the mean `precision` and `recall`.

    Raises:
        InputError: there is nothing to score, or a truth holds no table with cells.
    """
    matches = [
        grits_of_table(answer, truth, kind=kind)
        for answer, truth in zip(answers, truths, strict=True)
    ]
    known = [match for match in matches if match is not None]
    count = max(len(matches), 1)
    return mean_score(
        [match.f1 if match else 0.0 for match in matches],
        invalid=matches.count(None),
        parts=(
            ("precision", sum(match.precision for match in known) / count),
            ("recall", sum(match.recall for match in known) / count),
        ),
    )


def grits_of_table(answer: str, truth: str, *, kind: Kind) -> GridMatch | None:
    """`grits` of one table; None where the answer is invalid."""
    try:
        true = grid_of(read_table(truth), _UNBOUNDED)
    except UnreadableTableError as fault:
        raise unusable_truth(truth, fault) from None
    try:
        found = grid_of(read_table(answer), max(MAX_POSITIONS, 2 * true.spans[..., 0].size))
    except UnreadableTableError:
        return None
    return match_grids(found, true, kind=kind)


def match_grids(found: Grid, true: Grid, *, kind: Kind) -> GridMatch:
    """The most similar substructures of two grids, rows and columns found apart from each other."""
    alike = span_similarity(found, true) if kind == "topology" else content_similarity(found, true)
    rows = _aligned(_line_scores(alike))
    columns = _aligned(_line_scores(alike.transpose(1, 0, 3, 2)))
    similarity = sum(float(alike[r, c, s, d]) for r, s in rows for c, d in columns)
    return GridMatch(similarity, alike.shape[2] * alike.shape[3], alike.shape[0] * alike.shape[1])


def span_similarity(found: Grid, true: Grid) -> Floats:
    """float64[R, C, S, D]: shared area of the spans over that of the rectangle around both."""
    a, b = true.spans[:, :, None, None], found.spans[None, None]
    low, high = np.minimum(a, b), np.maximum(a, b)
    shared = _area(high[..., :2], low[..., 2:])
    around = _area(low[..., :2], high[..., 2:])
    # Both hold their own position, so that they always meet.
    return np.asarray(shared / around, np.float64)


def content_similarity(found: Grid, true: Grid) -> Floats:
    """float64[R, C, S, D]: `difflib`'s ratio of the texts."""
    true_names, true_index = _distinct(true)
    found_names, found_index = _distinct(found)
    ratios = np.zeros((len(true_names), len(found_names)))
    matcher = SequenceMatcher(None)
    for column, second in enumerate(found_names):
        matcher.set_seq2(second)  # the side whose letters are counted once for all others
        letters = set(second)
        for row, first in enumerate(true_names):
            if first == second:
                ratios[row, column] = 1.0
            elif not letters.isdisjoint(first):
                matcher.set_seq1(first)
                ratios[row, column] = matcher.ratio()
    return np.asarray(ratios[true_index[:, :, None, None], found_index[None, None]])


def _area(low: Ints, high: Ints) -> Ints:
    sides = high - low
    area: Ints = sides[..., 0] * sides[..., 1]
    return area


def _distinct(grid: Grid) -> tuple[list[str], Ints]:
    """The different texts of a grid, and int64[rows, columns] which one stands where."""
    numbers: dict[str, int] = {}
    index = [[numbers.setdefault(text, len(numbers)) for text in row] for row in grid.texts]
    return list(numbers), np.array(index, np.int64)


def _line_scores(alike: Floats) -> Floats:
    """float64[R, S]: of every two rows, the best sum over their positions aligned in order."""
    table = np.zeros((alike.shape[1] + 1, alike.shape[3] + 1, alike.shape[0], alike.shape[2]))
    for c in range(alike.shape[1]):
        for d in range(alike.shape[3]):
            skipped = np.maximum(table[c, d + 1], table[c + 1, d])
            table[c + 1, d + 1] = np.maximum(table[c, d] + alike[:, c, :, d], skipped)
    scores: Floats = table[-1, -1]
    return scores


def _aligned(scores: Floats) -> list[tuple[int, int]]:
    """Lines of both sides aligned in order for the best sum of `scores`, float64[R, S]."""
    best = np.zeros((scores.shape[0] + 1, scores.shape[1] + 1))
    for r, row in enumerate(scores.tolist()):
        for s, score in enumerate(row):
            best[r + 1, s + 1] = max(best[r, s] + score, best[r, s + 1], best[r + 1, s])
    pairs: list[tuple[int, int]] = []
    r, s = scores.shape
    while r and s:
        if best[r, s] == best[r - 1, s - 1] + scores[r - 1, s - 1]:
            r, s = r - 1, s - 1
            pairs.append((r, s))
        elif best[r, s] == best[r - 1, s]:
            r -= 1
        else:
            s -= 1
    return pairs[::-1]
