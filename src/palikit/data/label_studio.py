"""Label Studio: the JSON export, a list of tasks with their annotations.

    rectanglelabels   x, y, width, height in percent of the sides; rotation in degrees, clockwise,
                      about the top left corner
    polygonlabels     points in percent
    brushlabels       run lengths of Label Studio's own kind (see `_brush`)
    textarea          answers to the task's `question` where it has one; else captions, and the
                      text of the picture for OCR, a line each
    choices           answers to a question: the name of the control, "is_it_ripe" -> "is it ripe"

Of several annotations of a task the first that was not cancelled is read. Tasks without one and
marks of other kinds are left out and told; predictions are not read. Pictures are looked for by the
last part of their address, with and without the eight characters that an upload puts before it.

Sources: labelstud.io, guide/export and guide/label_guide; the bit layout of brushes is that of
@thi.ng/rle-pack, which the editor packs them with.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import numpy.typing as npt

from palikit.data.findings import Findings, files_in, find_picture, finite_numbers
from palikit.data.outlines import Point, box_of_mask, box_of_points, fill_rings
from palikit.data.records import Annotation, Question, Record, Records
from palikit.data.text_files import read_json, read_text
from palikit.errors import InputError
from palikit.masks import Mask

_UPLOAD = re.compile(r"^[0-9a-f]{8}-")
_SHAPES = ("rectanglelabels", "polygonlabels", "brushlabels")


def read_label_studio(path: Path, *, images: Path | None = None, masks: bool = True) -> Records:
    """Read an export.

    Args:
        path: the JSON file, or the folder that holds it.
        images: folder of the pictures, where they are not beside it.
        masks: whether outlines are read; boxes of polygons and brushes are in any case.

    Raises:
        InputError: no such file, or not such an export.
    """
    file = label_studio_file(path) if path.is_dir() else path
    value: Any = read_json(file) if file is not None else None
    if file is None or not _is_tasks(value):
        raise InputError(
            f'{path} is no JSON export of Label Studio: expected [{{"data": ..., "annotations": '
            "[...]}}, ...]"
        )
    folders = [images] if images is not None else [file.parent, file.parent / "images"]
    findings = Findings()
    found = (_record(task, folders, findings, masks=masks) for task in value)
    records = tuple(record for record in found if record is not None)
    labels = {each.label for record in records for each in record.objects or ()}
    return Records(records, tuple(sorted(labels)), tuple(findings.problems))


def label_studio_file(folder: Path) -> Path | None:
    """The export right in a folder; None without one."""
    return next((path for path in files_in(folder, "*.json") if is_label_studio(path)), None)


def is_label_studio(path: Path) -> bool:
    """Whether a file is a JSON list of tasks."""
    try:
        value = read_json(path) if read_text(path).lstrip().startswith("[") else None
    except InputError:
        return False
    return _is_tasks(value)


def _is_tasks(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(task, dict) and isinstance(task.get("data"), dict) for task in value)
    )


def _record(
    task: Mapping[str, Any], folders: Sequence[Path], findings: Findings, *, masks: bool
) -> Record | None:
    where = f"task {task.get('id')}"
    regions = _regions(task)
    if regions is None:
        findings.note(where, "it has no annotation and is left out", "not annotated")
        return None
    picture = _picture(task, regions, folders, where, findings)
    if picture is None:
        return None
    objects = []
    for region in regions:
        kind, place = str(region.get("type")), f"{where}, region {region.get('id')}"
        if kind in _SHAPES:
            try:
                objects.append(_object(region, picture[1:], masks=masks))
            except InputError as error:
                findings.error(place, str(error), "unreadable object")
        elif kind.endswith("labels"):
            findings.note(place, f"it is of {kind}, which are not read", "object left out")
    return _with_texts(
        task, regions, Record((picture[0],), *picture[1:], tuple(objects), where=where)
    )


def _regions(task: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    for annotation in task.get("annotations") or task.get("completions") or ():
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            return [each for each in annotation.get("result") or () if isinstance(each, dict)]
    return None


def _picture(
    task: Mapping[str, Any],
    regions: Sequence[Mapping[str, Any]],
    folders: Sequence[Path],
    where: str,
    findings: Findings,
) -> tuple[Path, int, int] | None:
    data = task["data"]
    address = str(data.get("image") or data.get("img") or next(iter(data.values()), ""))
    tried = list(_names(address))
    name = next((each for each in tried if find_picture(each, folders)), tried[0])
    sizes: list[Any] = [
        (each.get("original_width"), each.get("original_height")) for each in regions
    ]
    stated = next((size for size in sizes if finite_numbers(size, 2)), None)
    if any(each.get("image_rotation") for each in regions):
        findings.error(
            where,
            "its picture was rotated in the editor: save the picture so and label it unrotated",
            "rotated picture",
        )
        return None
    size = None if stated is None else (int(stated[0]), int(stated[1]))
    return findings.picture(name, folders, where, size)


def _names(address: str) -> Iterator[str]:
    """What a picture of an address may be called: its end, all of it, its end unmarked."""
    parts = urlsplit(address)
    path = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    last = path.rsplit("/", 1)[-1]
    yield last
    yield path.lstrip("/")
    yield _UPLOAD.sub("", last)


def _with_texts(
    task: Mapping[str, Any], regions: Sequence[Mapping[str, Any]], record: Record
) -> Record:
    lines = [text for each in regions for text in _values(each, "textarea", "text")]
    question = task["data"].get("question")
    questions = [Question(str(question), tuple(lines))] if question and lines else []
    for each in regions:
        if chosen := tuple(_values(each, "choices", "choices")):
            name = str(each.get("from_name", "")).replace("_", " ")
            questions.append(Question(name, chosen))
    is_marked = record.objects or not (lines or questions)
    return Record(
        record.images,
        record.width,
        record.height,
        record.objects if is_marked else None,
        captions=() if question else tuple(lines),
        questions=tuple(questions),
        text="\n".join(lines) if lines and not question else None,
        where=record.where,
    )


def _values(region: Mapping[str, Any], kind: str, key: str) -> list[str]:
    value = region.get("value")
    if region.get("type") != kind or not isinstance(value, dict):
        return []
    texts = value.get(key) or []
    return [str(text) for text in (texts if isinstance(texts, list) else [texts])]


def _object(region: Mapping[str, Any], size: tuple[int, int], *, masks: bool) -> Annotation:
    kind, value = str(region["type"]), region.get("value")
    labels = value.get(kind) if isinstance(value, dict) else None
    if not isinstance(value, dict) or not labels:
        raise InputError("it has no label: give it one")
    label = str(labels[0]).strip()
    if kind == "brushlabels":
        brush = _brush(value, size)
        box = box_of_mask(brush)
        if box is None:
            raise InputError("its brush covers no pixel: draw it, or remove it")
        return Annotation(label, box, brush if masks else None)
    points = _corners(value, size) if kind == "rectanglelabels" else _points(value, size)
    is_outline = kind == "polygonlabels"
    mask = fill_rings([points], *size) if masks and is_outline else None
    return Annotation(label, box_of_points(points), mask)


def _corners(value: Mapping[str, Any], size: tuple[int, int]) -> list[Point]:
    keys = ("x", "y", "width", "height")
    numbers = finite_numbers([value.get(key) for key in keys], 4)
    angle = finite_numbers([value.get("rotation") or 0], 1)
    if numbers is None or angle is None:
        raise InputError(f"its rectangle is not {', '.join(keys)} in percent")
    x, y, w, h = (each * side / 100 for each, side in zip(numbers, size * 2, strict=True))
    cos, sin = math.cos(math.radians(angle[0])), math.sin(math.radians(angle[0]))
    return [
        (x + dx * cos - dy * sin, y + dx * sin + dy * cos)
        for dx, dy in ((0, 0), (w, 0), (w, h), (0, h))
    ]


def _points(value: Mapping[str, Any], size: tuple[int, int]) -> list[Point]:
    points = [finite_numbers(each, 2) for each in value.get("points") or ()]
    known = [each for each in points if each is not None]
    if len(known) < 3 or len(known) < len(points):
        raise InputError("its points are no polygon: expected three or more x, y in percent")
    return [(each[0] * size[0] / 100, each[1] * size[1] / 100) for each in known]


def _brush(value: Mapping[str, Any], size: tuple[int, int]) -> Mask:
    """The outline of a brush.

    Its bytes are one row of bits: the number of values (32 bits); the width of a value less one
    (5); four widths of lengths, each less one (4 each); then blocks, each a bit "repeated", the
    number of its width of length (2), a length less one in so many bits, and one value if
    repeated, else as many as the length says. The values are those of an RGBA picture; opaque is
    inside.

    Raises:
        InputError: other bytes, or of a picture of another size.
    """
    width, height = size
    try:
        packed = np.array(value["rle"], np.uint8)
        values = _unpacked(np.unpackbits(packed), 4 * width * height)
    except (KeyError, TypeError, ValueError, OverflowError, IndexError):
        raise InputError(
            f"its brush is not the run lengths of a {width} x {height} picture: export it again"
        ) from None
    return Mask.from_array(values.reshape(height, width, 4)[:, :, 3] > 0)


def _unpacked(bits: npt.NDArray[np.uint8], expected: int) -> npt.NDArray[np.uint8]:
    place = 0

    def read(width: int) -> int:
        nonlocal place
        if place + width > len(bits):
            raise ValueError("it ends too early")
        number = int("".join(map(str, bits[place : place + width])), 2)
        place += width
        return number

    if read(32) != expected:
        raise ValueError("another size")
    value_width = read(5) + 1
    length_widths = [read(4) + 1 for _ in range(4)]
    values = np.zeros(expected, np.uint8)
    done = 0
    while done < expected:
        is_repeated = read(1)
        length = read(length_widths[read(2)]) + 1
        if is_repeated:
            values[done : done + length] = read(value_width)
        else:
            for index in range(done, done + length):
                values[index] = read(value_width)
        done += length
    return values
