"""Which marked objects may be trained on, and what becomes of the others."""

from collections.abc import Iterator
from dataclasses import replace

from palikit.data.classes import Classes, choose_classes
from palikit.data.findings import Findings, shown_box
from palikit.data.options import RenderOptions
from palikit.data.outlines import clipped
from palikit.data.records import Annotation, Record, Records
from palikit.results import Box

ROUNDING = 0.5
"""Pixels by which a box may reach over the picture's edge and is cut silently: formats round."""


def admit_records(records: Records, options: RenderOptions) -> Records:
    """Rename and choose classes, and leave out what cannot be trained on.

    Crowds stay, for evaluation, and are noted. Left out and noted are degenerate boxes and empty
    outlines. Left out as errors are classes that a prompt cannot hold, reversed boxes, boxes beyond
    the picture unless they are to be cut, and objects without an outline where one is needed.

    Returns:
        The records with the objects that are left, under their chosen names; the classes in the
        order of prompts; all problems.

    Raises:
        InputError: a class to choose or rename is not there.
    """
    findings = Findings()
    labels = [each.label for record in records.records for each in record.objects or ()]
    classes = choose_classes([*records.classes, *labels], options, findings, "the classes")
    admitted = tuple(
        record
        if record.objects is None
        else replace(record, objects=tuple(_admitted(record, classes, options, findings)))
        for record in records.records
    )
    return Records(admitted, classes.names, (*records.problems, *findings.problems))


def _admitted(
    record: Record, classes: Classes, options: RenderOptions, findings: Findings
) -> Iterator[Annotation]:
    for found in record.objects or ():
        label = classes.name_of.get(found.label)
        if label is None:
            continue
        box = _box(record, found, options, findings)
        if box is None:
            continue
        if found.crowd:
            findings.note(
                record.where,
                f"{label!r} at {shown_box(found.box)} is a crowd or difficult: not trained on",
                "crowd or difficult object",
            )
        elif options.task == "segment" and not _has_outline(record, found, findings):
            continue
        yield replace(found, label=label, box=box)


def _box(
    record: Record, found: Annotation, options: RenderOptions, findings: Findings
) -> Box | None:
    """The box within the picture; None, with the reason noted, where it cannot be used."""
    box, width, height = found.box, record.width, record.height
    if box.x1 > box.x2 or box.y1 > box.y2:  # often x, y, width, height, which others look like too
        findings.error(
            record.where,
            f"the box {shown_box(box)} of {found.label!r} ends before it begins: give left, top, "
            "right and bottom edge, no width and height",
            "reversed box",
        )
        return None
    if not (box.x1 < box.x2 and box.y1 < box.y2):
        findings.note(
            record.where,
            f"the box {shown_box(box)} of {found.label!r} is empty and is left out",
            "degenerate box",
        )
        return None
    beyond = max(-box.x1, -box.y1, box.x2 - width, box.y2 - height)
    if beyond <= 0:
        return box
    if beyond > ROUNDING and not options.clip:
        findings.error(
            record.where,
            f"the box {shown_box(box)} of {found.label!r} reaches beyond the picture, which is "
            f"{width} x {height} pixels: correct it, or cut such boxes with --clip",
            "box beyond the picture",
        )
        return None
    cut = clipped(box, (width, height))
    if cut is None:
        findings.note(
            record.where,
            f"the box {shown_box(box)} of {found.label!r} lies outside the picture and is left out",
            "box outside the picture",
        )
        return None
    if beyond > ROUNDING:
        findings.note(
            record.where, f"the box {shown_box(box)} of {found.label!r} was cut", "clipped box"
        )
    return cut


def _has_outline(record: Record, found: Annotation, findings: Findings) -> bool:
    if found.mask is None:
        findings.error(
            record.where,
            f"{found.label!r} at {shown_box(found.box)} has a box and no outline: draw one, or "
            "choose --task detect",
            "object without outline",
        )
        return False
    if found.mask.area == 0:
        findings.note(
            record.where,
            f"the outline of {found.label!r} at {shown_box(found.box)} is empty and is left out",
            "degenerate outline",
        )
        return False
    return True
