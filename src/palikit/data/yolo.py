"""YOLO: a text file of labels beside each picture, class names in data.yaml or classes.txt.

    data.yaml    path: ..., train: images/train, val: ..., test: ..., names: [a, b] or {0: a, 1: b}
    label line   class x_centre y_centre width height          fractions of the upright picture
                 class x y x y x y ...                         a polygon of three points or more

The labels of images/.../a.jpg are labels/.../a.txt, or a.txt beside the picture. A picture without
that file, or with an empty one, shows nothing: that is how YOLO marks background. Where no picture
has one they are not where they are looked for, and that is an error. Folders are searched with
those in them. Paths of data.yaml that lead nowhere are tried without their leading "..", as
Roboflow's exports need. With kpt_shape in data.yaml key points follow each box and are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palikit.data.findings import Findings, files_in, finite_numbers, pictures_in
from palikit.data.outlines import Point, box_of_points, fill_rings
from palikit.data.records import Annotation, Record, Records
from palikit.data.split_names import Splits, is_wanted
from palikit.data.text_files import read_text
from palikit.errors import InputError, counted
from palikit.results import Box

_SPLITS = ("train", "val", "test")

_MOST = 2
"""Shares above are pixels; a little above 1 is a box that reaches beyond its picture."""


@dataclass(frozen=True)
class _Layout:
    """Class names, and the pictures of each split; `None` is a source without splits."""

    names: Mapping[int, str]
    pictures: Mapping[str | None, tuple[Path, ...]]
    root: Path
    masks: bool
    has_key_points: bool = False


def read_yolo(
    path: Path, split: Splits = None, *, images: Path | None = None, masks: bool = True
) -> Records:
    """Read a YOLO data set.

    Args:
        path: data.yaml, the folder that holds it, or a folder of pictures with classes.txt.
        split: only this one, or these; None for all.
        images: folder of the pictures, where classes.txt does not lie beside them.
        masks: whether polygons are filled; their boxes are read in any case.

    Raises:
        InputError: neither file is there, or one that cannot be understood, or there are pictures
            and no file of labels at all.
    """
    layout = _layout(path, split, images, masks=masks)
    _check_has_labels(path, layout)
    findings = Findings()
    records = []
    for own, pictures in layout.pictures.items():
        for picture in pictures:
            record = _record(picture, own, layout, findings)
            if record is not None:
                records.append(record)
    return Records(tuple(records), tuple(layout.names.values()), tuple(findings.problems))


def yolo_file(folder: Path) -> Path | None:
    """The data.yaml or classes.txt of a folder; None where there is neither."""
    for file in files_in(folder, "*.yaml", "*.yml"):
        try:
            if "names" in _yaml(file):
                return file
        except InputError:
            continue
    for file in (folder / "classes.txt", folder / "labels" / "classes.txt"):
        if file.is_file():
            return file
    return None


def _layout(path: Path, wanted: Splits, images: Path | None, *, masks: bool) -> _Layout:
    pictures: dict[str | None, tuple[Path, ...]]
    file = yolo_file(path) if path.is_dir() else path
    if file is None:
        raise InputError(f"{path} holds neither data.yaml with names nor classes.txt")
    root = path if path.is_dir() else path.parent
    if file.suffix == ".txt":
        names = dict(enumerate(line.strip() for line in read_text(file).splitlines() if line))
        folders = [images] if images else [root / "images", root]
        found = next((found for each in folders if (found := pictures_in(each))), [])
        pictures = {None: tuple(found)} if is_wanted(None, wanted) else {}
        return _Layout(names, pictures, root, masks)
    value = _yaml(file)
    start = Path(str(value.get("path") or "."))
    base = start if start.is_absolute() and start.is_dir() else file.parent / start
    pictures = {
        split: tuple(_pictures(value[key], base, file))
        for split in _SPLITS
        if is_wanted(split, wanted)
        and value.get(key := "valid" if split == "val" and "val" not in value else split)
    }
    names = _names(value.get("names"), file)
    return _Layout(names, pictures, root, masks, has_key_points="kpt_shape" in value)


def _check_has_labels(path: Path, layout: _Layout) -> None:
    pictures = [picture for each in layout.pictures.values() for picture in each]
    if pictures and not any(_labels_of(picture).is_file() for picture in pictures):
        raise InputError(
            f"{path} has {counted(len(pictures), 'picture')} and no file of labels: expected "
            f"{_labels_of(pictures[0])}, empty where nothing is to be found"
        )


def _yaml(file: Path) -> Mapping[str, Any]:
    """Plain values of a YAML file; no object is ever made from it."""
    import yaml  # type: ignore[import-untyped,unused-ignore]

    try:
        value = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: no such date
        reason = " ".join(str(error).split())
        raise InputError(f"{file} is not YAML ({reason}): expected a data.yaml of YOLO") from error
    return value if isinstance(value, dict) else {}


def _names(value: Any, file: Path) -> dict[int, str]:
    names = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(names, dict) or not all(type(key) is int for key in names):
        raise InputError(
            f"{file} has no class names: expected names: [cat, dog] or names: {{0: cat}}"
        )
    for name in names.values():
        if type(name) not in (str, int, float):
            # Neither written out nor guessed: a list could be endless, and no is read as false.
            raise InputError(
                f"{file} has a class name of type {type(name).__name__}: write it in quotes"
            )
    return {index: str(names[index]).strip() for index in sorted(names)}


def _pictures(value: Any, base: Path, file: Path) -> Iterator[Path]:
    """The pictures of a split: of a folder, of a list in a file, or of several of these."""
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, str):
            kind = type(each).__name__
            raise InputError(f"{file} has a value of type {kind} for pictures: give a path")
        name = each.replace("\\", "/")
        bare = name.lstrip("./")
        tried = [base / name, file.parent / name, base / bare, file.parent / bare]
        place = next((path for path in tried if path.exists()), None)
        if place is None:
            raise InputError(
                f"{file} names {each} and there is no {tried[0]}: correct the path there"
            )
        if place.is_dir():
            yield from pictures_in(place, "**/*")
        else:
            lines = (line.strip() for line in read_text(place).splitlines())
            yield from (base / line for line in lines if line)


def _labels_of(picture: Path) -> Path:
    """The label file of a picture: images/ becomes labels/ where that is there."""
    parts = picture.with_suffix(".txt").parts
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            there = Path(*parts[:index], "labels", *parts[index + 1 :])
            if there.parent.is_dir():
                return there
            break
    return Path(*parts)


def _record(picture: Path, split: str | None, layout: _Layout, findings: Findings) -> Record | None:
    labels = _labels_of(picture)
    where = _shown(labels, layout.root)
    found = findings.picture(picture.name, [picture.parent], where)
    if found is None:
        return None
    objects = []
    lines = read_text(labels).splitlines() if labels.is_file() else []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                objects.append(_object(line.split(), layout, found[1:]))
            except InputError as error:
                findings.error(f"{where}, line {number}", str(error), "unreadable object")
    return Record((found[0],), found[1], found[2], tuple(objects), split=split, where=where)


def _object(parts: list[str], layout: _Layout, size: tuple[int, int]) -> Annotation:
    parts = parts[:5] if layout.has_key_points else parts
    if len(parts) not in (5, *range(7, len(parts) + 1, 2)):
        raise InputError(
            f"it has {counted(len(parts), 'value')}: expected five, a class and the centre, width "
            "and height of a box, or seven or more, a class and the points of an outline"
        )
    numbers = finite_numbers(parts, len(parts))
    if numbers is None:
        raise InputError(f"it is {' '.join(parts)[:60]!r}: expected numbers alone")
    label = layout.names.get(int(numbers[0]))
    if label is None or numbers[0] != int(numbers[0]):
        raise InputError(
            f"its class {parts[0]} is not among the names of the classes, which are numbered 0 to "
            f"{max(layout.names, default=-1)}: add the name, or correct the number"
        )
    if max(numbers[1:]) > _MOST:
        raise InputError(
            f"its largest number is {max(numbers[1:]):g}: expected shares of the picture's width "
            "and height, 0 to 1; divide pixels by them"
        )
    width, height = size
    if len(numbers) == 5:
        x, y, w, h = (v * s for v, s in zip(numbers[1:], (width, height) * 2, strict=True))
        return Annotation(label, Box(x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    points: list[Point] = [
        (x * width, y * height) for x, y in zip(numbers[1::2], numbers[2::2], strict=True)
    ]
    mask = fill_rings([points], *size) if layout.masks else None
    return Annotation(label, box_of_points(points), mask)


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
