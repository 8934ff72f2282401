"""Tables on a terminal, for people."""

import shutil
import sys

import click

from palikit.cli.command import is_terminal, remark

SIZES = ("paligemma-3b", "paligemma2-3b", "paligemma2-10b", "paligemma2-28b")
"""Models that published tables tell apart."""


def in_one_line(text: str) -> str:
    """A prompt whose ends of lines can be seen."""
    return text.replace("\n", "\\n").replace("\t", "\\t")


def print_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Columns side by side; on a terminal too narrow the last ones are left out, none is broken.

    Without a header, which is empty texts then, rows are names and values: all are shown.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    kept = len(widths)
    if is_terminal(sys.stdout) and any(header):
        columns = shutil.get_terminal_size().columns
        while kept > 1 and sum(widths[:kept]) + 2 * (kept - 1) > columns:
            kept -= 1
    for row in [header, *rows] if any(header) else rows:
        cells = zip(row[:kept], widths, strict=False)
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in cells).rstrip())
    if kept < len(header):
        left_out = ", ".join(header[kept:])
        remark(f"left out on a terminal of this width: {left_out}; --format json shows all")
