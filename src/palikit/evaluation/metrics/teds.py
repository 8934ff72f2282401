"""TEDS and S-TEDS: how near the tree of one table in HTML is to that of another."""

from collections.abc import Sequence
from dataclasses import dataclass

from palikit.errors import MissingExtraError
from palikit.evaluation.metrics.edits import EditCounter, edit_counter
from palikit.evaluation.metrics.score import Score, mean_score
from palikit.evaluation.metrics.table_html import (
    Element,
    UnreadableTableError,
    read_table,
    unusable_truth,
)

MAX_ELEMENTS = 1_000
"""Largest answer that is compared whatever the truth; see `teds`."""

_PURPOSE = "score tables by TEDS"


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a table's tree: the table, a section, a row, a cell.

    Attributes:
        tag: its name.
        colspan, rowspan: of a `td`; None elsewhere.
        content: characters and tags within a `td`, a symbol each; empty elsewhere.
        children: the elements within; a `td` has none, they are in its content.
    """

    tag: str
    colspan: int | None
    rowspan: int | None
    content: tuple[str, ...]
    children: "tuple[Node, ...]"


def teds(answers: Sequence[str], truths: Sequence[str], *, structure_only: bool = False) -> Score:
    """Tree edit distance based similarity of tables, the mean over them, in [0, 1].

    ibm-aur-nlp/PubTabNet, `src/metric.py`: 1 - distance / elements of the larger table. Adding or
    leaving out a node costs 1; turning one into another costs 1 where tag, colspan or rowspan
    differ, else the edits between their contents over the longer content. Kept as there:

    - contents are characters, and each tag in a cell is one symbol (`<b>`, `</b>`);
    - elements are those below `<table>`, tags in cells included, though these are no nodes of the
      tree; `table-recognition-metric` divides by the nodes of the tree instead and prints less;
    - a distance above the number of elements gives a figure below 0;
    - a `th` is a node without content: its text does not count, its inner tags are nodes;
    - white space counts; comments do not.

    Different from there: a text without `<html>` is taken for a body's inside, and location tokens
    are taken out (see `table_html.read_table`).

    An answer counts as 0 and as invalid where it holds no table, or a span that is no number (the
    original raises), or more elements than both MAX_ELEMENTS and twice those of the truth: the
    time grows with the product of both.

    Args:
        answers: HTML.
        truths: HTML.
        structure_only: S-TEDS, which leaves the contents out.

    Raises:
        InputError: there is nothing to score, or a truth holds no table.
        MissingExtraError: apted or rapidfuzz is not installed.
    """
    scores = [
        teds_of_table(answer, truth, structure_only=structure_only)
        for answer, truth in zip(answers, truths, strict=True)
    ]
    return mean_score([score or 0.0 for score in scores], invalid=scores.count(None))


def teds_of_table(answer: str, truth: str, *, structure_only: bool = False) -> float | None:
    """`teds` of one table; None where the answer is invalid."""
    try:
        right, right_size = _read(truth, structure_only=structure_only)
    except UnreadableTableError as fault:
        raise unusable_truth(truth, fault) from None
    try:
        found, found_size = _read(answer, structure_only=structure_only)
    except UnreadableTableError:
        return None
    if found_size > max(MAX_ELEMENTS, 2 * right_size):
        return None
    # Two empty tables are equal; the original divides by zero.
    return 1.0 - tree_distance(found, right) / max(found_size, right_size, 1)


def tree_of(element: Element, *, structure_only: bool = False) -> Node:
    """The tree that is compared.

    Raises:
        UnreadableTableError: a span is no number.
    """
    if element.tag == "td":
        content = () if structure_only else tuple(_symbols(element))
        return Node("td", element.span("colspan"), element.span("rowspan"), content, ())
    children = (tree_of(child, structure_only=structure_only) for child in element.children)
    return Node(element.tag, None, None, (), tuple(children))


def tree_distance(found: Node, right: Node) -> float:
    """The least cost of turning one tree into the other, by APTED.

    Raises:
        MissingExtraError: apted or rapidfuzz is not installed.
    """
    if found == right:  # what a good model writes most often, and APTED's slowest case too
        return 0.0
    try:
        from apted import APTED
    except ImportError:
        raise MissingExtraError("apted", "evaluate", _PURPOSE) from None
    return float(APTED(found, right, _Costs(edit_counter(_PURPOSE))).compute_edit_distance())


class _Costs:
    """What `apted.Config` is asked for; the names are its own."""

    valuecls = int

    def __init__(self, edits: EditCounter) -> None:
        self._edits = edits

    def delete(self, node: Node) -> int:
        return 1

    def insert(self, node: Node) -> int:
        return 1

    def children(self, node: Node) -> tuple[Node, ...]:
        return node.children

    def rename(self, first: Node, second: Node) -> float:
        if (first.tag, first.colspan, first.rowspan) != (
            second.tag,
            second.colspan,
            second.rowspan,
        ):
            return 1.0
        if first.content == second.content:
            return 0.0
        longer = max(len(first.content), len(second.content))
        return self._edits(first.content, second.content) / longer


def _symbols(cell: Element) -> list[str]:
    """A cell's content; as in the original, what follows a cell inside a cell is dropped."""
    symbols: list[str] = []
    dropped = False
    for each in cell.content:
        if isinstance(each, str):
            symbols += "" if dropped else each
            continue
        symbols += [f"<{each.tag}>", *_symbols(each)]
        # <unk> has no end in PubTabNet's vocabulary.
        symbols += [] if each.tag == "unk" else [f"</{each.tag}>"]
        dropped = each.tag == "td"
    return symbols


def _read(html: str, *, structure_only: bool) -> tuple[Node, int]:
    table = read_table(html)
    return tree_of(table, structure_only=structure_only), sum(1 for _ in table.walk()) - 1
