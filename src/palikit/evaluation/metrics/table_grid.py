"""The grid that the cells of an HTML table fill."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from palikit.evaluation.metrics.score import Ints
from palikit.evaluation.metrics.table_html import CELLS, Element, UnreadableTableError


@dataclass(frozen=True)
class Cell:
    """A cell and the rows and columns it spans; `bottom` and `right` are exclusive."""

    top: int
    left: int
    bottom: int
    right: int
    text: str


@dataclass(frozen=True)
class Grid:
    """A table as rows and columns, each position held by one cell.

    Attributes:
        spans: int64[rows, columns, 4], the edges of the cell that holds a position, seen from
            there: left, top, right, bottom; 0, 0, 1, 1 for a cell of one position.
        texts: of these cells, by row and column.
    """

    spans: Ints
    texts: tuple[tuple[str, ...], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.spans.shape[0], self.spans.shape[1]


def grid_of(table: Element, limit: int) -> Grid:
    """The grid of a table.

    Args:
        table: the element.
        limit: positions beyond which a table is refused.

    Raises:
        UnreadableTableError: there is no cell, a span is no whole number from 1, or the cells span
            more than `limit` positions.
    """
    cells = _placed(table, limit)
    if not cells:
        raise UnreadableTableError("no cell")
    rows, columns = max(each.bottom for each in cells), max(each.right for each in cells)
    if rows * columns > limit:
        raise _too_large(limit)
    spans = np.tile(np.array([0, 0, 1, 1], np.int64), (rows, columns, 1))
    texts = [[""] * columns for _ in range(rows)]
    for cell in cells:
        for row, column in _positions(cell):
            edges = (cell.left - column, cell.top - row, cell.right - column, cell.bottom - row)
            spans[row, column] = edges
            texts[row][column] = cell.text
    return Grid(spans, tuple(tuple(row) for row in texts))


def _placed(table: Element, limit: int) -> list[Cell]:
    """Cells in the order of the text, each in the first free column of its row."""
    cells: list[Cell] = []
    taken: dict[int, set[int]] = {}
    row, positions = -1, 0
    for element in table.walk():
        row += element.tag == "tr"
        if element.tag not in CELLS:
            continue
        height, width = element.span("rowspan"), element.span("colspan")
        if height < 1 or width < 1:
            raise UnreadableTableError("a colspan or rowspan below 1")
        positions += height * width
        if positions > limit:
            raise _too_large(limit)
        top = max(row, 0)
        left = _first_free(taken.get(top, set()))
        cell = Cell(top, left, top + height, left + width, " ".join(element.texts()))
        for place, column in _positions(cell):
            taken.setdefault(place, set()).add(column)
        cells.append(cell)
    return cells


def _first_free(taken: set[int]) -> int:
    return next(column for column in range(len(taken) + 1) if column not in taken)


def _positions(cell: Cell) -> Iterator[tuple[int, int]]:
    for row in range(cell.top, cell.bottom):
        for column in range(cell.left, cell.right):
            yield row, column


def _too_large(limit: int) -> UnreadableTableError:
    return UnreadableTableError(f"cells over more than {limit} positions")
