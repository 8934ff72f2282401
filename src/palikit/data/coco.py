"""COCO: one JSON file a split with images, categories and annotations (cocodataset.org, format).

    instances   bbox [x, y, width, height] in pixels; segmentation: polygons, a list of flat lists
                x, y, x, y, ..., filled as a union; or run lengths {"size", "counts"}
    captions    caption
    iscrowd     1 marks a group that was not told apart

A folder is read as it is published (annotations/instances_train2017.json beside train2017/) and as
Roboflow exports it (train/_annotations.coco.json among the pictures). Instances and captions of one
picture and split become one record. Files of key points and those without annotations are passed
over, and so is a category that only stands above others: Roboflow's exports begin with one that is
called after the data set.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from palikit.data.coco_outlines import box_of, outline_of
from palikit.data.findings import Findings, files_in, finite_numbers
from palikit.data.records import Annotation, Record, Records
from palikit.data.split_names import Splits, is_wanted, split_of
from palikit.data.text_files import read_json, read_text
from palikit.errors import InputError

_PASSED_OVER = ("person_keypoints", "image_info", "stuff_", "panoptic_")

_MAX_DETECTIONS = 100
"""Objects of a class in a picture that COCO's metric counts (its largest `maxDets`)."""


@dataclass(frozen=True)
class _Source:
    """One file: its name, the names of its categories by id, and where its pictures may lie."""

    name: str
    categories: Mapping[int | str, str]
    folders: tuple[Path, ...]
    split: str | None
    masks: bool


def read_coco(
    path: Path, split: Splits = None, *, images: Path | None = None, masks: bool = True
) -> Records:
    """Read a COCO file, or a folder of them.

    Args:
        path: a JSON file, or a folder with one or more.
        split: only this one, or these; None for all.
        images: folder of the pictures, where they do not lie where COCO has them.
        masks: whether outlines are read; filling polygons takes most of the time.

    Raises:
        InputError: there is no such file, or one that is not COCO.
    """
    files = coco_files(path) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path} holds no COCO file: expected JSON with images and annotations")
    findings = Findings()
    records: dict[tuple[str | None, tuple[Path, ...]], Record] = {}
    classes: dict[str, None] = {}
    for file in files:
        own = split_of(file.stem) or split_of(file.parent.name)
        if not is_wanted(own, split):
            continue
        content = _content(file)
        source = _source(file, content, path, images, own, masks=masks)
        classes.update(dict.fromkeys(source.categories.values()))
        for record in _records(source, content, findings):
            # One picture in two splits stays two records, or nobody would hear of it.
            place = (own, record.images)
            earlier = records.get(place)
            records[place] = _merged(earlier, record) if earlier else record
    return Records(tuple(records.values()), tuple(classes), tuple(findings.problems))


def coco_files(folder: Path) -> list[Path]:
    """The COCO files of a folder, its split folders and its folder `annotations`."""
    found = files_in(folder, "*.json", "*/*.json")
    return [path for path in found if not path.name.startswith(_PASSED_OVER) and is_coco(path)]


def is_coco(path: Path) -> bool:
    """Whether a file looks like a COCO data set; it is not parsed, as that can take minutes."""
    try:
        text = read_text(path).lstrip()
    except InputError:
        return False
    return text.startswith("{") and '"images"' in text and '"annotations"' in text


def _content(file: Path) -> dict[str, Any]:
    value = read_json(file)
    keys = ("images", "annotations")
    if not isinstance(value, dict) or not all(isinstance(value.get(key), list) for key in keys):
        raise InputError(f'{file} is not COCO: expected {{"images": [...], "annotations": [...]}}')
    return value


def _source(
    file: Path,
    content: Mapping[str, Any],
    root: Path,
    images: Path | None,
    split: str | None,
    *,
    masks: bool,
) -> _Source:
    categories = _categories(content)
    folders = (images,) if images is not None else tuple(_folders(file, split))
    name = str(file.relative_to(root)) if file != root else file.name
    return _Source(name, categories, folders, split, masks)


def _categories(content: Mapping[str, Any]) -> dict[int | str, str]:
    """The names of the categories by their ids, without those that only stand above others."""
    given = content.get("categories")
    known = [
        each
        for each in (given if isinstance(given, list) else [])
        if isinstance(each, dict) and isinstance(_id(each), int) and "name" in each
    ]
    above = {str(each.get("supercategory")) for each in known}
    used = {_id(each, "category_id") for each in content["annotations"]}
    return {
        _id(each): str(each["name"]).strip()
        for each in known
        if _id(each) in used
        or str(each["name"]) not in above
        or each.get("supercategory") not in (None, "", "none")
    }


def _folders(file: Path, split: str | None) -> list[Path]:
    """Where a file's pictures may lie: beside it, and where COCO has them."""
    here, above = file.parent, file.parent.parent
    last = file.stem.rpartition("_")[2]  # train2017 of instances_train2017
    names = dict.fromkeys(["images", last, f"images/{last}", *([split] if split else [])])
    folders = [here, *(here / name for name in names)]
    if here.name == "annotations":
        folders += [above, *(above / name for name in names)]
    return [folder for folder in folders if folder.is_dir()]


def _records(source: _Source, content: Mapping[str, Any], findings: Findings) -> list[Record]:
    by_image: dict[int | str, list[Mapping[str, Any]]] = defaultdict(list)
    images = [each for each in content["images"] if isinstance(each, dict)]
    known = _by_id(source, images, findings)
    for annotation in content["annotations"]:
        number = _id(annotation, "image_id")
        if number in known:
            by_image[number].append(annotation)
        else:
            findings.error(
                f"{source.name}, annotation {_id(annotation)}",
                f"its image_id {number} is not among the images: add the image, or remove the "
                "annotation",
                "unknown image",
            )
    found = (
        _record(source, image, by_image.get(number, ()), findings)
        for number, image in known.items()
    )
    return [record for record in found if record is not None]


def _by_id(
    source: _Source, images: Sequence[Mapping[str, Any]], findings: Findings
) -> dict[int | str, Mapping[str, Any]]:
    """The images by their ids; of two with one id nobody knows whose the annotations are."""
    known: dict[int | str, Mapping[str, Any]] = {}
    for image in images:
        if image.get("id") is None:
            findings.error(
                f"{source.name}, image {image.get('file_name')}",
                "it has no id: give each image one of its own, and its annotations the same",
                "image without id",
            )
            continue
        first = known.setdefault(_id(image), image)
        if first is not image:
            findings.error(
                f"{source.name}, image {_id(image)}",
                f"{first.get('file_name')} and {image.get('file_name')} both have this id: give "
                "each image an id of its own, and its annotations the same",
                "repeated image id",
            )
    return known


def _record(
    source: _Source,
    image: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    findings: Findings,
) -> Record | None:
    name = str(image.get("file_name", ""))
    where = f"{source.name}, image {image.get('id')} ({name})"
    stated = finite_numbers([image.get("width"), image.get("height")], 2)
    size = (int(stated[0]), int(stated[1])) if stated else None
    picture = findings.picture(name, source.folders, where, size)
    if picture is None:
        return None
    captions = tuple(str(each["caption"]).strip() for each in annotations if "caption" in each)
    marked = [each for each in annotations if "caption" not in each]
    objects = [_object(source, each, picture[1:], findings) for each in marked]
    _note_many(where, objects, findings)
    return Record(
        images=(picture[0],),
        width=picture[1],
        height=picture[2],
        objects=tuple(each for each in objects if each) if source.categories or marked else None,
        captions=captions,
        split=source.split,
        where=where,
    )


def _note_many(where: str, objects: Sequence[Annotation | None], findings: Findings) -> None:
    """Notes a picture with more objects of a class than evaluation looks at."""
    counts = Counter(each.label for each in objects if each and not each.crowd)
    for label, count in counts.items():
        if count > _MAX_DETECTIONS:
            findings.note(
                where,
                f"it has {count} objects {label!r}, and evaluation looks at {_MAX_DETECTIONS} of a "
                "class in a picture: --crop cuts it into tiles",
                f"more than {_MAX_DETECTIONS} objects of a class",
            )


def _object(
    source: _Source, annotation: Mapping[str, Any], size: tuple[int, int], findings: Findings
) -> Annotation | None:
    where = f"{source.name}, annotation {_id(annotation)}"
    label = source.categories.get(_id(annotation, "category_id"))
    if label is None:
        findings.error(
            where,
            f"its category_id {annotation.get('category_id')!r} is not among the categories "
            f"({', '.join(map(str, source.categories))}): add the category, or correct the id",
            "unknown category",
        )
        return None
    try:
        mask = outline_of(annotation.get("segmentation"), size) if source.masks else None
        box = box_of(annotation, mask, size)
    except InputError as error:
        findings.error(where, str(error), "unreadable object")
        return None
    area = finite_numbers([annotation.get("area")], 1)
    return Annotation(
        label,
        box,
        mask,
        crowd=bool(annotation.get("iscrowd")),
        area=area[0] if area is not None and area[0] > 0 else None,
    )


def _merged(one: Record, other: Record) -> Record:
    """What two files say about one picture."""
    objects = one.objects if other.objects is None else (*(one.objects or ()), *other.objects)
    return replace(one, objects=objects, captions=one.captions + other.captions)


def _id(value: Any, key: str = "id") -> int | str:
    """An id, or what a message shows in its place.

    17.0 is 17: columns of whole numbers with gaps come out of pandas as floats.
    """
    known = value.get(key, "(none)") if isinstance(value, dict) else "(not an object)"
    if isinstance(known, float) and known.is_integer():
        return int(known)
    return known if isinstance(known, int | str) else str(known)
