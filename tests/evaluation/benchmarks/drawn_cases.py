"""Rows of the benchmarks of tables, molecules, sheet music and X-rays."""

from pathlib import Path
from typing import Any

from tests.evaluation.benchmarks.case import (
    DOGS,
    KITES,
    OTHER,
    TRAINS,
    TWO_OF_THREE,
    Case,
)
from tests.evaluation.benchmarks.writing import as_csv, as_lines, picture, text

_STRUCTURE = ["<thead>", "<tr>", "<td", ' colspan="2"', ">", "</td>", "</tr>", "</thead>"]
_CELLS = [{"tokens": ["<b>", "A", "</b>"], "bbox": [0, 0, 2, 2]}]
_TABLE = '<thead><tr><td colspan="2"><b>A</b></td></tr></thead>'
_WHOLE = f"<html><body><table>{_TABLE}</table></body></html>"


def _html() -> dict[str, Any]:
    return {"structure": {"tokens": _STRUCTURE}, "cells": _CELLS}


def _pubtabnet(folder: Path) -> None:
    rows = [
        {"filename": f"PMC{number}.png", "split": split, "imgid": number, "html": _html()}
        for number, split in ((1, "val"), (2, "val"), (3, "val"), (4, "train"))
    ]
    as_lines(folder, "PubTabNet_2.0.0.jsonl", rows)
    for number in (1, 2, 3):
        picture(folder, f"val/PMC{number}.png")


def _fintabnet(folder: Path) -> None:
    rows = [
        {"filename": f"AAL/{number}.pdf", "table_id": number, "html": _html()}
        for number in (1, 2, 3)
    ]
    as_lines(folder, "FinTabNet_1.0.0_table_test.jsonl", rows)
    for number in (1, 2, 3):
        picture(folder, f"images/{number}.png")


def _chemdraw(folder: Path) -> None:
    rows = [("0", "", "CCO"), ("1", "", "C1=CC=CC=C1"), ("2", "", "C#N")]
    as_csv(folder, "chemdraw.csv", ("image_id", "file_path", "SMILES"), rows)
    for name in "012":
        picture(folder, f"chemdraw/{name}.png")


_KERN = "**kern\t**kern\n4c\t4e\n*-\t*-"


def _grandstaff(folder: Path) -> None:
    names = [f"bach/op{number}/m-0-4" for number in (1, 2, 3)]
    text(folder, "test.txt", "".join(f"{name}.krn\n" for name in names))
    for name in names:
        text(folder, f"{name}.krn", f"{_KERN}\n")
        picture(folder, f"{name}.jpg")


def _mimic(folder: Path) -> None:
    header = ("dicom_id", "study_id", "subject_id", "split")
    rows = [(f"d{number}", f"5{number}", "10000032", "test") for number in (1, 2, 3, 4)]
    as_csv(folder, "mimic-cxr-2.0.0-split.csv", header, [*rows, ("d9", "9", "10", "train")])
    place = "files/p10/p10000032"
    for number, findings in zip((1, 2, 3), (KITES, DOGS, TRAINS), strict=True):
        broken = findings.replace(" ", "\n ", 1)
        report = (
            " FINAL REPORT\n INDICATION:  Cough,\n   fever.\n\n"
            f" FINDINGS: {broken}\n\n IMPRESSION:\n Fine.\n"
        )
        text(folder, f"{place}/s5{number}.txt", report)
        picture(folder, f"{place}/s5{number}/d{number}.jpg")
    text(folder, f"{place}/s54.txt", " INDICATION: Cough.\n IMPRESSION: Fine.\n")


def _tables_case(write: Any, ids: tuple[str, ...]) -> Case:
    # Equal; one of four elements (thead, tr, td, b) has no colspan; no table at all.
    single = _WHOLE.replace(' colspan="2"', "")
    return Case(
        write,
        ("ocr",) * 3,
        ids,
        ((_WHOLE,),) * 3,
        (_WHOLE, single, "none"),
        (1 + 0.75 + 0) / 3,
        parts=(("s_teds", (1 + 0.75 + 0) / 3),),
    )


# Of 11 characters and marks of each score one is other: "**kern" is six characters, and each of
# both lines between has a tab; 6 + 1 + 6, break, 2 + 1 + 2, break, 2 + 1 + 2 are 25.
_WRONG = _KERN.replace("4e", "4f")

DRAWN: dict[str, Case] = {
    "pubtabnet": _tables_case(_pubtabnet, ("PMC1.png", "PMC2.png", "PMC3.png")),
    "fintabnet": _tables_case(_fintabnet, ("1", "2", "3")),
    "chemdraw": Case(
        _chemdraw,
        ("ocr",) * 3,
        ("0", "1", "2"),
        (("CCO",), ("C1=CC=CC=C1",), ("C#N",)),
        ("CCO", "c1ccccc1", "C#N"),
        2 / 3,
    ),
    # Three of 75 characters, of 33 symbols (3 + 1 + 3 + 1 + 3 each) and of 9 lines.
    "grandstaff": Case(
        _grandstaff,
        ("ocr",) * 3,
        tuple(f"bach/op{number}/m-0-4" for number in (1, 2, 3)),
        ((_KERN,),) * 3,
        (_WRONG,) * 3,
        100 * 3 / 75,
        parts=(("ser", 100 * 3 / 33), ("ler", 100 * 3 / 9)),
    ),
    "mimic-cxr": Case(
        _mimic,
        ("Cough, fever.",) * 3,
        ("d1", "d2", "d3"),
        ((KITES,), (DOGS,), (TRAINS,)),
        (KITES, DOGS, OTHER),
        TWO_OF_THREE,
        parts=(("bleu4", 2 / 3), ("rouge_l", 2 / 3)),
    ),
}
