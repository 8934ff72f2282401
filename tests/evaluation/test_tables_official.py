"""TEDS beside the original's parts: lxml's reading and the tree and costs of its PyPI package."""

import random

import pytest

from palikit.evaluation.metrics.tables import teds_of_table
from tests.evaluation.table_examples import broken, nearly, random_table

apted = pytest.importorskip("apted")
html = pytest.importorskip("lxml.html")
original = pytest.importorskip("table_recognition_metric")


def original_teds(answer: str, truth: str, structure_only: bool) -> float:
    """As PubTabNet puts them together; the package itself divides by another number of nodes."""
    from table_recognition_metric.utils import CustomConfig

    parser = html.HTMLParser(remove_comments=True, encoding="utf-8")
    found, right = (
        html.fromstring(each, parser=parser).xpath("body/table") for each in (answer, truth)
    )
    if not found or not right:
        return 0.0
    elements = max(len(table[0].xpath(".//*")) for table in (found, right))
    reader = original.TEDS(structure_only=structure_only)
    trees = [reader.load_html_tree(table[0]) for table in (found, right)]
    distance = apted.APTED(*trees, CustomConfig()).compute_edit_distance()
    return 1.0 - distance / elements if elements else 1.0


def agree(answer: str, truth: str, structure_only: bool) -> None:
    try:
        expected = original_teds(answer, truth, structure_only)
    except ValueError:  # a span that is no number, which counts as invalid here
        assert teds_of_table(answer, truth, structure_only=structure_only) is None
        return
    found = teds_of_table(answer, truth, structure_only=structure_only) or 0.0
    assert found == pytest.approx(expected, abs=1e-9), (answer, truth)


def test_whole_tables_score_as_with_the_original() -> None:
    rng = random.Random(2)
    for _ in range(1000):
        truth = random_table(rng, rows=5, cells=4)
        agree(
            nearly(rng, truth) if rng.random() < 0.6 else random_table(rng, rows=5, cells=4),
            truth,
            rng.random() < 0.4,
        )


def test_broken_tables_score_as_with_the_original() -> None:
    rng = random.Random(3)
    for _ in range(1000):
        truth = random_table(rng, rows=5, cells=4)
        agree(broken(rng, nearly(rng, truth)), truth, rng.random() < 0.4)
