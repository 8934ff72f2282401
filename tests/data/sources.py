"""Small data sets in the formats that are read."""

import json
from pathlib import Path
from typing import Any

from palikit.data.records import Problem
from tests.data.broken import save_picture

SIZE = (64, 48)
"""Width and height of every picture here, in pixels."""

SQUARE = [10.0, 8.0, 30.0, 8.0, 30.0, 28.0, 10.0, 28.0]
"""A square of 20 pixels as COCO writes a polygon."""


def write_json(file: Path, value: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value), encoding="utf-8")
    return file


def coco_file(file: Path, annotations: list[dict[str, Any]], images: int = 1) -> Path:
    """A COCO file with its pictures beside it; category 7 is cat, 12 is dog."""
    for index in range(images):
        save_picture(file.parent / f"{index}.png", index, SIZE)
    pictures = [
        {"id": index, "file_name": f"{index}.png", "width": SIZE[0], "height": SIZE[1]}
        for index in range(images)
    ]
    categories = [{"id": 7, "name": "cat"}, {"id": 12, "name": "dog"}]
    whole = [{"id": 100 + place, "image_id": 0, **each} for place, each in enumerate(annotations)]
    return write_json(file, {"images": pictures, "categories": categories, "annotations": whole})


def voc_xml(name: str, boxes: list[tuple[str, int, int, int, int]], extra: str = "") -> str:
    objects = "".join(
        f"<object><name>{label}</name>{extra}<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for label, x1, y1, x2, y2 in boxes
    )
    return (
        f"<annotation><filename>{name}.png</filename><size><width>{SIZE[0]}</width>"
        f"<height>{SIZE[1]}</height></size>{objects}</annotation>"
    )


def voc_folder(folder: Path, files: dict[str, str]) -> Path:
    (folder / "Annotations").mkdir(parents=True)
    for seed, (name, xml) in enumerate(files.items()):
        (folder / "Annotations" / f"{name}.xml").write_text(xml, encoding="utf-8")
        save_picture(folder / "JPEGImages" / f"{name}.png", seed, SIZE)
    return folder


def voc_lists(folder: Path, **lists: str) -> None:
    main = folder / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for split, names in lists.items():
        (main / f"{split}.txt").write_text("\n".join(names.split()), encoding="utf-8")


def yolo_folder(folder: Path, names: str, labels: dict[str, str]) -> Path:
    """data.yaml with one split; a value of `labels` is the text of a label file."""
    (folder / "labels" / "train").mkdir(parents=True)
    (folder / "data.yaml").write_text(f"train: images/train\nnames: {names}\n", encoding="utf-8")
    for seed, (name, text) in enumerate(labels.items()):
        save_picture(folder / "images" / "train" / f"{name}.png", seed, SIZE)
        (folder / "labels" / "train" / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def only_error(problems: tuple[Problem, ...]) -> str:
    """The one error among some problems, with its place."""
    (found,) = [problem for problem in problems if problem.is_error]
    return str(found)
