"""Every golden figure comes out, and the page shows what comes out."""

import pytest
from benchmarks.metric_golden import golden_section
from benchmarks.page_parts import METRICS_PAGE, part_of

from palikit.evaluation.metrics.teds import teds
from tests.conftest import shared
from tests.evaluation.golden_cases import GOLDEN, golden_of, read, teds_tables

SLOW = ("teds",)
"""Folders that take longer than seconds."""


@pytest.mark.parametrize(
    "folder",
    [pytest.param(each, marks=[pytest.mark.parity] * (each in SLOW)) for each in GOLDEN],
)
def test_the_golden_figures_come_out(folder: str) -> None:
    pytest.importorskip("pycocotools")
    cases = golden_of(folder)
    assert cases
    off = [each for each in cases if not each.difference <= each.tolerance]
    assert off == []


def test_the_shorter_tables_of_pubtabnet_have_their_published_teds() -> None:
    published = read("teds", "expected.json")["published_TEDS"]
    tables = sorted(zip(*teds_tables(), strict=True), key=lambda each: len(each[2]))[:8]
    names, answers, truths = zip(*tables, strict=True)
    assert teds(answers, truths).per_example == pytest.approx(
        [published[each] for each in names], abs=1e-12
    )


def test_every_golden_folder_has_its_cases() -> None:
    folders = {path.name for path in shared("golden").iterdir() if path.is_dir()}
    assert folders == set(GOLDEN)


@pytest.mark.parity
def test_the_page_shows_the_golden_figures() -> None:
    shared("golden")
    pytest.importorskip("pycocotools")
    assert part_of(METRICS_PAGE.read_text(encoding="utf-8"), "golden") == golden_section()
