"""Pascal VOC: an XML file a picture, splits as lists of names.

    Annotations/NAME.xml   JPEGImages/NAME.jpg   ImageSets/Main/train.txt, val.txt, test.txt

or each XML file beside its picture, in split folders or not, as Roboflow exports it.

- Boxes count pixels from 1 and include both ends (development kit of VOC2012, "Bounding boxes": the
  top left pixel has coordinates (1,1)), so xmin..xmax becomes the edges xmin - 1 and xmax. Tools
  that count from 0 write a 0 here and there: it is taken as 1.
- A box whose ends are equal is reported as degenerate, although one pixel could be meant: real
  data has them as slips of the mouse.
- `trainval` is the union of `train` and `val` and is read only where neither is there; then it is
  `train`. A name that a list marks with -1 (the class lists of VOC) is not in it.
- The size in the file is checked against the picture where it is not 0.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

from palikit.data.findings import Findings, files_in, finite_numbers
from palikit.data.records import Annotation, Record, Records
from palikit.data.split_names import Splits, is_wanted, split_name, split_of
from palikit.data.text_files import read_text
from palikit.errors import InputError
from palikit.pictures import PICTURE_SUFFIXES
from palikit.results import Box

_DECLARATION = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


def read_voc(
    path: Path,
    split: Splits = None,
    *,
    images: Path | None = None,
    difficult: bool = False,
) -> Records:
    """Read a Pascal VOC folder.

    Args:
        path: the folder above `Annotations`, or one with XML files beside pictures.
        split: only this one, or these; None for all.
        images: folder of the pictures, where it is not JPEGImages beside Annotations.
        difficult: whether objects marked as difficult are ordinary ones. By default they are
            neither trained on nor counted in evaluation, as VOC itself scores.

    Raises:
        InputError: there are no XML files.
    """
    findings = Findings()
    lists = _lists(path)
    files = list(_files(path, lists, split, findings))
    if not files and not findings.problems and split is None:
        raise InputError(f"{path} holds no Pascal VOC files: expected Annotations/*.xml")
    records = []
    for file, name in files:
        record = _record(file, path, images, name, findings, difficult=difficult)
        if record is not None:
            records.append(record)
    labels = (each.label for record in records for each in record.objects or ())
    return Records(tuple(records), tuple(sorted(set(labels))), tuple(findings.problems))


def voc_files(folder: Path) -> list[Path]:
    """The XML files of a folder in one of the layouts."""
    for pattern in ("Annotations/*.xml", "*.xml", "*/*.xml"):
        if found := files_in(folder, pattern):
            return found
    return []


def _lists(folder: Path) -> dict[str, list[str]]:
    """The names of each split; empty without lists."""
    main = folder / "ImageSets" / "Main"
    names = {path.stem: path for path in sorted(main.glob("*.txt"))}
    if not {"train", "val"} & names.keys() and "trainval" in names:
        names["train"] = names["trainval"]
    return {split: _names(names[split]) for split in ("train", "val", "test") if split in names}


def _names(path: Path) -> list[str]:
    lines = (line.split() for line in read_text(path).splitlines())
    return [parts[0] for parts in lines if parts and parts[1:2] != ["-1"]]


def _files(
    folder: Path, lists: Mapping[str, list[str]], wanted: Splits, findings: Findings
) -> Iterator[tuple[Path, str | None]]:
    """Each XML file of the splits that are wanted; what no list names is left out."""
    if not lists:
        for file in voc_files(folder):
            own = None if file.parent.name == "Annotations" else split_of(file.parent.name)
            if is_wanted(own, wanted):
                yield file, own
        return
    for split, names in lists.items():
        for name in names if is_wanted(split_name(split), wanted) else ():
            file = folder / "Annotations" / f"{name.lstrip('/')}.xml"
            if file.is_file():
                yield file, split_name(split)
            else:
                findings.error(
                    f"ImageSets/Main/{split}.txt",
                    f"it names {name}, and there is no {file}: add it, or remove the name",
                    "missing label file",
                )


def _record(
    file: Path,
    root: Path,
    images: Path | None,
    split: str | None,
    findings: Findings,
    *,
    difficult: bool,
) -> Record | None:
    where = str(file.relative_to(root))
    try:
        tree = _tree(file)
    except InputError as error:
        findings.error(where, str(error), "unreadable label file")
        return None
    stated = finite_numbers([tree.findtext("size/width"), tree.findtext("size/height")], 2)
    picture = findings.picture(
        _picture_name(file, tree, images),
        [images] if images else [root / "JPEGImages", file.parent],
        where,
        (int(stated[0]), int(stated[1])) if stated else None,
    )
    if picture is None:
        return None
    found = (_object(each, where, findings, difficult=difficult) for each in tree.iter("object"))
    objects = tuple(each for each in found if each is not None)
    return Record((picture[0],), *picture[1:], objects, split=split, where=where)


def _picture_name(file: Path, tree: ET.Element, images: Path | None) -> str:
    """The picture of an XML file: the one it names, or the one called as it is."""
    named = Path((tree.findtext("filename") or "").strip().replace("\\", "/")).name
    folders = [images] if images else [file.parent.parent / "JPEGImages", file.parent]
    for folder in folders:
        if named and (folder / named).is_file():
            return named
        for suffix in sorted(PICTURE_SUFFIXES):
            for spelled in (suffix, suffix.upper()):
                if (folder / (file.stem + spelled)).is_file():
                    return file.stem + spelled
    return named or f"{file.stem}.jpg"


def _object(
    element: ET.Element, where: str, findings: Findings, *, difficult: bool
) -> Annotation | None:
    label = (element.findtext("name") or "").strip()
    ends = [element.findtext(f"bndbox/{end}") for end in ("xmin", "ymin", "xmax", "ymax")]
    numbers = finite_numbers(ends, 4)
    if numbers is None:
        findings.error(
            where,
            f"the box of {label!r} is {ends}: expected the numbers xmin, ymin, xmax, ymax",
            "unreadable object",
        )
        return None
    x1, y1 = (max(end - 1, 0.0) if end >= 0 else end for end in numbers[:2])
    x2, y2 = numbers[2:]
    # Equal ends would be one pixel; see the head of this file.
    box = Box(x1, y1, x1 if x2 == numbers[0] else x2, y1 if y2 == numbers[1] else y2)
    is_difficult = (element.findtext("difficult") or "0").strip() == "1"
    return Annotation(label, box, crowd=is_difficult and not difficult)


def _tree(file: Path) -> ET.Element:
    """The root of an XML file.

    Raises:
        InputError: not XML, or with declarations of its own: entities can grow without bound or
            name other files, and no VOC file needs any.
    """
    text = read_text(file)
    if _DECLARATION.search(text):
        raise InputError(
            f"{file} declares a document type or entities, which are not read: remove them"
        )
    try:
        return ET.fromstring(text)  # noqa: S314 (entities are refused above)
    except (ET.ParseError, ValueError) as error:
        raise InputError(f"{file} is not XML ({error}): expected a Pascal VOC file") from error
