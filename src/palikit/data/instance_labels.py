"""Pictures with label pictures beside them, in which each value is an instance.

    images/a.png    labels/a.png    0 is background, i the i-th object; 8 or 16 bits, no colours

`masks/` is known as well as `labels/`. Every object gets the class "object": name it with
`--rename object=nucleus`. There are no splits; draw some with --split.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from palikit.data.findings import Findings, pictures_in
from palikit.data.records import Annotation, Record, Records
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.pictures import opened
from palikit.results import Box

LABEL_FOLDERS = ("labels", "masks")

DEFAULT_CLASS = "object"

_MODES = ("1", "L", "P", "I", "I;16", "I;16B")
"""Pillow's modes of one whole number a pixel; a palette's index is the instance."""


def read_instance_labels(path: Path, *, images: Path | None = None, masks: bool = True) -> Records:
    """Read a folder of pictures and label pictures.

    Args:
        path: the folder above `images` and `labels`.
        images: folder of the pictures, where it is not `images`.
        masks: whether outlines are kept; boxes are made from them in any case.

    Raises:
        InputError: there is no folder of labels.
    """
    labels = label_folder(path)
    if labels is None:
        raise InputError(
            f"{path} has no folder of label pictures: expected images/ and labels/ "
            "with PNG files of the same names"
        )
    findings = Findings()
    records = []
    label_of = {file.stem: file for file in pictures_in(labels)}
    for picture in pictures_in(images or path / "images"):
        where = str(picture.name)
        file = label_of.get(picture.stem)
        if file is None:
            findings.error(
                where,
                f"there is no {labels.name}/{picture.stem}.png: add it, all 0 where nothing is "
                "to be found",
                "missing label file",
            )
        elif (record := _record(picture, file, where, findings, masks=masks)) is not None:
            records.append(record)
    return Records(tuple(records), (DEFAULT_CLASS,), tuple(findings.problems))


def label_folder(folder: Path) -> Path | None:
    """The folder of label pictures; None without one."""
    for name in LABEL_FOLDERS:
        if pictures_in(folder / name) and (folder / "images").is_dir():
            return folder / name
    return None


def _record(
    picture: Path, file: Path, where: str, findings: Findings, *, masks: bool
) -> Record | None:
    found = findings.picture(picture.name, [picture.parent], where)
    if found is None:
        return None
    try:
        values = _values(file)
    except InputError as error:
        findings.error(where, str(error), "unreadable label file")
        return None
    height, width = values.shape
    if (width, height) != found[1:]:
        findings.error(
            where,
            f"its labels {file.name} are {width} x {height} pixels and the picture has "
            f"{found[1]} x {found[2]}: give the labels of this picture",
            "other picture size",
        )
        return None
    objects = tuple(_objects(values, masks=masks))
    return Record((found[0],), width, height, objects, where=where)


def _values(file: Path) -> npt.NDArray[np.int64]:
    """int64[height, width], 0 outside.

    Raises:
        InputError: damaged, or a picture of colours.
    """
    with opened(file) as picture:
        if picture.mode not in _MODES:
            raise InputError(
                f"{file.name} has colours (mode {picture.mode}): expected one number a pixel, the "
                "instance, in 8 or 16 bits"
            )
        return np.asarray(picture).astype(np.int64)


def _objects(values: npt.NDArray[np.int64], *, masks: bool) -> list[Annotation]:
    height, width = values.shape
    y, x = np.nonzero(values)
    instances, which = np.unique(values[y, x], return_inverse=True)
    low = np.full((2, len(instances)), max(values.shape), np.int64)
    high = np.zeros((2, len(instances)), np.int64)
    for axis, places in enumerate((x, y)):
        np.minimum.at(low[axis], which, places)
        np.maximum.at(high[axis], which, places + 1)
    found = []
    for instance, (x1, y1), (x2, y2) in zip(instances, low.T, high.T, strict=True):
        patch = values[y1:y2, x1:x2] == instance
        mask = Mask.from_patch(patch, int(x1), int(y1), width, height) if masks else None
        box = Box(*(float(edge) for edge in (x1, y1, x2, y2)))
        found.append(Annotation(DEFAULT_CLASS, box, mask))
    return found
