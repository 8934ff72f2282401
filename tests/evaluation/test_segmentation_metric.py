"""Matched instances and single outlines."""

import json

import numpy as np
import pytest

from palikit.evaluation.metrics.objects import PictureObjects, TrueObject
from palikit.evaluation.metrics.segmentation import instance_scores, pair_scores
from palikit.masks import Mask, iou
from palikit.results import Box, Segment
from tests.conftest import shared
from tests.evaluation.test_detection_metric import from_coco, golden

SIDE = 40


def mask(x1: int, x2: int) -> Mask:
    array = np.zeros((SIDE, SIDE), np.bool_)
    array[:, x1:x2] = True
    return Mask.from_array(array)


def true(x1: int, x2: int, label: str = "cell", *, crowd: bool = False) -> TrueObject:
    return TrueObject(label, Box(x1, 0, x2, SIDE), mask(x1, x2), crowd=crowd)


def found(x1: int, x2: int, label: str = "cell") -> Segment:
    return Segment(Box(x1, 0, x2, SIDE), label, (0,) * 16, mask(x1, x2))


def test_each_instance_is_matched_once_and_with_the_best() -> None:
    picture = PictureObjects(
        (true(0, 10), true(20, 30)), (found(1, 10), found(0, 10), found(2, 10))
    )
    scores = instance_scores([picture])
    assert (scores.num_matched, scores.mean_iou) == (1, 1.0)
    assert (scores.recall, scores.precision) == (0.5, pytest.approx(1 / 3))
    assert scores.quality == pytest.approx(1 / (1 + (1 + 2) / 2))


def test_below_the_threshold_nothing_matches() -> None:
    picture = PictureObjects((true(0, 10),), (found(0, 4),))
    assert instance_scores([picture]).mean_iou is None
    assert instance_scores([picture], min_iou=0.4).mean_iou == pytest.approx(0.4)


def test_boxes_can_decide_while_masks_are_measured() -> None:
    half = Segment(Box(0, 0, 10, SIDE), "cell", (0,) * 16, mask(0, 4))
    picture = PictureObjects((true(0, 10),), (half,))
    assert instance_scores([picture]).num_matched == 0
    assert instance_scores([picture], match_by="box").mean_iou == pytest.approx(0.4)


def test_another_class_is_no_match() -> None:
    scores = instance_scores([PictureObjects((true(0, 10),), (found(0, 10, "dog"),))])
    assert (scores.num_matched, scores.quality) == (0, 0.0)


def test_what_lies_in_a_crowd_is_neither_right_nor_wrong() -> None:
    picture = PictureObjects((true(0, 20, crowd=True),), (found(2, 6), found(30, 35)))
    scores = instance_scores([picture])
    assert (scores.num_truths, scores.num_found) == (0, 1)


def test_nothing_there_and_nothing_found_has_no_score() -> None:
    assert instance_scores([PictureObjects((), ())]).quality is None


def test_the_golden_pairs_of_masks_score_as_pycocotools_scores_them() -> None:
    expected = json.loads(shared("golden", "refcoco_miou", "expected.json").read_text())
    truth, results = golden(shared("golden", "coco_ap"), "segm")
    annotations = {each["id"]: each for each in truth["annotations"]}
    pairs = []
    for case in expected["pairs"]:
        alone = {**truth, "annotations": [annotations[case["ann_id"]]]}
        alone["images"] = [i for i in truth["images"] if i["id"] == case["image_id"]]
        (picture,) = from_coco(alone, [results[case["result_index"]]], masks=True)
        (item,), (one,) = picture.truth, picture.found
        assert isinstance(one, Segment)
        assert item.mask is not None
        pairs.append((one.mask, item.mask))
    scores = pair_scores(pairs)
    summary = expected["summary"]
    assert scores.ious == pytest.approx([case["iou"] for case in expected["pairs"]], abs=1e-12)
    assert scores.mean_iou == pytest.approx(summary["mean_iou_gIoU"], abs=1e-9)
    assert scores.cumulative_iou == pytest.approx(summary["cumulative_iou_cIoU"], abs=1e-9)
    for threshold in (0.5, 0.7, 0.9):
        assert scores.share_above(threshold) == pytest.approx(summary[f"P@{threshold}"])


def test_an_answer_without_an_outline_counts_as_zero() -> None:
    scores = pair_scores([(None, mask(0, 10)), (mask(0, 10), mask(0, 10))])
    assert scores.mean_iou == 0.5
    assert scores.cumulative_iou == 0.5
    assert iou(mask(0, 10), mask(0, 10)) == 1.0
