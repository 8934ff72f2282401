"""What can be wrong with the boxes of a row, and how they compare to its picture."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeVar

from palikit.data.admitting import ROUNDING
from palikit.data.check_pictures import PictureFacts
from palikit.data.check_suffix import read_suffix
from palikit.data.findings import shown_box
from palikit.data.records import Annotation, Problem
from palikit.data.rows import Row
from palikit.results import Box, Detection, Segment

T = TypeVar("T", bound=Annotation | Detection | Segment)

SAME_BOX = 0.9
"""Intersection over union from which two boxes of one label are one object drawn twice."""


def objects_of(row: Row) -> tuple[Annotation, ...]:
    """The objects of a row: its exact ones, else those of its first suffix, on a square grid."""
    if row.objects is not None:
        return tuple(each for each in row.objects if not each.crowd)
    found = read_suffix(row, row.suffixes[0]) if row.suffixes else None
    return tuple(Annotation(each.label, each.box) for each in found or ())


def object_problems(row: Row, facts: PictureFacts | None) -> Iterator[Problem]:
    """Boxes that are empty, out of range or drawn twice; sizes that are another picture's.

    Args:
        row: the row.
        facts: of its first picture, where it has been read.
    """
    size = _stated_size(row)
    if facts is not None and not facts.fault:
        if size is not None and size != facts.size:
            yield _size_problem(row, size, facts)
        size = facts.size
    yield from box_errors(row, size)
    for first, second in repeated(objects_of(row)):
        # Boxes read from a suffix are in no picture's pixels.
        boxes = f", {shown_box(first.box)} and {shown_box(second.box)}" if row.objects else ""
        yield Problem(
            row.where,
            f"{second.label!r} is marked twice in nearly the same place{boxes}: keep one",
            is_error=False,
            kind="duplicate object",
        )


def box_errors(row: Row, size: tuple[int, int] | None = None) -> Iterator[Problem]:
    """Boxes that are empty or beyond their picture, of the row's own size where none is given."""
    for each in row.objects or ():
        yield from _box_problems(row, each, size or _stated_size(row))


def without_repeats(objects: Sequence[T]) -> tuple[T, ...]:
    """Of objects with one label and nearly the same box, the first; crowds all stay."""
    told_apart = [each for each in objects if not (isinstance(each, Annotation) and each.crowd)]
    surplus = {id(second) for _, second in repeated(told_apart)}
    return tuple(each for each in objects if id(each) not in surplus)


def repeated(objects: Sequence[T]) -> Iterator[tuple[T, T]]:
    """Pairs of one label and nearly the same box, the earlier object first."""
    by_label: dict[str, list[tuple[int, T]]] = defaultdict(list)
    for place, each in enumerate(objects):
        by_label[each.label].append((place, each))
    for group in by_label.values():
        yield from _overlapping(sorted(group, key=lambda each: each[1].box.x1))


def _overlapping(
    group: list[tuple[int, T]],
) -> Iterator[tuple[T, T]]:
    """Pairs among objects sorted by their left edge; those too far apart are not compared."""
    for index, (place, one) in enumerate(group):
        # Beyond this left edge less than SAME_BOX of `one` can be shared.
        reach = one.box.x1 + (1 - SAME_BOX) * one.box.width
        for other_place, other in group[index + 1 :]:
            if other.box.x1 > reach:
                break
            if _iou(one.box, other.box) >= SAME_BOX:
                yield (one, other) if place < other_place else (other, one)
                break  # of n boxes in one place n - 1 are too many


def _iou(a: Box, b: Box) -> float:
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a.width * a.height + b.width * b.height - shared)


def _box_problems(row: Row, each: Annotation, size: tuple[int, int] | None) -> Iterator[Problem]:
    box = each.box
    if not (box.x1 < box.x2 and box.y1 < box.y2):
        yield Problem(
            row.where,
            f"the box of {each.label!r}, {shown_box(box)}, is empty: give x1 < x2 and y1 < y2 in "
            "pixels, or leave the object out",
            is_error=True,
            kind="empty box",
        )
    elif size is not None and not _is_within(box, size):
        yield Problem(
            row.where,
            f"the box of {each.label!r}, {shown_box(box)}, reaches beyond its picture of "
            f"{size[0]} x {size[1]} pixels: clip it, and see if it belongs to another size of "
            "the picture",
            is_error=True,
            kind="box out of range",
        )


def _is_within(box: Box, size: tuple[int, int]) -> bool:
    width, height = size
    return (
        min(box.x1, box.y1) >= -ROUNDING
        and box.x2 <= width + ROUNDING
        and box.y2 <= height + ROUNDING
    )


def _stated_size(row: Row) -> tuple[int, int] | None:
    return None if row.width is None or row.height is None else (row.width, row.height)


def _size_problem(row: Row, size: tuple[int, int], facts: PictureFacts) -> Problem:
    width, height = facts.size
    sentence = f"the picture is {width} x {height} pixels and its row says {size[0]} x {size[1]}"
    if size == facts.stored:
        what = (
            f"{sentence}, the size before it is turned as its EXIF orientation says: mark its "
            "objects on the upright picture"
        )
    elif size == facts.size[::-1]:
        what = f"{sentence}: width and height stand in each other's place; exchange them"
    else:
        what = f"{sentence}: its boxes are of another size of the picture; give the right one"
    return Problem(row.where, what, is_error=True, kind="other picture size")
