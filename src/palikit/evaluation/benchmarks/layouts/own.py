"""The plain layout that every benchmark is accepted in: SPLIT.jsonl, one question on each line.

id         as a submission names it
image      a path from the folder or its folder `images`; or `images`, a list; or `video`
question   a question, a sentence or an expression; captions have none
answers    a text, or a list of texts; leave it out where the answers are secret
group      the part of the set: question type, answer type, language
choices    the options of a multiple choice
context    a hint or an indication
language   of a caption
box        [x1, y1, x2, y2] in pixels: the widget that is marked
objects    [{"label", "bbox": [x1, y1, x2, y2], "segmentation": run lengths, "crowd", "area"}]
words      [{"text", "polygon": [[x, y], ...], "legible"}]
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from palikit.data.findings import finite_numbers
from palikit.errors import InputError
from palikit.evaluation.benchmarks.changes import marked
from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.items import Item, line_items
from palikit.evaluation.benchmarks.layouts.source import Source
from palikit.evaluation.metrics.objects import TrueObject
from palikit.evaluation.metrics.ocr_words import Word
from palikit.masks import Mask
from palikit.results import Box

OWN_LAYOUT = (
    'The layout of PaliKit is read as well: SPLIT.jsonl, on each line {"id", "image" or "images" '
    'or "video", "question", "answers", "group"}, files beside it or in images.'
)
"""What every benchmark's layout ends with."""


def read_own(source: Source, path: Path) -> Iterator[Entry]:
    """The questions of such a file.

    Raises:
        InputError: a line cannot be used; the message names it.
    """
    for item in line_items(path):
        yield _entry(source, item)


def _entry(source: Source, item: Item) -> Entry:
    return Entry(
        id=item.name("id"),
        images=_images(item, source),
        question=item.text("question") if "question" in item else "",
        answers=_answers(item),
        group=item.name("group") if "group" in item else "",
        choices=item.texts("choices") if "choices" in item else (),
        context=item.text("context") if "context" in item else "",
        language=item.text("language") if "language" in item else "",
        video=_file(source, item, item.text("video")) if "video" in item else None,
        objects=_objects(item),
        words=_words(item),
        where=item.where,
        change=marked(_box(item, "box")) if "box" in item else None,
    )


def _images(item: Item, source: Source) -> tuple[Path, ...]:
    if "video" in item:
        return ()
    names = item.texts("images") if "images" in item else (item.text("image"),)
    if not names:
        raise item.fault("images", "one or more paths")
    return tuple(_file(source, item, name) for name in names)


def _file(source: Source, item: Item, name: str) -> Path:
    return source.file(name, item.where, "images")


def _answers(item: Item) -> tuple[str, ...]:
    if "answers" not in item:
        return ()
    try:
        return item.texts("answers")
    except InputError:
        return (item.name("answers"),)


def _objects(item: Item) -> tuple[TrueObject, ...] | None:
    return tuple(map(_object, item.items("objects"))) if "objects" in item else None


def _object(item: Item) -> TrueObject:
    outline = item.any("segmentation")
    area = finite_numbers([item.any("area")], 1)
    return TrueObject(
        item.text("label"),
        _box(item, "bbox"),
        _mask(item, outline) if isinstance(outline, dict) else None,
        crowd="crowd" in item and item.flag("crowd"),
        area=None if area is None else area[0],
    )


def _mask(item: Item, outline: dict[str, Any]) -> Mask:
    try:
        return Mask.from_rle(outline)
    except InputError as error:
        raise InputError(f"{item.where}: {error}") from error


def _words(item: Item) -> tuple[Word, ...] | None:
    return tuple(map(_word, item.items("words"))) if "words" in item else None


def _word(item: Item) -> Word:
    corners = [finite_numbers(each, 2) for each in item.values("polygon")]
    known = tuple((each[0], each[1]) for each in corners if each is not None)
    if len(known) < max(3, len(corners)):
        raise item.fault("polygon", "three or more corners [x, y]")
    return Word(known, item.text("text"), legible="legible" not in item or item.flag("legible"))


def _box(item: Item, key: str) -> Box:
    numbers = finite_numbers(item.values(key), 4)
    if numbers is None or not (numbers[0] < numbers[2] and numbers[1] < numbers[3]):
        raise item.fault(key, "[x1, y1, x2, y2] in pixels")
    return Box(*numbers)
