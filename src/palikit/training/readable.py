"""Whether every picture of a training can be read, known before its first step."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from palikit.data.check_pictures import read_pictures
from palikit.data.rows import Row
from palikit.errors import InputError, counted
from palikit.pictures import load_picture
from palikit.training.examples import Examples, Mixture, RowExamples, parts_of

if TYPE_CHECKING:
    from pathlib import Path

_REMARK_S = 15.0
"""Seconds between remarks on how far the reading is."""


def rows_with_files(source: Examples | Mixture) -> list[Row]:
    """The rows whose picture files are opened as they are; other kinds of examples have none."""
    return [
        row
        for examples, _ in parts_of(source)
        if isinstance(examples, RowExamples) and examples.open_picture is load_picture
        for row in examples.rows
    ]


def check_readable(rows: Sequence[Row], on_remark: Callable[[str], None]) -> None:
    """Decode every picture once, in threads, so that a damaged one costs no step of a training.

    Args:
        rows: a file is read once however many of them name it.
        on_remark: told now and then how far it is.

    Raises:
        InputError: some cannot be read; the message names them all.
    """
    places: dict[Path, str] = {}
    for row in rows:
        for path in row.images:
            places.setdefault(path, row.where)
    done, told = 0, time.monotonic()

    def count() -> None:
        nonlocal done, told
        done += 1
        if time.monotonic() - told > _REMARK_S:
            on_remark(f"looked at {done} of {counted(len(places), 'picture')}")
            told = time.monotonic()

    bad = [each for each in read_pictures(places, count).values() if each.fault]
    if bad:
        first, others = bad[0], ", ".join(str(each.path) for each in bad[1:])
        what = ": ".join(filter(None, (places[first.path], first.fault)))
        raise InputError(f"{what}; nor can these be read: {others}" if others else what)
