"""Molecules, sheet music and chest X-rays."""

import re
from collections.abc import Iterator

from palikit.evaluation.benchmarks.changes import padded
from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.items import lines_of, table_rows
from palikit.evaluation.benchmarks.layouts.source import Source

_SECTION = re.compile(r"^[ \t]*([A-Z][A-Z /]*[A-Z]):[ \t]*", re.MULTILINE)
"""The heading of a part of a report."""

_INDICATIONS = ("INDICATION", "HISTORY", "CLINICAL HISTORY", "REASON FOR EXAM")


def chemdraw(source: Source) -> Iterator[Entry]:
    """chemdraw.csv (image_id, SMILES) and chemdraw/0.png, the synthetic set of MolScribe."""
    for item in table_rows(source.need("chemdraw.csv"), "image_id", "SMILES"):
        name = item.text("image_id")
        picture = source.file(f"{name}.png", item.where, "chemdraw", "synthetic/chemdraw", "images")
        smiles = item.text("SMILES")
        yield Entry(name, (picture,), answers=(smiles,), where=item.where, change=padded)


def grandstaff(source: Source) -> Iterator[Entry]:
    """test.txt, on each line a path to a score in **kern, beside which the picture lies (.jpg)."""
    path = source.need(f"{source.split}.txt")
    for number, line in lines_of(path):
        where = f"{path.name}, line {number}"
        name = line.strip().removesuffix(".krn").removesuffix(".bekrn").removesuffix(".jpg")
        score = source.file_if_there(f"{name}.krn", where) or source.file(f"{name}.bekrn", where)
        picture = source.file(f"{name}.jpg", where)
        text = "\n".join(text for _, text in lines_of(score))
        yield Entry(name, (picture,), answers=(text,), where=where, change=padded)


def mimic_cxr(source: Source) -> Iterator[Entry]:
    """mimic-cxr-2.0.0-split.csv, files/p10/p10000032/s50414267.txt, pictures of MIMIC-CXR-JPG.

    The truth is the report's findings, the prompt its indication. A study without findings is left
    out.
    """
    columns = ("dicom_id", "study_id", "subject_id", "split")
    path = source.need("mimic-cxr-2.0.0-split.csv")
    for item in table_rows(path, *columns):
        if item.text("split") != source.split:
            continue
        subject, study = item.text("subject_id"), item.text("study_id")
        folder = f"files/p{subject[:2]}/p{subject}"
        report = source.file(f"{folder}/s{study}.txt", item.where)
        sections = report_sections("\n".join(line for _, line in lines_of(report)))
        findings = sections.get("FINDINGS", "")
        if not findings:
            continue
        name = item.text("dicom_id")
        yield Entry(
            name,
            (source.file(f"{folder}/s{study}/{name}.jpg", item.where),),
            answers=(findings,),
            context=next((sections[each] for each in _INDICATIONS if each in sections), ""),
            where=item.where,
        )


def report_sections(report: str) -> dict[str, str]:
    """The parts of a radiologist's report by their headings, each on one line."""
    headings = list(_SECTION.finditer(report))
    ends = [each.start() for each in headings[1:]] + [len(report)]
    return {
        heading[1]: " ".join(report[heading.end() : end].split())
        for heading, end in zip(headings, ends, strict=True)
    }
