"""One outline for one expression: golden pairs, and pycocotools on generated ones."""

from collections.abc import Iterator

import numpy as np
import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.refcoco import Referral, refcoco_iou
from palikit.masks import Mask
from palikit.results import Box
from tests.evaluation.agreement import apart

SIDE = 40


def mask(x1: int, x2: int) -> Mask:
    array = np.zeros((SIDE, SIDE), np.bool_)
    array[:, x1:x2] = True
    return Mask.from_array(array)


def referral(x1: int, x2: int, true_x1: int = 0, true_x2: int = 10) -> Referral:
    return Referral(
        mask(x1, x2), Box(x1, 0, x2, SIDE), mask(true_x1, true_x2), Box(true_x1, 0, true_x2, SIDE)
    )


def refcoco_differences(cases: int) -> Iterator[float]:
    """IoUs of masks, and the shares of boxes at each limit."""
    coco_mask = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(0)
    referrals, masks, boxes = [], [], []
    for _ in range(cases):
        (found, box), (true, true_box) = (drawn(random) for _ in range(2))
        referrals.append(Referral(found, box, true, true_box))
        masks.append(coco_mask.iou([found.to_rle()], [true.to_rle()], [0])[0, 0])
        boxes.append(coco_mask.iou([box.to_xywh()], [true_box.to_xywh()], [0])[0, 0])
    score = refcoco_iou(referrals)
    yield apart(score.per_example, np.nan_to_num(masks).tolist())
    for limit in (0.5, 0.75):
        share = float((np.array(boxes) >= limit).mean())
        assert share > 0
        yield abs(score.part(f"boxacc/{limit}") - share)


def test_generated_masks_and_boxes_overlap_as_in_pycocotools() -> None:
    assert max(refcoco_differences(1_000)) < 1e-12


def drawn(random: np.random.Generator) -> tuple[Mask, Box]:
    """A speckled patch and its box; one in twenty is empty."""
    x, y = (int(value) for value in random.integers(0, 8, 2))
    width, height = (int(value) for value in random.integers(8, 30, 2))
    array = np.zeros((SIDE, SIDE), np.bool_)
    array[y : y + height, x : x + width] = random.random() > 0.05
    array &= random.random((SIDE, SIDE)) < random.choice([1.0, 0.8])
    return Mask.from_array(array), Box(x, y, x + width, y + height)


def test_an_answer_without_box_or_outline_is_invalid_and_worth_nothing() -> None:
    right = referral(0, 10)
    without_mask = Referral(None, right.box, right.true_mask, right.true_box)
    without_box = Referral(right.mask, None, right.true_mask, right.true_box)
    score = refcoco_iou([right, without_mask, without_box, right])
    assert (score.value, score.invalid) == (0.5, 2)
    assert score.per_example == (1.0, 0.0, 0.0, 1.0)
    assert (score.part("ciou"), score.part("boxacc/0.5")) == (0.5, 0.5)


def test_the_cumulative_figure_weighs_large_objects_more() -> None:
    score = refcoco_iou([referral(0, 30, 0, 30), referral(0, 5, 0, 10)])
    assert score.value == 0.75
    assert score.part("ciou") == pytest.approx(35 / 40)


def test_a_box_that_overlaps_by_exactly_the_limit_is_right() -> None:
    score = refcoco_iou([referral(0, 5, 0, 10)])
    assert (score.part("boxacc/0.5"), score.part("boxacc/0.75")) == (1.0, 0.0)


def test_two_empty_outlines_do_not_overlap() -> None:
    assert refcoco_iou([referral(0, 0, 5, 5)]).value == 0.0


def test_outlines_of_pictures_of_different_sizes_are_refused() -> None:
    other = Mask.from_array(np.ones((4, 4), np.bool_))
    with pytest.raises(InputError, match="bring both to one picture"):
        refcoco_iou([Referral(other, Box(0, 0, 4, 4), mask(0, 4), Box(0, 0, 4, SIDE))])


def test_no_expressions_have_no_score() -> None:
    with pytest.raises(InputError, match="at least one"):
        refcoco_iou([])
