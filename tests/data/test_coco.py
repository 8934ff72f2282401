"""COCO: boxes, outlines, captions, and what a file can have wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from palikit.data.coco import read_coco
from palikit.data.rows import load_rows
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.results import Box
from tests.data.broken import save_picture, save_turned
from tests.data.sources import SIZE, SQUARE, coco_file, only_error, write_json

BOX = {"category_id": 7, "bbox": [10, 8, 20, 20]}


def test_boxes_come_with_the_names_of_their_categories(tmp_path: Path) -> None:
    found = read_coco(coco_file(tmp_path / "instances_val.json", [BOX, {**BOX, "category_id": 12}]))
    (record,) = found.records
    assert found.classes == ("cat", "dog")
    assert record.objects is not None
    assert [(each.label, each.box) for each in record.objects] == [
        ("cat", Box(10, 8, 30, 28)),
        ("dog", Box(10, 8, 30, 28)),
    ]
    assert (record.width, record.height, record.split) == (*SIZE, "val")
    assert found.problems == ()


def test_polygons_and_run_lengths_give_the_same_outline(tmp_path: Path) -> None:
    inside = np.zeros((SIZE[1], SIZE[0]), np.bool_)
    inside[8:28, 10:30] = True
    rle = Mask.from_array(inside).to_rle()
    file = coco_file(
        tmp_path / "a.json", [{**BOX, "segmentation": [SQUARE]}, {**BOX, "segmentation": rle}]
    )
    (record,) = read_coco(file).records
    assert [each.mask for each in record.objects or ()] == [Mask.from_array(inside)] * 2
    (record,) = read_coco(file, masks=False).records
    assert [each.mask for each in record.objects or ()] == [None, None]


def test_a_box_that_is_missing_is_drawn_around_the_outline(tmp_path: Path) -> None:
    file = coco_file(tmp_path / "a.json", [{"category_id": 7, "segmentation": [SQUARE]}])
    (record,) = read_coco(file, masks=False).records
    assert [each.box for each in record.objects or ()] == [Box(10, 8, 30, 28)]


def test_instances_and_captions_of_one_picture_become_one_record(tmp_path: Path) -> None:
    coco_file(tmp_path / "annotations" / "instances_train2017.json", [BOX])
    save_picture(tmp_path / "train2017" / "0.png", 0, SIZE)
    (tmp_path / "annotations" / "0.png").unlink()
    write_json(
        tmp_path / "annotations" / "captions_train2017.json",
        {
            "images": [{"id": 5, "file_name": "0.png"}],
            "annotations": [{"id": 1, "image_id": 5, "caption": " A cat. "}],
        },
    )
    (record,) = read_coco(tmp_path).records
    assert (record.captions, len(record.objects or ()), record.split) == (("A cat.",), 1, "train")


def test_roboflow_s_layout_has_its_split_in_the_folder(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        coco_file(tmp_path / split / "_annotations.coco.json", [BOX])
    found = read_coco(tmp_path)
    assert sorted(str(each.split) for each in found.records) == ["train", "val"]
    assert [each.split for each in read_coco(tmp_path, "val").records] == ["val"]


def test_a_category_that_only_stands_above_others_is_no_class(tmp_path: Path) -> None:
    def classes(*annotations: dict[str, object]) -> tuple[str, ...]:
        file = coco_file(tmp_path / "a.json", list(annotations))
        value = json.loads(file.read_text(encoding="utf-8"))
        value["categories"] = [
            {"id": 0, "name": "pets", "supercategory": "none"},
            {"id": 7, "name": "cat", "supercategory": "pets"},
            {"id": 8, "name": "person", "supercategory": "person"},
        ]
        return read_coco(write_json(file, value)).classes

    assert classes(BOX) == ("cat", "person")
    assert classes(BOX, {**BOX, "category_id": 0}) == ("pets", "cat", "person")


def test_one_picture_in_two_splits_stays_in_both(tmp_path: Path) -> None:
    for split in ("train", "val"):
        coco_file(tmp_path / "annotations" / f"instances_{split}.json", [BOX])
    found = [(each.split, len(each.objects or ())) for each in read_coco(tmp_path).records]
    assert found == [("train", 1), ("val", 1)]


def test_the_area_is_the_stated_one(tmp_path: Path) -> None:
    file = coco_file(tmp_path / "a.json", [{**BOX, "area": 314.5}, BOX])
    assert [each.area for each in read_coco(file).records[0].objects or ()] == [314.5, None]


def test_space_around_the_name_of_a_category_is_no_part_of_it(tmp_path: Path) -> None:
    file = coco_file(tmp_path / "a.json", [BOX])
    text = file.read_text(encoding="utf-8").replace('"cat"', '" cat "')
    file.write_text(text, encoding="utf-8")
    assert load_rows(file).rows[0].prefix == "detect cat ; dog"


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("categories", None, "category_id 7 is not among the categories"),
        ("categories", [{"id": [7], "name": "cat"}], "category_id 7 is not among"),
        ("images", [{"id": [0], "file_name": "0.png"}], "its image_id 0 is not among the images"),
        ("annotations", [{**BOX, "image_id": [0]}], "its image_id [0] is not among the images"),
    ],
)
def test_ids_of_any_kind_are_told_rather_than_stumbled_over(
    tmp_path: Path, key: str, value: object, told: str
) -> None:
    file = coco_file(tmp_path / "a.json", [BOX])
    content = json.loads(file.read_text(encoding="utf-8"))
    found = read_coco(write_json(file, {**content, key: value}))
    assert told in only_error(found.problems)


@pytest.mark.parametrize("written", ["images", "annotations", "categories"])
def test_whole_numbers_written_as_floats_are_the_same_ids(tmp_path: Path, written: str) -> None:
    file = coco_file(tmp_path / "a.json", [{**BOX, "image_id": 1}], images=2)
    content = json.loads(file.read_text(encoding="utf-8"))
    for item in content[written]:
        ids = ("id", "image_id", "category_id")
        item.update({key: float(item[key]) for key in ids if key in item})
    found = read_coco(write_json(file, content))
    assert [len(each.objects or ()) for each in found.records] == [0, 1]
    assert (found.classes, found.problems) == (("cat", "dog"), ())


def test_an_image_without_an_id_and_an_annotation_of_none_are_errors(tmp_path: Path) -> None:
    file = coco_file(tmp_path / "a.json", [BOX], images=2)
    content = json.loads(file.read_text(encoding="utf-8"))
    del content["images"][1]["id"], content["annotations"][0]["image_id"]
    first, second = read_coco(write_json(file, content)).problems
    assert "image 1.png: it has no id: give each image one" in str(first)
    assert "annotation 100: its image_id (none) is not among the images" in str(second)
    assert first.is_error
    assert second.is_error


def test_a_crowd_is_kept_as_one(tmp_path: Path) -> None:
    file = coco_file(tmp_path / "a.json", [{**BOX, "iscrowd": 1}])
    assert [each.crowd for each in read_coco(file).records[0].objects or ()] == [True]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"category_id": 9}, "annotation 100: its category_id 9 is not among the categories"),
        ({"image_id": 77}, "annotation 100: its image_id 77 is not among the images"),
        ({"bbox": [1, 2, "x", 4]}, "annotation 100: its bbox is"),
        ({"bbox": [1, 2, float("nan"), 4]}, "annotation 100: its bbox is"),
        ({"segmentation": [[1, 2, 3]]}, "annotation 100: a polygon"),
        ({"segmentation": {"size": [4, 4], "counts": [16]}}, "is of 4 x 4 pixels"),
        ({"segmentation": {"size": [float("inf"), 4], "counts": [16]}}, "a COCO mask is"),
    ],
)
def test_a_wrong_annotation_is_named(tmp_path: Path, change: dict[str, object], told: str) -> None:
    found = read_coco(coco_file(tmp_path / "a.json", [{**BOX, **change}]))
    assert told in only_error(found.problems)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    file = coco_file(tmp_path / "a.json", [BOX])
    (tmp_path / "0.png").unlink()
    found = read_coco(file)
    assert found.records == ()
    assert "image 0 (0.png): there is no picture 0.png" in only_error(found.problems)


def test_labels_of_a_picture_lying_on_its_side_are_refused(tmp_path: Path) -> None:
    file = coco_file(tmp_path / "a.json", [BOX])
    save_turned(tmp_path / "0.png", 0, SIZE)
    assert "states 64 x 48 pixels and 0.png has 48 x 64 once turned" in only_error(
        read_coco(file).problems
    )


def test_what_is_not_coco_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not COCO"):
        read_coco(write_json(tmp_path / "a.json", {"images": 3}))
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="is not JSON"):
        read_coco(tmp_path / "a.json")


def test_two_images_of_one_id_are_an_error_that_names_both(tmp_path: Path) -> None:
    file = coco_file(tmp_path / "a.json", [BOX], images=2)
    whole = json.loads(file.read_text())
    whole["images"][1]["id"] = 0
    found = read_coco(write_json(file, whole))
    assert "image 0: 0.png and 1.png both have this id" in only_error(found.problems)


def test_more_objects_than_evaluation_looks_at_are_noted(tmp_path: Path) -> None:
    crowds = [{**BOX, "iscrowd": 1}] * 5
    found = read_coco(coco_file(tmp_path / "a.json", [*crowds, *[BOX] * 101]))
    (noted,) = found.problems
    assert not noted.is_error
    assert "it has 101 objects 'cat', and evaluation looks at 100" in noted.what
    assert read_coco(coco_file(tmp_path / "b.json", [*crowds, *[BOX] * 100])).problems == ()
