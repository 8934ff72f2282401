"""TEDS and S-TEDS: the published figures, a slow tree distance, and answers that are no tables."""

import json
import random
import time
from functools import cache

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.table_html import read_table
from palikit.evaluation.metrics.tables import Node, teds, teds_of_table, tree_distance, tree_of
from palikit.evaluation.metrics.text import edit_distance
from tests.conftest import shared
from tests.evaluation.table_examples import random_table

pytest.importorskip("apted")
pytest.importorskip("rapidfuzz")

TABLE = "<table><tr><td>x</td><td>y</td></tr></table>"


def test_the_published_figures_of_pubtabnet_come_out() -> None:
    expected = json.loads(shared("golden", "teds", "expected.json").read_text())
    answers = json.loads(shared("golden", "teds", "sample_pred.json").read_text())
    truths = json.loads(shared("golden", "teds", "sample_gt.json").read_text())
    names = list(answers)
    found, right = [answers[each] for each in names], [truths[each]["html"] for each in names]
    score = teds(found, right)
    published = [expected["published_TEDS"][each] for each in names]
    assert score.per_example == pytest.approx(published, abs=1e-12)
    assert score.value == pytest.approx(expected["mean_TEDS"], abs=1e-12)
    assert score.interval[0] < score.value < score.interval[1]
    structure = teds(found, right, structure_only=True)
    assert structure.value == pytest.approx(expected["mean_S_TEDS"], abs=1e-12)
    assert score.invalid == structure.invalid == 0
    single = expected["single"]
    alone = teds_of_table(single["pred"], single["true"])
    assert alone == pytest.approx(single["published_TEDS"], abs=1e-12)


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


def test_the_tree_distance_is_that_of_the_definition() -> None:
    rng = random.Random(0)
    for _ in range(1000):
        first, second = (
            tree_of(
                read_table(random_table(rng, rows=3, cells=4, odd=0)),
                structure_only=rng.random() < 0.3,
            )
            for _ in range(2)
        )
        assert tree_distance(first, second) == pytest.approx(plain_distance(first, second))


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
def test_any_text_is_read_in_linear_time(unit: str, end: str) -> None:
    begun = time.process_time()
    teds_of_table("<table><tr><td>" + unit * (190_000 // len(unit)) + end, TABLE)
    assert time.process_time() - begun < 3


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
