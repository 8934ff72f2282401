"""A page of a data set's rows as a model will see them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from palikit.data.check_suffix import read_suffix, says_nothing_is_there
from palikit.data.rows import Row
from palikit.drawing import draw
from palikit.errors import InputError
from palikit.html_page import Card, Picture, Span, Tone, picture_of, write_page
from palikit.pictures import load_picture
from palikit.results import Detections, Segments

Pieces: TypeAlias = Callable[[str, bool], Sequence[str]]
"""A text, and whether control tokens in it are meant -> the text of each of its tokens."""

_MIN_SIDE, _MAX_SIDE = 448, 640
"""Of the pictures on the page, their longer sides in pixels. Locations are fractions of a side, so
any size serves; on a very small one labels could not be read."""

_MAX_SUFFIXES = 5

LEGEND = (
    Span("image tokens", "image"),
    Span("<bos>", "bos"),
    Span("prefix", "prefix"),
    Span("newline", "newline"),
    Span("suffix", "suffix", is_learned=True),
    Span("<eos>", "eos", is_learned=True),
    Span("underlined: what the loss is taken over", "plain", is_learned=True),
)


@dataclass(frozen=True)
class ModelView:
    """What of a model decides how it sees a row.

    Attributes:
        image_size: side in pixels of the square that pictures are squeezed to.
        tokens_per_image: image tokens of one picture.
        pieces: the tokens of a text; without them texts stand unbroken.
        masks: gives segments their masks, from their codes; without it boxes are drawn.
    """

    image_size: int = 448
    tokens_per_image: int = 1024
    pieces: Pieces | None = None
    masks: Callable[[Segments], Segments] | None = None


def write_examples(
    path: Path, source: str, rows: Sequence[Row], view: ModelView, *, number: int, overwrite: bool
) -> None:
    """Write a page of `number` rows, evenly spaced over all.

    Raises:
        InputError: there are no rows, or as of `html_page.write_page`.
    """
    if not rows:
        raise InputError(f"{source} has no rows to show: `palikit data check` says why")
    chosen = spaced(rows, number)
    intro = (
        f"{len(chosen)} of {len(rows):,} rows, evenly spaced, as a model of {view.image_size} px "
        "sees them: the picture squeezed to a square, and the text. Beside it, what the suffix "
        "says, read back from its tokens and drawn."
    )
    if view.pieces is not None:
        intro += " Each box of colour is one token."
    cards = (example_card(row, view) for row in chosen)
    write_page(path, source, intro, cards, legend=LEGEND, overwrite=overwrite)


def spaced(rows: Sequence[Row], number: int) -> list[Row]:
    """So many rows at most, the first one first, at equal distances."""
    count = min(number, len(rows))
    return [rows[index * len(rows) // count] for index in range(count)]


def example_card(row: Row, view: ModelView) -> Card:
    """One row: its pictures, what its first suffix says drawn on the first, and its tokens."""
    lines = [_sequence(row, view), *_lengths(row, view)]
    lines += [_suffix_line("or ", suffix, view) for suffix in row.suffixes[1:_MAX_SUFFIXES]]
    if len(row.suffixes) > _MAX_SUFFIXES:
        lines.append((Span(f"and {len(row.suffixes) - _MAX_SUFFIXES} more suffixes", "muted"),))
    try:
        pictures = [load_picture(path) for path in row.images]
    except InputError as error:
        return Card(row.where, (), ((Span(str(error), "bad"),), *lines))
    return Card(
        row.where,
        (*_squeezed(row, pictures, view), *_drawn(row, pictures[0], view)),
        (*lines, *_faults(row)),
    )


def _squeezed(row: Row, pictures: Sequence[Image.Image], view: ModelView) -> Iterator[Picture]:
    side = view.image_size
    for path, picture in zip(row.images, pictures, strict=True):
        seen = picture.resize((side, side), Image.Resampling.BICUBIC)
        caption = f"{path.name}, {picture.width} x {picture.height} px, seen as {side} x {side}"
        yield picture_of(seen, caption, max_side=_MAX_SIDE)


def _drawn(row: Row, picture: Image.Image, view: ModelView) -> Iterator[Picture]:
    """The first suffix drawn on the first picture, where it names objects."""
    canvas = _scaled(picture)
    found = read_suffix(row, row.suffixes[0], *canvas.size) if row.suffixes else None
    if found is None:
        return
    if isinstance(found, Segments) and view.masks is not None:
        found = view.masks(found)
    yield picture_of(draw(canvas, found, scores=False), _drawn_caption(found, view))


def _scaled(picture: Image.Image) -> Image.Image:
    side = max(picture.size)
    scale = min(max(side, _MIN_SIDE), _MAX_SIDE) / side
    width, height = (max(1, round(each * scale)) for each in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _drawn_caption(found: Detections | Segments, view: ModelView) -> str:
    number = f"{len(found)} object{'' if len(found) == 1 else 's'} read from the suffix"
    if isinstance(found, Segments) and view.masks is None:
        return f"{number}; boxes only, masks need a mask codec"
    return number


def _sequence(row: Row, view: ModelView) -> tuple[Span, ...]:
    """Everything the model is fed, in its order."""
    count = view.tokens_per_image * len(row.images)
    return (
        Span(f"<image> x {count:,}", "image"),
        Span("<bos>", "bos"),
        *_spans(row.prefix, "prefix", view),
        Span("⏎", "newline"),
        *_suffix_line("", row.suffixes[0] if row.suffixes else "", view),
    )


def _lengths(row: Row, view: ModelView) -> Iterator[tuple[Span, ...]]:
    """How many tokens that is, where they are known."""
    if view.pieces is not None:
        text = _sequence(row, view)[1:]
        learned = sum(span.is_learned for span in text)
        yield (Span(f"{len(text)} text tokens, {learned} of them learned", "muted"),)


def _suffix_line(lead: str, suffix: str, view: ModelView) -> tuple[Span, ...]:
    return (
        *((Span(lead, "muted"),) if lead else ()),
        *_spans(suffix, "suffix", view),
        Span("<eos>", "eos", is_learned=True),
    )


def _spans(text: str, tone: Tone, view: ModelView) -> Iterator[Span]:
    if not text:
        return
    is_suffix = tone == "suffix"
    pieces = [text] if view.pieces is None else view.pieces(text, is_suffix)
    yield from (Span(piece.replace("\n", "⏎"), tone, is_learned=is_suffix) for piece in pieces)


def _faults(row: Row) -> Iterator[tuple[Span, ...]]:
    """What of the suffix was not understood."""
    if not row.suffixes or not row.suffixes[0].strip():
        meant = "nothing is there" if says_nothing_is_there(row) else "the suffix is empty"
        yield (Span(meant, "muted" if says_nothing_is_there(row) else "bad"),)
        return
    found = read_suffix(row, row.suffixes[0])
    yield from ((Span(problem, "bad"),) for problem in (() if found is None else found.problems))
