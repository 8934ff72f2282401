"""A clean copy of rows: what can be repaired is, what cannot be used is left out, each told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from palikit.data.check_objects import without_repeats
from palikit.data.check_pictures import PictureFacts
from palikit.data.check_splits import leaks, repeated_rows, split_of
from palikit.data.check_suffix import prompt_of, read_suffix, says_nothing_is_there, task_of
from palikit.data.check_text import ENDS_THE_TEXT, normal_suffix, shown
from palikit.data.outlines import clipped
from palikit.data.records import Annotation, Problem
from palikit.data.rows import Row
from palikit.data.writing import write_jsonl
from palikit.errors import InputError

Pictures = Mapping[Path, PictureFacts]


@dataclass(frozen=True)
class Fixed:
    """The rows that are left, and everything that was changed or left out, in order."""

    rows: tuple[Row, ...]
    changes: tuple[Problem, ...]


def check_destination(folder: Path, source: Path, *, overwrite: bool) -> None:
    """Make sure, before any work is done, that a clean copy may be written to a folder.

    Raises:
        InputError: it is the source, a file, or not empty and `overwrite` is not set.
    """
    if folder.exists() and source.exists() and folder.resolve() in _folders_of(source.resolve()):
        raise InputError(f"{folder} holds the data set itself: give the clean copy another folder")
    if folder.is_file():
        raise InputError(f"{folder} is a file: give the clean copy the name of a folder")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise InputError(f"{folder} is not empty: choose another folder, or --overwrite it")


def write_fixed(rows: Sequence[Row], folder: Path) -> tuple[Path, ...]:
    """Write rows as one file of JSON lines for each split, pictures staying where they are.

    Raises:
        InputError: no rows are left, the folder holds rows of other splits, which would be read
            with these, or a file cannot be written.
    """
    if not rows:
        raise InputError("nothing is left to write: no row of the data set can be used")
    files = {folder / f"{split}.jsonl": split for split in dict.fromkeys(map(split_of, rows))}
    if others := sorted(set(folder.glob("*.jsonl")) - set(files)):
        raise InputError(f"{others[0]} would be read with the clean copy: move it, or remove it")
    for file, split in files.items():
        own = (row for row in rows if split_of(row) == split)
        write_jsonl(own, file, overwrite=True)
    return tuple(files)


def _folders_of(source: Path) -> tuple[Path, ...]:
    return (source,) if source.is_dir() else (source.parent,)


@dataclass
class _Changes:
    """What has been changed so far."""

    told: list[Problem] = field(default_factory=list)

    def add(self, row: Row, kind: str, what: str) -> None:
        self.told.append(Problem(row.where, what, is_error=False, kind=kind))


def fix_rows(rows: Sequence[Row], pictures: Pictures) -> Fixed:
    """Rows without what cannot be used; the rows given are not changed.

    Left out are rows with pictures that are missing, unreadable or of another size than their
    boxes, rows without a suffix, rows that repeat, and rows of a picture that a split to measure on
    has too. Boxes are cut at the edges of their picture, objects marked twice are kept once, what a
    suffix holds that cannot be read or was not asked for is taken out of it, and separators are
    brought to their one spelling.

    Args:
        rows: of all splits.
        pictures: of the rows, as `check.read_row_pictures` gives them.
    """
    changes = _Changes()
    usable = [row for row in rows if _has_its_pictures(row, pictures, changes)]
    fixed = [_fixed(row, pictures[row.images[0]], changes) for row in usable]
    kept = [row for row in fixed if _has_suffix(row, changes)]
    kept = _without_repeats(kept, pictures, changes)
    return Fixed(_without_leaks(kept, pictures, changes), tuple(changes.told))


def _without_repeats(rows: list[Row], pictures: Pictures, changes: _Changes) -> list[Row]:
    surplus = set()
    for first, row in repeated_rows(rows, pictures):
        changes.add(row, "left out: repeated row", f"it repeats {first.where}")
        surplus.add(id(row))
    return [row for row in rows if id(row) not in surplus]


def _without_leaks(rows: list[Row], pictures: Pictures, changes: _Changes) -> tuple[Row, ...]:
    surplus = set()
    for other, row in leaks(rows, pictures):
        places = f"its picture stays in {split_of(other)} and leaves {split_of(row)}"
        changes.add(row, "left out: picture in two splits", places)
        surplus.add(id(row))
    return tuple(row for row in rows if id(row) not in surplus)


def _has_its_pictures(row: Row, pictures: Pictures, changes: _Changes) -> bool:
    faulty = next((pictures[path] for path in row.images if pictures[path].fault), None)
    if faulty is not None:
        kind = "missing" if faulty.is_missing else "unreadable"
        changes.add(row, f"left out: {kind} picture", faulty.fault)
        return False
    size, facts = (row.width, row.height), pictures[row.images[0]]
    if row.objects and None not in size and size != facts.size:
        width, height = facts.size
        what = f"its boxes are of {size[0]} x {size[1]} pixels, its picture has {width} x {height}"
        changes.add(row, "left out: other picture size", what)
        return False
    return True


def _has_suffix(row: Row, changes: _Changes) -> bool:
    if row.suffixes:
        return True
    changes.add(row, "left out: empty suffix", "it has no suffix to learn")
    return False


def _fixed(row: Row, facts: PictureFacts, changes: _Changes) -> Row:
    prefix = _fixed_prefix(row)
    if prefix != row.prefix:
        changes.add(row, "prefix", f"{shown(row.prefix)} is now {shown(prefix)}")
    objects = row.objects
    if objects is not None:
        # Where none of several is left, it is not known any more that nothing is there.
        objects = _fixed_objects(row, objects, facts.size, changes) or (None if objects else ())
    width, height = facts.size
    fixed = replace(row, prefix=prefix, objects=objects, width=width, height=height)
    suffixes = []
    for suffix in row.suffixes:
        text = _fixed_suffix(fixed, suffix)
        if text != suffix:
            changes.add(row, "suffix", f"{shown(suffix)} is now {shown(text)}")
        if text.strip() or (says_nothing_is_there(row) and not suffix.strip()):
            suffixes.append(text)
    return replace(fixed, suffixes=tuple(dict.fromkeys(suffixes)))


def _fixed_prefix(row: Row) -> str:
    task = task_of(row, "")
    if task.name in ("detect", "segment"):
        return task.prompt
    return prompt_of(row).rstrip("\r\n")


def _fixed_objects(
    row: Row, objects: tuple[Annotation, ...], size: tuple[int, int], changes: _Changes
) -> tuple[Annotation, ...]:
    kept = []
    for each in objects:
        box = clipped(each.box, size)
        if box is None:
            changes.add(row, "object left out", f"{each.label!r} has no part in its picture")
            continue
        if box != each.box:
            changes.add(row, "box clipped", f"{each.label!r} ended outside its picture")
        kept.append(replace(each, box=box))
    once = without_repeats(kept)
    if len(once) < len(kept):
        changes.add(row, "object left out", f"marked twice in one place: {len(kept) - len(once)}")
    return once


def _fixed_suffix(row: Row, suffix: str) -> str:
    """The suffix without tokens that end a text, and with only what can be read and was asked."""
    text = ENDS_THE_TEXT.sub("", suffix)
    if any(";" in each.label for each in row.objects or ()):
        return text  # where such a label ends cannot be read: only a person can rename it
    found = read_suffix(row, text)
    if found is None:
        return text
    return normal_suffix(task_of(row, text), text, without_repeats(tuple(found)))
