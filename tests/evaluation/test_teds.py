"""TEDS and S-TEDS by hand, beside a slow tree distance, and of answers that are no tables."""

import random
from collections.abc import Iterator
from functools import cache

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.edits import edit_distance
from palikit.evaluation.metrics.table_html import read_table
from palikit.evaluation.metrics.teds import Node, teds, teds_of_table, tree_distance, tree_of
from tests.evaluation.agreement import SIZES
from tests.evaluation.table_examples import random_table

pytest.importorskip("apted")
pytest.importorskip("rapidfuzz")

TABLE = "<table><tr><td>x</td><td>y</td></tr></table>"


def plain_distance(first: Node, second: Node) -> float:
    """The distance of ordered forests by its definition, rightmost tree first."""

    def rename(a: Node, b: Node) -> float:
        if (a.tag, a.colspan, a.rowspan) != (b.tag, b.colspan, b.rowspan):
            return 1.0
        return edit_distance(a.content, b.content) / max(len(a.content), len(b.content), 1)

    def size(forest: tuple[Node, ...]) -> int:
        return sum(1 + size(tree.children) for tree in forest)

    @cache
    def distance(a: tuple[Node, ...], b: tuple[Node, ...]) -> float:
        if not a or not b:
            return size(a) + size(b)
        last, other = a[-1], b[-1]
        return min(
            distance(a[:-1] + last.children, b) + 1,
            distance(a, b[:-1] + other.children) + 1,
            distance(a[:-1], b[:-1])
            + distance(last.children, other.children)
            + rename(last, other),
        )

    return distance((first,), (second,))


def tree_differences(cases: int) -> Iterator[float]:
    rng = random.Random(0)
    for _ in range(cases):
        first, second = (
            tree_of(
                read_table(random_table(rng, rows=3, cells=4, odd=0)),
                structure_only=rng.random() < 0.3,
            )
            for _ in range(2)
        )
        yield abs(tree_distance(first, second) - plain_distance(first, second))


@pytest.mark.parametrize("cases", SIZES)
def test_the_tree_distance_is_that_of_the_definition(cases: int) -> None:
    assert max(tree_differences(cases)) < 1e-9


def test_tags_in_cells_count_as_elements_and_as_single_symbols() -> None:
    truth = "<table><tr><td><b>ab</b></td></tr></table>"
    # Four symbols of which two are wrong; three elements below the table.
    assert teds_of_table("<table><tr><td>ab</td></tr></table>", truth) == 1 - 0.5 / 3


def test_structure_leaves_the_texts_out_but_not_the_spans() -> None:
    assert teds_of_table(TABLE.replace("x", "long"), TABLE, structure_only=True) == 1.0
    spanned = TABLE.replace("<td>", '<td colspan="2">', 1)
    assert teds_of_table(spanned, TABLE, structure_only=True) == 1 - 1 / 3
    assert teds_of_table(TABLE.replace("td", "th"), TABLE) == 1 - 2 / 3


def test_a_table_is_found_with_and_without_a_document_around_it() -> None:
    whole = f"<!DOCTYPE html><html><head><style>td {{}}</style></head><body>\n{TABLE}</body></html>"
    assert teds_of_table(whole, TABLE) == teds_of_table(TABLE, whole) == 1.0


def test_location_tokens_in_cells_are_no_content() -> None:
    located = TABLE.replace("<td>", "<td><loc0001><loc0020><loc0300><loc1023>")
    assert teds_of_table(located, TABLE) == 1.0


def test_an_answer_that_was_cut_short_scores_what_it_has() -> None:
    assert teds_of_table("<table><tr><td>x</td><td", TABLE) == 1 - 1 / 3
    assert teds_of_table("<table><tr><td>x<td>y", TABLE) == 1.0


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "no table",
        "<div><table><tr><td>a</td></tr></table></div>",
        '<table><tr><td colspan="two">a</td></tr></table>',
        "<table>" + "<em>" * 500,
        "<table>" + "<tr>" * 5000,
        "<table><tr><td>" + "a" * 300_000,
        "<table><tr><td>&#" + "9" * 5000 + ";",
    ],
)
def test_an_answer_that_is_no_table_or_too_large_counts_as_wrong_and_invalid(answer: str) -> None:
    score = teds([answer, TABLE], [TABLE, TABLE])
    assert score.per_example == (0.0, 1.0)
    assert (score.value, score.invalid) == (0.5, 1)


@pytest.mark.parametrize(
    "unit", ["<", "</", "<!--", "<![", "<a<", '<a b="', "&", "<?", "<a a=b ", "</td"]
)
@pytest.mark.parametrize("end", ["", ">"])
def test_a_long_text_of_any_kind_is_read_to_its_end(unit: str, end: str) -> None:
    # Whatever is read more than once a character takes hours here.
    teds_of_table("<table><tr><td>" + unit * (190_000 // len(unit)) + end, TABLE)


def test_any_text_gets_a_score() -> None:
    rng = random.Random(1)
    pieces = ["<table>", "<tr>", "<td>", "</td>", "</tr>", "</table>", "<", ">", "=", '"', "'", "/"]
    pieces += [
        "td",
        "colspan",
        " ",
        "&",
        "&lt",
        "<!--",
        "-->",
        "<!",
        "a",
        "\0",
        "\ud800",
        "<loc0001>",
    ]
    for _ in range(1000):
        answer = "<table>" + "".join(rng.choices(pieces, k=rng.randrange(30)))
        score = teds_of_table(answer, TABLE)
        assert score is None or score <= 1.0


def test_a_truth_without_a_table_is_refused() -> None:
    with pytest.raises(InputError, match="true table cannot be read \\(no table\\)"):
        teds([TABLE], ["nothing"])
    with pytest.raises(InputError, match="no answers"):
        teds([], [])
    with pytest.raises(ValueError, match="zip"):
        teds([TABLE], [])
