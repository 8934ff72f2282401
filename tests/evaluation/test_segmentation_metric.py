"""Instances, matched one to one."""

import numpy as np
import pytest

from palikit.evaluation.metrics.objects import PictureObjects, TrueObject
from palikit.evaluation.metrics.segmentation import instance_scores
from palikit.masks import Mask
from palikit.results import Box, Segment

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
