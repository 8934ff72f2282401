"""The two tables of docs/metrics.md: golden figures, and how far other implementations are away.

    python -m benchmarks.metric_golden            # both printed; minutes
    python -m benchmarks.metric_golden --write    # and put between the markers of the page

The golden cases are those of tests/evaluation/golden_cases.py, the comparisons those of the tests
beside it, at the sizes named here. A comparison whose other side is not installed ends the program.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.page_parts import METRICS_PAGE, write_part
from benchmarks.speed.table import markdown

from tests.evaluation import (
    test_anls,
    test_captions_official,
    test_detection_official,
    test_grits,
    test_music,
    test_ocr_words,
    test_ptb_official,
    test_refcoco_metric,
    test_relaxed,
    test_teds,
    test_teds_official,
    test_text_metric,
    test_voc_metric,
    test_vqa_official,
)
from tests.evaluation.golden_cases import GOLDEN, Golden, golden_of

SMALL = 1e-12
"""Differences below it are rounding, and not told apart."""


@dataclass(frozen=True)
class Comparison:
    """One metric beside another way to the same figures.

    Attributes:
        package: of the official implementation, where it can be installed.
        other: what our figures stand beside.
        cases: that are generated.
        differences: of so many cases.
        counted: a difference is a case that is not equal; they are counted.
    """

    metric: str
    package: str | None
    other: str
    cases: int
    differences: Callable[[int], Iterable[float]]
    counted: bool = False


def grits_differences(cases: int) -> Iterator[float]:
    for kind in test_grits.KINDS:
        yield from test_grits.grits_differences(cases // 2, kind)


def token_differences(captions: Callable[[int], list[str]]) -> Callable[[int], Iterable[float]]:
    """One for each caption whose tokens are not the same."""

    def differences(cases: int) -> Iterator[float]:
        with tempfile.TemporaryDirectory() as folder:
            found = test_ptb_official.differences(captions(cases), Path(folder))
        yield from (1.0 for _ in found)

    return differences


def jumbles(cases: int) -> list[str]:
    kinds = test_ptb_official.JUMBLES
    return [
        text
        for letters, longest in kinds
        for text in test_ptb_official.jumbled(letters, longest, cases // len(kinds))
    ]


PTB = "the Java program that pycocoevalcap runs"

COMPARISONS = (
    Comparison("PTB tokens, ordinary captions", "pycocoevalcap", PTB, 6_000,
               token_differences(test_ptb_official.ordinary), counted=True),
    Comparison("PTB tokens, signs of all scripts", "pycocoevalcap", PTB, 6_000,
               token_differences(test_ptb_official.signs), counted=True),
    Comparison("PTB tokens, letters in any order", "pycocoevalcap", PTB, 12_000,
               token_differences(jumbles), counted=True),
    Comparison("PTB tokens, the golden captions", "pycocoevalcap", PTB, 8_256,
               token_differences(lambda _: test_ptb_official.real()), counted=True),
    Comparison("BLEU-1 to 4", "pycocoevalcap", "its Python scorer", 2_000,
               test_captions_official.bleu_differences),
    Comparison("ROUGE-L", "pycocoevalcap", "its Python scorer", 2_000,
               test_captions_official.rouge_differences),
    Comparison("CIDEr-D", "pycocoevalcap", "its Python scorer", 2_000,
               test_captions_official.cider_d_differences),
    Comparison("CIDEr", None, "the equations of the paper, written out", 2_000,
               test_captions_official.cider_differences),
    Comparison("AP of boxes", "pycocotools", "COCOeval, ten figures", 1_000,
               test_detection_official.box_differences),
    Comparison("AP of boxes, limits 1 to 3", "pycocotools", "COCOeval, ten figures", 1_000,
               test_detection_official.limit_differences),
    Comparison("AP of masks", "pycocotools", "COCOeval, ten figures", 1_000,
               test_detection_official.mask_differences),
    Comparison("VOC AP", None, "the rules, one box after the other", 1_000,
               test_voc_metric.voc_differences),
    Comparison("RefCOCO mIoU, box accuracy", "pycocotools", "its IoU of masks and boxes", 1_000,
               test_refcoco_metric.refcoco_differences),
    Comparison("VQA accuracy", None, "the rules, written out plainly", 2_000,
               test_vqa_official.vqa_differences),
    Comparison("ANLS", None, "a plain table of edits", 2_000, test_anls.anls_differences),
    Comparison("relaxed accuracy", None, "whole numbers, without division", 2_000,
               test_relaxed.relaxed_differences),
    Comparison("words, HierText's protocol", None, "the protocol by counting pixels", 1_000,
               test_ocr_words.word_differences),
    Comparison("TEDS, S-TEDS", "table-recognition-metric", "its tree and costs, lxml's reading",
               1_000, test_teds_official.teds_differences),
    Comparison("TEDS, S-TEDS, broken HTML", "table-recognition-metric",
               "its tree and costs, lxml's reading", 1_000,
               test_teds_official.broken_teds_differences),
    Comparison("tree distance of TEDS", None, "the definition, by recursion", 1_000,
               test_teds.tree_differences),
    Comparison("GriTS-Top, GriTS-Con", None, "the definition, one position after the other", 1_000,
               grits_differences),
    Comparison("CER, SER, LER of **kern", None, "a table of edits", 1_000,
               test_music.kern_differences),
    Comparison("CER, WER of texts", "jiwer", "its rates", 1_000,
               test_text_metric.rate_differences),
)  # fmt: skip


def golden_section() -> str:
    """The table of golden figures."""
    header = ("folder", "case", "figure", "official", "ours", "difference")
    return table(header, (_row(name, each) for name in GOLDEN for each in golden_of(name)))


def _row(folder: str, golden: Golden) -> tuple[str, ...]:
    figures = (_figures(golden.official), _figures(golden.ours))
    return (folder, golden.case, golden.figure, *figures, _difference(golden.difference))


def _figures(values: tuple[float, ...]) -> str:
    if len(values) > 1:
        return f"{len(values)} figures"
    return f"{values[0]:.10f}".rstrip("0").rstrip(".")


def _difference(value: float) -> str:
    return f"< {SMALL:.0e}" if value < SMALL else f"{value:.0e}"


def agreement_section() -> str:
    """The table of comparisons, each made now."""
    header = ("metric", "official package", "compared with", "cases", "largest difference")
    return table(header, (_compared(each) for each in COMPARISONS))


def _compared(comparison: Comparison) -> tuple[str, ...]:
    print(f"comparing {comparison.metric} ...", flush=True)
    found = list(comparison.differences(comparison.cases))
    package = comparison.package
    return (
        comparison.metric,
        f"{package} {version(package)}" if package else "none to install",
        comparison.other,
        f"{comparison.cases:,}",
        f"{len(found)} differ" if comparison.counted else _difference(max(found)),
    )


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(markdown(header, rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="into the page")
    parts = {"golden": golden_section, "agreement": agreement_section}
    parser.add_argument("--part", choices=list(parts), help="this table alone")
    args = parser.parse_args()
    for name, section in parts.items():
        if args.part not in (None, name):
            continue
        text = section()
        print(text, flush=True)
        if args.write:
            write_part(METRICS_PAGE, name, text)


if __name__ == "__main__":
    main()
