"""Rows as JSON lines: what training reads, and Roboflow, maestro and big_vision write.

    {"image": "a.jpg", "prefix": "detect cat ; dog", "suffix": "<loc....> x 4 cat"}

    image       a path or a list of paths: absolute, or relative to the file's folder, its folder
                `images`, or --images
    suffix      a text, or a list of which training draws one each time
    order       "random": the objects of the suffix are shuffled each time
    objects     the exact truth, [{"label", "bbox": [x1, y1, x2, y2], "segmentation", "crowd",
                "area"}], the outline as COCO run lengths, in pixels of the upright picture, with
                "width" and "height"; an empty list, or one of crowds alone, is the statement that
                nothing is there, and the only one that allows an empty suffix
    id          any text

Folders are read in the layouts *.jsonl, dataset/_annotations.train.jsonl (Roboflow's detection
export) and train/annotations.jsonl (its export of image and text pairs); the split is in the name.
big_vision's files have no prefix: give one.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palikit import tasks
from palikit.data.findings import Findings, files_in, finite_numbers
from palikit.data.records import Annotation
from palikit.data.rows import Order, Row, Rows
from palikit.data.split_names import Splits, is_wanted, split_of
from palikit.data.text_files import text_lines
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.results import Box

_LAYOUTS = ("*.jsonl", "dataset/*.jsonl", "*/annotations.jsonl", "*/_annotations.*.jsonl")


@dataclass(frozen=True)
class _Place:
    """Where rows are read from: folders of their pictures, split, a prompt for all."""

    folders: tuple[Path, ...]
    split: str | None
    prefix: str | None


def read_jsonl(
    path: Path,
    split: Splits = None,
    *,
    images: Path | None = None,
    prefix: str | None = None,
) -> Rows:
    """Read rows as they are.

    Args:
        path: a .jsonl file, or a folder with some.
        split: only this one, or these; None for all.
        images: folder of the pictures, where they are not beside the file.
        prefix: a prompt for every row, in place of its own.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    findings = Findings()
    rows: list[Row] = []
    root = path if path.is_dir() else path.parent
    for file in jsonl_files(path):
        own = split_of(file.stem) or split_of(file.parent.name)
        if not is_wanted(own, split):
            continue
        folders = (images,) if images is not None else (file.parent, file.parent / "images")
        place = _Place(folders, own, prefix)
        name, is_empty = file.relative_to(root), True
        for number, line in enumerate(text_lines(file), start=1):
            if line.strip():
                is_empty = False
                if (row := _row(line, f"{name}, line {number}", place, findings)) is not None:
                    rows.append(row)
        if is_empty:
            findings.error(
                str(name), "it is empty: give a row on each line, or remove the file", "empty file"
            )
    return Rows(tuple(rows), tuple(dict.fromkeys(_labels(rows))), tuple(findings.problems))


def jsonl_files(path: Path) -> list[Path]:
    """The files with rows that a path stands for, in the order of their names."""
    if path.is_file():
        return [path]
    for pattern in _LAYOUTS:
        if found := files_in(path, pattern):
            return found
    return []


def row_to_json(row: Row, folder: Path) -> str:
    """A row as one line of JSON, without its end; pictures relative to `folder` where possible."""
    images = [relative_name(path, folder) for path in row.images]
    record: dict[str, Any] = {
        "image": images[0] if len(images) == 1 else images,
        "prefix": row.prefix,
        "suffix": row.suffixes[0] if len(row.suffixes) == 1 else list(row.suffixes),
    }
    if row.order != "fixed":
        record["order"] = row.order
    if row.objects is not None:
        record["objects"] = [_object_record(each) for each in row.objects]
    for name in ("width", "height", "id"):
        if (value := getattr(row, name)) is not None:
            record[name] = value
    return json_text(record)


def json_text(value: Any) -> str:
    """A value as JSON on one line, its letters as they are where UTF-8 has them.

    It has none for half a surrogate pair, of which Python makes up names of files that are not
    UTF-8; escaped, such names are read back as they were.
    """
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value)
    return text


def _row(line: str, where: str, place: _Place, findings: Findings) -> Row | None:
    try:
        record = _record(line)
        prefix = place.prefix if place.prefix is not None else _text(record, "prefix")
        objects = _objects(record)
        is_empty_meant = objects is not None and all(each.crowd for each in objects)
        suffixes = _suffixes(record, is_empty_meant=is_empty_meant)
        size = _size(record)
        order = _order(record)
    except InputError as error:
        findings.error(where, str(error), "unusable row")
        return None
    images = _images(record, where, place.folders, findings)
    if images is None:
        return None
    name = record.get("id")
    return Row(
        images, prefix, suffixes, order, objects, *size, where, place.split,
        None if name is None else str(name),
    )  # fmt: skip


def _record(line: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is not JSON ({error}): expected one object on the line") from error
    if not isinstance(record, dict):
        raise InputError('it is no JSON object: expected {"image": ..., "prefix": ..., ...}')
    return record


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        advice = "; give one for all with --prefix" if key == "prefix" else ""
        raise InputError(f"its {key} is {value!r}: expected a text{advice}")
    return value


def _suffixes(record: Mapping[str, Any], *, is_empty_meant: bool) -> tuple[str, ...]:
    value = record.get("suffix")
    texts = value if isinstance(value, list) else [value]
    known = [text for text in texts if isinstance(text, str)]
    if not texts or len(known) < len(texts):
        raise InputError(f"its suffix is {value!r}: expected a text, or a list of texts")
    if not all(text.strip() for text in known) and not is_empty_meant:
        raise InputError(
            "its suffix is empty, which would train the model to say nothing: give a text, or say "
            'that nothing is there with "objects": []'
        )
    return tuple(known)


def _order(record: Mapping[str, Any]) -> Order:
    order = record.get("order", "fixed")
    if order not in ("fixed", "random"):
        raise InputError(f'its order is {order!r}: expected "fixed" or "random"')
    return "random" if order == "random" else "fixed"


def _size(record: Mapping[str, Any]) -> tuple[int | None, int | None]:
    values = (record.get("width"), record.get("height"))
    if values == (None, None):
        return None, None
    sides = [side for side in values if type(side) is int and side > 0]
    if len(sides) != 2:
        raise InputError(f"its width and height are {values}: expected pixels, or neither")
    return sides[0], sides[1]


def _images(
    record: Mapping[str, Any], where: str, folders: Sequence[Path], findings: Findings
) -> tuple[Path, ...] | None:
    value = record.get("image")
    names = value if isinstance(value, list) else [value]
    known = [name for name in names if isinstance(name, str) and name]
    if not known or len(known) < len(names):
        findings.error(
            where, f"its image is {value!r}: expected a path, or a list of paths", "unusable row"
        )
        return None
    found = []
    for name in known:
        path = findings.file(name, folders, where)
        if path is None:
            return None
        found.append(path)
    return tuple(found)


def _objects(record: Mapping[str, Any]) -> tuple[Annotation, ...] | None:
    value = record.get("objects")
    if value is None:
        return None
    if not isinstance(value, list):
        raise InputError(f"its objects are a {type(value).__name__}: expected a list")
    return tuple(_object(each) for each in value)


def _object(value: Any) -> Annotation:
    numbers = finite_numbers(value.get("bbox"), 4) if isinstance(value, dict) else None
    if numbers is None or not isinstance(value.get("label"), str):
        raise InputError(
            f'one of its objects is {str(value)[:80]}: expected {{"label": text, "bbox": '
            "[x1, y1, x2, y2]}"
        )
    rle = value.get("segmentation")
    area = finite_numbers([value.get("area")], 1)
    return Annotation(
        value["label"],
        Box(*numbers),
        Mask.from_rle(rle) if isinstance(rle, dict) else None,
        crowd=bool(value.get("crowd")),
        area=None if area is None else area[0],
    )


def _object_record(found: Annotation) -> dict[str, Any]:
    record: dict[str, Any] = {
        "label": found.label,
        "bbox": [round(edge, 2) for edge in found.box.to_list()],
    }
    if found.mask is not None:
        record["segmentation"] = found.mask.to_rle()
    if found.crowd:
        record["crowd"] = True
    if found.area is not None:
        record["area"] = found.area
    return record


def _labels(rows: Sequence[Row]) -> Iterator[str]:
    """The classes that rows name: in their prompts, then among their objects."""
    for prefix in dict.fromkeys(row.prefix for row in rows):
        yield from tasks.task_from_prompt(prefix).labels
    for row in rows:
        yield from (each.label for each in row.objects or ())


def relative_name(path: Path, folder: Path) -> str:
    """A picture's path from a folder, with forward slashes; absolute on another drive."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive, on Windows
        return path.as_posix()
