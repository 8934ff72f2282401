"""Words in scenes: ICDAR'15 and Total-Text."""

import re
from collections.abc import Iterator
from pathlib import Path

from palikit.errors import InputError
from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.items import lines_of
from palikit.evaluation.benchmarks.layouts.source import Source
from palikit.evaluation.metrics.ocr_words import Word

_CORNERS = 8
"""Numbers before the text on a line of ICDAR's: x, y of four corners."""

_TOTAL_TEXT = re.compile(
    r"x:\s*\[\[([\d\s,.-]*)\]\]\s*,\s*y:\s*\[\[([\d\s,.-]*)\]\]"
    r"(?:\s*,\s*ornt:\s*\[u?'[^']*'\])?\s*,\s*transcriptions:\s*\[u?(['\"])(.*?)\3\]",
    re.DOTALL,
)
"""One word of Total-Text; the arrays of a long outline go over several lines."""


def icdar15(source: Source) -> Iterator[Entry]:
    """gt_img_1.txt: x1,y1,x2,y2,x3,y3,x4,y4,text on each line; "###" is not to be read."""
    names = ("Challenge4_Test_Task4_GT", "Challenge4_Test_Task1_GT", "gt", "*")
    for path in source.all(*(f"{name}/gt_img_*.txt" for name in names), "gt_img_*.txt"):
        picture = path.stem.removeprefix("gt_")
        yield Entry(
            picture,
            (source.file(f"{picture}.jpg", path.name, "ch4_test_images", "images"),),
            words=tuple(_icdar_word(path, number, line) for number, line in lines_of(path)),
            where=path.name,
        )


def total_text(source: Source) -> Iterator[Entry]:
    """poly_gt_img1.txt: x: [[..]], y: [[..]], ornt: [u'c'], transcriptions: [u'..'] a word."""
    pattern = "poly_gt_img*.txt"
    folders = ("Groundtruth/Polygon/Test", "Polygon/Test", "Test", "gt", "*")
    for path in source.all(*(f"{folder}/{pattern}" for folder in folders), pattern):
        picture = path.stem.removeprefix("poly_gt_")
        yield Entry(
            picture,
            (_total_text_picture(source, picture, path.name),),
            words=tuple(_total_text_words(path)),
            where=path.name,
        )


def _icdar_word(path: Path, number: int, line: str) -> Word:
    parts = line.split(",", _CORNERS)
    try:
        if len(parts) <= _CORNERS:
            raise ValueError
        values = [float(part) for part in parts[:_CORNERS]]
    except ValueError:
        raise InputError(
            f"{path}, line {number}, is {line[:80]!r}: expected x, y of four corners and the text, "
            "with commas between them"
        ) from None
    text = parts[_CORNERS]
    return _word(f"{path}, line {number}", values[::2], values[1::2], text, illegible="###")


def _word(where: str, xs: list[float], ys: list[float], text: str, *, illegible: str) -> Word:
    try:
        return Word(tuple(zip(xs, ys, strict=True)), text, legible=text != illegible)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _total_text_words(path: Path) -> Iterator[Word]:
    content = "\n".join(line for _, line in lines_of(path))
    words = list(_TOTAL_TEXT.finditer(content))
    if len(words) != content.count("transcriptions:"):
        raise InputError(
            f"{path} holds {content.count('transcriptions:')} words of which {len(words)} can be "
            "read: expected x: [[..]], y: [[..]], ornt: [..], transcriptions: [u'..']"
        )
    for match in words:
        xs, ys = (
            [float(value) for value in match[group].replace(",", " ").split()] for group in (1, 2)
        )
        if len(xs) != len(ys):
            raise InputError(f"{path}: a word has {len(xs)} x and {len(ys)} y: expected as many")
        yield _word(str(path), xs, ys, match[4], illegible="#")


def _total_text_picture(source: Source, name: str, where: str) -> Path:
    for ending in (".jpg", ".JPG", ".png"):
        path = source.file_if_there(f"{name}{ending}", where, "Images/Test", "images", "Test")
        if path is not None:
            return path
    return source.file(f"{name}.jpg", where, "Images/Test")
