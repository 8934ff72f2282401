"""Rows -> files: JSON lines and COCO, whole or not at all, and copies of the pictures."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from palikit import tasks
from palikit.data.findings import stored_size, upright_size
from palikit.data.jsonl import json_text, relative_name, row_to_json
from palikit.data.records import Annotation
from palikit.data.rows import Row
from palikit.errors import InputError
from palikit.pictures import load_picture
from palikit.results import Detections


def write_jsonl(rows: Iterable[Row], file: Path, *, overwrite: bool = False) -> None:
    """Write rows as JSON lines, pictures relative to the file's folder; see `palikit.data.jsonl`.

    Raises:
        InputError: the file exists and `overwrite` is not set, or it cannot be written.
    """
    _check_free(file, overwrite=overwrite)
    folder = file.absolute().parent
    with saved_file(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        for row in rows:
            out.write(row_to_json(row, folder) + "\n")


def write_coco(
    rows: Iterable[Row], file: Path, *, classes: Sequence[str] = (), overwrite: bool = False
) -> None:
    """Write rows as a COCO file: objects with boxes and outlines, or captions.

    Rows of one picture become one image. Objects come from the row where it has the exact truth,
    and otherwise from its suffix; images and annotations are numbered from 1.

    Args:
        rows: of detect, segment, caption or describe.
        file: to write; pictures are named relative to its folder.
        classes: the first categories, from 1 on; others follow as they appear.
        overwrite: whether a file that exists is replaced.

    Raises:
        InputError: a row of another task, a suffix that cannot be read back, a file that exists or
            cannot be written.
    """
    _check_free(file, overwrite=overwrite)
    value = _coco(list(rows), list(classes), file.absolute().parent)
    with saved_file(file) as temporary:
        temporary.write_text(json_text(value) + "\n", encoding="utf-8")


def planned_copies(rows: Sequence[Row], folder: Path, *, upright: bool = False) -> dict[Path, Path]:
    """Where `copy_pictures` puts each picture; those that lie in the folder already are left out.

    Raises:
        InputError: `upright` is set and a picture cannot be read.
    """
    folder = folder.absolute()
    pictures = list(dict.fromkeys(path for row in rows for path in row.images))
    foreign = [path for path in pictures if path.parent != folder]
    names = (f"{path.stem}.png" if upright and _is_turned(path) else path.name for path in foreign)
    there = [path.name for path in pictures if path.parent == folder]
    return {
        path: folder / name for path, name in zip(foreign, unique_names(names, there), strict=True)
    }


def copy_pictures(
    rows: Sequence[Row], folder: Path, *, upright: bool = False
) -> tuple[tuple[Row, ...], int]:
    """Copy the pictures of rows into a folder, byte for byte, each once.

    Args:
        rows: their pictures; those that lie in `folder` already stay as they are.
        folder: made if it is not there.
        upright: whether a picture that an EXIF orientation turns is saved anew, upright and as PNG,
            for programs that do not apply it. PaliKit does.

    Returns:
        The rows with their copies, and how many pictures were saved anew.

    Raises:
        InputError: a picture cannot be read, or a copy cannot be written.
    """
    copies = planned_copies(rows, folder, upright=upright)
    turned = 0
    for path, target in copies.items():
        is_turned = upright and _is_turned(path)
        with saved_file(target) as temporary:
            if is_turned:
                load_picture(path).save(temporary, format="PNG")
            else:
                shutil.copyfile(path, temporary)
        turned += is_turned
    moved = (replace(row, images=tuple(copies.get(p, p) for p in row.images)) for row in rows)
    return tuple(moved), turned


@contextmanager
def saved_file(file: Path) -> Iterator[Path]:
    """A temporary file beside `file` that takes its name at the end; folders are made.

    Raises:
        InputError: it cannot be written.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"{file} cannot be written ({reason}): make room or choose another place"
        ) from error


def unique_names(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Numbers names that repeat or are taken, before their ending; case is no difference."""
    used = {name.casefold() for name in taken}
    # The number reached for each name: to begin anew for each of 100,000 would take hours.
    numbers: Counter[str] = Counter()
    unique = []
    for name in names:
        path, candidate = Path(name), name
        while candidate.casefold() in used:
            numbers[name.casefold()] += 1
            candidate = f"{path.stem}-{numbers[name.casefold()] + 1}{path.suffix}"
        used.add(candidate.casefold())
        unique.append(candidate)
    return unique


def _is_turned(path: Path) -> bool:
    """Whether an EXIF orientation turns a picture."""
    return stored_size(path)[2] != 1


def _check_free(file: Path, *, overwrite: bool) -> None:
    if file.exists() and not overwrite:
        raise InputError(f"{file} exists: choose another folder, or --overwrite it")


def _coco(rows: Sequence[Row], classes: list[str], folder: Path) -> dict[str, Any]:
    image_ids: dict[Path, int] = {}
    ids = {name: number for number, name in enumerate(classes, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for row in rows:
        path = row.images[0]
        size = _size(row)
        if path not in image_ids:
            image_ids[path] = len(images) + 1
            name = relative_name(path, folder)
            record = {"id": image_ids[path], "file_name": name, "width": size[0], "height": size[1]}
            images.append(record)
        for record in _annotations(row, size, ids):
            place = {"id": len(annotations) + 1, "image_id": image_ids[path]}
            annotations.append({**place, **record})
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    # Empty, but there: the COCO API copies them into what it makes of results.
    about: dict[str, Any] = {"info": {}, "licenses": []}
    return {**about, "images": images, "categories": categories, "annotations": annotations}


def _annotations(row: Row, size: tuple[int, int], ids: dict[str, int]) -> Iterator[dict[str, Any]]:
    task = tasks.task_from_prompt(row.prefix)
    if task.name in ("caption", "describe"):
        yield from ({"caption": text} for text in row.suffixes)
        return
    if row.objects is None and task.name not in ("detect", "segment"):
        raise InputError(
            f"{row.where}: COCO has no place for the prompt {row.prefix!r}, only for objects and "
            "captions; write --to jsonl"
        )
    for found in row.objects if row.objects is not None else _read_back(row, size):
        number = ids.setdefault(found.label, len(ids) + 1)
        yield _annotation(found, number)


def _annotation(found: Annotation, category: int) -> dict[str, Any]:
    box = [round(value, 2) for value in found.box.to_xywh()]
    record: dict[str, Any] = {
        "category_id": category,
        "bbox": box,
        "area": _area(found),
        "iscrowd": int(found.crowd),
    }
    if found.mask is not None:
        record["segmentation"] = found.mask.to_rle()
    return record


def _area(found: Annotation) -> float:
    """Square pixels: as the source states it, else of the outline, else of the box."""
    if found.area is not None:
        return found.area
    return round(found.box.width * found.box.height, 2) if found.mask is None else found.mask.area


def _read_back(row: Row, size: tuple[int, int]) -> Iterator[Annotation]:
    """The objects that a suffix names; outlines stay behind, as they need a decoder."""
    task = tasks.task_from_prompt(row.prefix)
    result = tasks.parse(tasks.detect(task.labels), row.suffixes[0], *size)
    if not isinstance(result, Detections) or (result.unparsed and task.name == "detect"):
        problem = result.problems[0] if isinstance(result, Detections) else "it names no objects"
        raise InputError(f"{row.where}: its suffix cannot be read ({problem}): correct it")
    yield from (Annotation(found.label, found.box) for found in result.objects)


def _size(row: Row) -> tuple[int, int]:
    if row.width is not None and row.height is not None:
        return row.width, row.height
    return upright_size(row.images[0])
