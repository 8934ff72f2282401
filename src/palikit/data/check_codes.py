"""Whether the codes in suffixes are those of the mask codec that a model reads them with.

Each codec has codes of its own: rows written with one would teach a model with another to draw
shapes that nobody marked. Rows that hold their outlines can be asked.
"""

from collections.abc import Sequence

from palikit.data.check_suffix import read_suffix
from palikit.data.records import Problem
from palikit.data.rows import Encode, Row
from palikit.results import Box, Segments

_SAMPLE = 32
"""Rows that are asked, evenly spaced; an outline takes some milliseconds."""

_LEAST_SHARE = 0.5
"""Of equal codes. The same codec gives nearly all again, as boxes are written to a hundredth of a
pixel; another one hits few by chance."""


def foreign_codes(rows: Sequence[Row], encode: Encode) -> Problem | None:
    """The problem of rows whose codes another codec wrote; None where no outline can tell.

    Args:
        rows: of one origin.
        encode: the codec of the model.
    """
    telling = [row for row in rows if any(each.mask for each in row.objects or ())]
    chosen = telling[:: max(1, len(telling) // _SAMPLE)]
    pairs = [pair for row in chosen if (pair := _first_pair(row, encode)) is not None]
    equal = sum(a == b for written, ours in pairs for a, b in zip(written, ours, strict=True))
    total = sum(len(ours) for _, ours in pairs)
    if equal >= _LEAST_SHARE * total:
        return None
    return Problem(
        chosen[0].where,
        f"its codes are those of another mask codec than the model's, as {equal} of {total} are "
        "the same here and in rows like it: convert the data set anew with --mask-codec or "
        "--model of the model that is trained",
        is_error=True,
        kind="codes of another mask codec",
    )


def _first_pair(row: Row, encode: Encode) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The codes of a suffix's first object, and those of its outline now; None without either."""
    outlined = [
        (each.box, each.mask)
        for each in row.objects or ()
        if each.mask is not None and not each.crowd
    ]
    if not outlined or not row.suffixes:
        return None
    size = outlined[0][1].width, outlined[0][1].height
    found = read_suffix(row, row.suffixes[0], *size)
    if not isinstance(found, Segments) or not found.objects:
        return None
    first = found[0]
    box, mask = min(outlined, key=lambda each: _distance(each[0], first.box))
    return first.codes, encode(mask, box)


def _distance(a: Box, b: Box) -> float:
    return sum(abs(one - other) for one, other in zip(a.to_list(), b.to_list(), strict=True))
