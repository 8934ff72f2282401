"""TEDS beside the original's parts: lxml's reading and the tree and costs of its PyPI package."""

import math
import random
from collections.abc import Iterator

import pytest

from palikit.evaluation.metrics.teds import teds_of_table
from tests.evaluation.agreement import SIZES
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


def apart(answer: str, truth: str, structure_only: bool) -> float:
    found = teds_of_table(answer, truth, structure_only=structure_only)
    try:
        expected = original_teds(answer, truth, structure_only)
    except ValueError:  # a span that is no number, which counts as invalid here
        return 0.0 if found is None else math.inf
    return abs((found or 0.0) - expected)


def teds_differences(cases: int) -> Iterator[float]:
    """Of whole tables, some of them nearly alike."""
    rng = random.Random(2)
    for _ in range(cases):
        truth = random_table(rng, rows=5, cells=4)
        answer = nearly(rng, truth)
        if rng.random() < 0.4:
            answer = random_table(rng, rows=5, cells=4)
        yield apart(answer, truth, rng.random() < 0.4)


def broken_teds_differences(cases: int) -> Iterator[float]:
    """Of answers cut short, or with pieces lost, doubled or exchanged."""
    rng = random.Random(3)
    for _ in range(cases):
        truth = random_table(rng, rows=5, cells=4)
        yield apart(broken(rng, nearly(rng, truth)), truth, rng.random() < 0.4)


@pytest.mark.parametrize("cases", SIZES)
def test_whole_tables_score_as_with_the_original(cases: int) -> None:
    assert max(teds_differences(cases)) < 1e-9


@pytest.mark.parametrize("cases", SIZES)
def test_broken_tables_score_as_with_the_original(cases: int) -> None:
    assert max(broken_teds_differences(cases)) < 1e-9
