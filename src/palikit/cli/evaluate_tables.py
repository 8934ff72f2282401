"""A report and a comparison on a terminal."""

import json
import math
from typing import TYPE_CHECKING

import click

from palikit.cli.command import remark
from palikit.cli.tables import print_table
from palikit.errors import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palikit.evaluation.compare import Difference
    from palikit.evaluation.published import Beside
    from palikit.evaluation.report import Report

_MAX_PARTS = 20
"""Parts of a figure that are shown; report.json has all."""


def show_report(report: "Report", output_format: str, *, quiet: bool) -> None:
    """The figure beside the published scores of the same size and picture side."""
    if not quiet:
        for line in report.remarks:
            remark(line)
    if output_format == "json":
        record = {**report.to_dict(), "folder": str(report.folder)}
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    click.echo(
        f"{report.title}, {report.split}: {report.subject.name} on "
        f"{counted(report.examples, 'question')}\n"
    )
    if report.score is not None:
        _show_figures(report)
    faults = [("unparsed", report.unparsed), ("cut off", report.cut_off)]
    if report.score is not None:
        faults.insert(0, ("invalid", report.score.invalid))
    click.echo("\n" + ", ".join(f"{name} {number}" for name, number in faults))
    click.echo(f"{report.folder}: {', '.join(report.files)}")


def _show_figures(report: "Report") -> None:
    score, digits = report.score, _digits(report.unit)
    if score is None:
        return
    name = f"{report.figure} ({report.unit})" if report.unit else report.figure
    header = ("figure", "value", "95 %")
    parts = [
        (each, _printed(report.printed(value), digits), "")
        for each, value in score.parts[:_MAX_PARTS]
    ]
    rows: list[tuple[str, ...]] = [
        (name, _printed(report.value, digits), _between(report.interval, digits)),
        *parts,
    ]
    print_table(header, rows)
    if len(score.parts) > _MAX_PARTS:
        click.echo(f"and {len(score.parts) - _MAX_PARTS} more in report.json")
    if report.published:
        click.echo()
        print_table(
            ("published", "value", "this", "difference", "source"),
            [_published(each, digits) for each in report.published],
        )


def _published(beside: "Beside", digits: int) -> tuple[str, ...]:
    row = beside.published
    deviation = "" if row.deviation is None else f" ± {row.deviation:g}"
    part = f", {row.part}" if row.part else ""
    note = f" ({row.note})" if row.note else ""
    return (
        f"{row.model} at {row.resolution} px, {row.stage}{part}",
        f"{row.value:g}{deviation}",
        _printed(beside.value, digits),
        f"{beside.difference:+.{digits}f}",
        row.source + note,
    )


def show_comparison(rows: "Sequence[Difference]", figure: str, unit: str, title: str) -> None:
    """Each evaluation beside the first."""
    digits = _digits(unit)
    click.echo(f"{title}, {figure}{f' ({unit})' if unit else ''}\n")
    header = ("", "value", "95 %", "difference", "95 %", "same", "better", "worse")
    print_table(header, [_difference(row, digits) for row in rows])


def _difference(row: "Difference", digits: int) -> tuple[str, ...]:
    start = (row.name, _printed(row.value, digits), _between(row.interval, digits))
    if row.difference is None:
        return (*start, "", "", "", "", "")
    return (
        *start,
        f"{row.difference:+.{digits}f}",
        _between(row.between, digits, sign="+"),
        f"{100 * row.same:.1f} %",
        str(row.better),
        str(row.worse),
    )


def _digits(unit: str) -> int:
    return 2 if unit else 4


def _printed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _between(interval: tuple[float, float], digits: int, sign: str = "") -> str:
    low, high = interval
    if not math.isfinite(low) or not math.isfinite(high):
        return "-"
    return f"{low:{sign}.{digits}f} .. {high:{sign}.{digits}f}"
