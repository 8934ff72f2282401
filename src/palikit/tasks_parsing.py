"""Reading an answer that names objects: the half of the text protocol that must never fail.

A model may write anything, so nothing here raises and nothing is dropped: an answer is cut into
pieces, and a piece either becomes an object or is handed back with the reason why it did not.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from palikit.results import (
    Box,
    Detection,
    Detections,
    Segment,
    Segments,
    TokenScore,
    mean_probability,
)
from palikit.vocab import CODES_PER_MASK, NUM_LOC, NUM_SEG, Coordinates, loc_fraction

_CONTROL = r"<(?:(?:loc|seg)[0-9]*|image|bos|eos|pad|unk)>"

CONTROL_TOKEN = re.compile(_CONTROL)
"""What a label cannot hold: control tokens, and location or segmentation tokens of any number."""

# An answer is a sequence of objects (tokens, then a label), stray text and separators. Objects
# and stray text do not end in white space, and possessive repetition (*+, ++) never looks back,
# so that reading is linear in the length of the text.
_PIECE = re.compile(
    rf"""
    (?P<object> (?= <(?:loc|seg)[0-9]*> )
        (?P<locs>  (?: [ \t]*+ <loc[0-9]*> )*+ )
        (?P<codes> (?: [ \t]*+ <seg[0-9]*> )*+ )
        (?P<label> (?: [^\S\r\n]*+ (?: [^\s;<]++ | (?!{_CONTROL}) < ) )*+ )
    )
    | (?P<separator> [\s;]++ )
    | (?P<stray> (?: [\s;]*+ (?: [^\s;<]++ | (?!<(?:loc|seg)[0-9]*>) < ) )++ )
    """,
    re.VERBOSE,
)
_OPENS_OBJECT = re.compile(r"[;\r\n]")
_LOC = re.compile(r"<loc([0-9]*)>")
_SEG = re.compile(r"<seg([0-9]*)>")


def read_objects(
    text: str,
    width: int,
    height: int,
    *,
    coordinates: Coordinates,
    token_scores: Sequence[TokenScore],
    with_codes: bool,
    only_label: str,
) -> Detections | Segments:
    """The objects of an answer, by the rules that `tasks.parse` states.

    Args:
        text: what the model wrote.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        coordinates: the grid the location tokens stand on.
        token_scores: the tokens of `text`, in its order; may be empty.
        with_codes: whether each object takes an outline; decides the type of the result.
        only_label: given to objects without a label; empty where there is no such label.
    """
    found: list[Segment] = []  # detections become theirs at the end, by leaving the codes out
    unparsed: list[str] = []
    problems: list[str] = []
    for piece in _pieces(text):
        if fault := _fault(piece, with_codes=with_codes):
            unparsed.append(piece.text)
            problems.append(_sentence(fault, piece.text))
            continue
        if piece.codes and not with_codes:
            unparsed.append(piece.codes_text)
            problems.append(_sentence("An outline where only a box was asked", piece.codes_text))
        label = piece.label or only_label
        if not label:
            problems.append(_sentence("The object has no label", piece.text))
        box = _box(piece.locs, width, height, coordinates)
        score = _score(token_scores, piece.start, piece.end)
        found.append(Segment(box, label, piece.codes, score=score))
    left = "\n".join(unparsed)
    if with_codes:
        return Segments(tuple(found), width, height, left, tuple(problems))
    boxes = tuple(Detection(one.box, one.label, one.score) for one in found)
    return Detections(boxes, width, height, left, tuple(problems))


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of an answer that is one object, well formed or not, or stray text.

    `start` includes the separator that opened the piece, `text` does not. Numbers of tokens that
    are not in the vocabulary are -1.
    """

    text: str
    start: int
    end: int
    locs: tuple[int, ...] = ()
    codes: tuple[int, ...] = ()
    codes_text: str = ""
    label: str = ""


def _pieces(text: str) -> Iterator[_Piece]:
    opened_at: int | None = None
    for match in _PIECE.finditer(text):
        if match["separator"]:
            # White space alone opens nothing.
            opened_at = match.start() if _OPENS_OBJECT.search(match[0]) else None
            continue
        start = match.start() if opened_at is None else opened_at
        opened_at = None
        if match["stray"]:
            yield _Piece(match[0], start, match.end())
            continue
        yield _Piece(
            match[0],
            start,
            match.end(),
            locs=tuple(_number(digits, 4, NUM_LOC) for digits in _LOC.findall(match["locs"])),
            codes=tuple(_number(digits, 3, NUM_SEG) for digits in _SEG.findall(match["codes"])),
            codes_text=match["codes"].strip(),
            label=match["label"].strip(),
        )


def _number(digits: str, width: int, count: int) -> int:
    """A token's number, or -1 where the vocabulary has no such token."""
    # The length comes first: int() refuses texts of several thousand digits.
    return int(digits) if len(digits) == width and int(digits) < count else -1


def _fault(piece: _Piece, *, with_codes: bool) -> str:
    """Why a piece is not an object; empty where it is one."""
    if not piece.locs:
        return "An outline without a box" if piece.codes else "Text without a box"
    if -1 in piece.locs:
        return f"A location token outside <loc0000> .. <loc{NUM_LOC - 1}>"
    if len(piece.locs) < 4:
        return f"The box has {len(piece.locs)} of 4 location tokens"
    if len(piece.locs) > 4:
        return f"{len(piece.locs)} location tokens in a row, where a box takes 4"
    y1, x1, y2, x2 = piece.locs
    if y1 >= y2 or x1 >= x2:
        return "The box is empty or reversed"
    if not with_codes:
        return ""
    if -1 in piece.codes:
        return f"A segmentation token outside <seg000> .. <seg{NUM_SEG - 1}>"
    if len(piece.codes) != CODES_PER_MASK:
        return f"The outline has {len(piece.codes)} of {CODES_PER_MASK} segmentation tokens"
    return ""


def _sentence(fault: str, text: str) -> str:
    shown = text if len(text) <= 60 else f"{text[:40]}...{text[-17:]}"
    return f"{fault}: {shown!r}."


def _box(locs: Sequence[int], width: int, height: int, coordinates: Coordinates) -> Box:
    y1, x1, y2, x2 = (loc_fraction(index, coordinates) for index in locs)
    return Box(x1 * width, y1 * height, x2 * width, y2 * height)


def _score(tokens: Sequence[TokenScore], start: int, end: int) -> float | None:
    """Geometric mean of the probabilities of the free tokens that reach into [start, end).

    Tokens without characters of their own (the first bytes of a letter spelled in bytes) count
    where they lie inside.
    """
    first = bisect_left(tokens, start + 1, key=lambda token: token.end)
    last = bisect_left(tokens, end, key=lambda token: token.start)
    return mean_probability(tokens[first:last])
