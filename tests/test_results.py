"""Typed results as JSON, COCO records and arrays."""

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from palikit.masks import Mask
from palikit.results import (
    Answer,
    Box,
    Caption,
    Detection,
    Detections,
    OcrText,
    Segment,
    Segments,
)

CODES = tuple(range(16))


def outline() -> Mask:
    pixels = np.zeros((30, 40), np.bool_)
    pixels[5:10, 20:30] = True
    return Mask.from_array(pixels)


def detections() -> Detections:
    return Detections(
        (
            Detection(Box(1.239, 2, 11, 22), "cat", 0.75),
            Detection(Box(0, 0, 40, 30), "mat", 0.5),
            Detection(Box(3, 4, 5, 6), "cat", 0.25),
        ),
        width=40,
        height=30,
        unparsed="<loc0001> what",
        problems=("a box needs four location tokens",),
    )


def segments(*masks: Mask | None) -> Segments:
    objects = tuple(Segment(Box(20, 5, 30, 10), "cat", CODES, mask, 0.9) for mask in masks)
    return Segments(objects, width=40, height=30)


def test_a_box_knows_its_extent_and_spellings() -> None:
    box = Box(1, 2, 11, 22)

    assert (box.width, box.height) == (10, 20)
    assert box.to_list() == [1, 2, 11, 22]
    assert box.to_xywh() == [1, 2, 10, 20]


def test_results_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Caption("a cat").text = "a dog"  # type: ignore[misc]


@pytest.mark.parametrize("kind", [Caption, Answer, OcrText])
def test_texts_become_json(kind: type[Caption | Answer | OcrText]) -> None:
    assert kind("a cat").to_dict() == {"text": "a cat"}


def test_objects_are_counted_and_walked_in_the_models_order() -> None:
    found = detections()

    assert len(found) == 3
    assert [one.label for one in found] == ["cat", "mat", "cat"]


def test_detections_become_json_with_what_was_not_understood() -> None:
    record = json.loads(json.dumps(detections().to_dict()))

    assert record["objects"][0] == {"label": "cat", "box": [1.24, 2, 11, 22], "score": 0.75}
    assert len(record["objects"]) == 3
    assert record["unparsed"] == "<loc0001> what"
    assert record["problems"] == ["a box needs four location tokens"]


def test_segments_become_json_with_masks_that_can_be_read_back() -> None:
    with_mask, without = json.loads(json.dumps(segments(outline(), None).to_dict()))["objects"]

    assert Mask.from_rle(with_mask["mask"]) == outline()
    assert without["mask"] is None
    assert with_mask["codes"] == list(CODES)


def test_coco_records_hold_boxes_as_corner_and_size() -> None:
    records = detections().to_coco(image_id=7)

    assert [record["category_id"] for record in records] == [1, 2, 1]
    assert {record["image_id"] for record in records} == {7}
    assert records[0]["bbox"] == pytest.approx([1.239, 2, 9.761, 20])
    assert [record["score"] for record in records] == [0.75, 0.5, 0.25]
    assert all("segmentation" not in record for record in records)


def test_coco_records_use_the_data_sets_own_categories_and_leave_out_others() -> None:
    records = detections().to_coco(category_ids={"cat": 17})

    assert [record["category_id"] for record in records] == [17, 17]


def test_coco_records_of_segments_hold_the_mask_where_there_is_one() -> None:
    first, second = json.loads(json.dumps(segments(outline(), None).to_coco()))

    assert Mask.from_rle(first["segmentation"]) == outline()
    assert "segmentation" not in second


def test_an_unknown_score_is_one_in_coco() -> None:
    found = Detections((Detection(Box(0, 0, 1, 1), "cat"),), 40, 30)

    assert found.to_coco()[0]["score"] == 1.0


def test_arrays_hold_boxes_scores_and_classes() -> None:
    arrays = detections().to_arrays()

    np.testing.assert_allclose(arrays.xyxy[1], [0, 0, 40, 30])
    assert (arrays.xyxy.dtype, arrays.xyxy.shape) == (np.float32, (3, 4))
    assert arrays.confidence is not None
    assert arrays.confidence.dtype == np.float32
    assert arrays.confidence.tolist() == [0.75, 0.5, 0.25]
    assert arrays.class_names == ("cat", "mat")
    assert arrays.class_id.dtype == np.int64
    assert arrays.class_id.tolist() == [0, 1, 0]
    assert arrays.mask is None


def test_arrays_use_the_class_names_given_and_mark_others() -> None:
    arrays = detections().to_arrays(["dog", "mat"])

    assert arrays.class_names == ("dog", "mat")
    assert arrays.class_id.tolist() == [-1, 1, -1]


def test_arrays_stack_masks_where_every_object_has_one() -> None:
    arrays = segments(outline(), outline()).to_arrays()

    assert arrays.mask is not None
    assert (arrays.mask.dtype, arrays.mask.shape) == (np.bool_, (2, 30, 40))
    np.testing.assert_array_equal(arrays.mask[1], outline().to_array())
    assert segments(outline(), None).to_arrays().mask is None


def test_arrays_have_no_scores_unless_every_object_has_one() -> None:
    some = (Detection(Box(0, 0, 1, 1), "cat", 0.5), Detection(Box(0, 0, 1, 1), "cat"))

    assert Detections(some, 40, 30).to_arrays().confidence is None


@pytest.mark.parametrize("empty", [Detections((), 40, 30), Segments((), 40, 30)])
def test_nothing_found_gives_empty_arrays_of_the_same_kinds(empty: Detections | Segments) -> None:
    arrays = empty.to_arrays()

    assert arrays.xyxy.shape == (0, 4)
    assert arrays.class_id.shape == (0,)
    assert arrays.class_id.dtype == np.int64
    assert arrays.class_names == ()
    assert arrays.confidence is not None
    assert arrays.confidence.shape == (0,)
    assert empty.to_coco() == []
    assert empty.to_dict()["objects"] == []
