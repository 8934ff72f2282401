"""Average precision against COCO's own evaluator, pycocotools, on generated cases."""

import contextlib
import io
import itertools
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest

from palikit.evaluation.metrics.detection import average_precision
from palikit.masks import Mask
from tests.evaluation.agreement import SIZES, apart
from tests.evaluation.coco_cases import figures, from_coco

TOLERANCE = 1e-10
SIDE = 60


def official(
    truth: dict[str, Any],
    results: list[dict[str, Any]],
    kind: Literal["bbox", "segm"],
    max_detections: int = 100,
) -> list[float]:
    """Ten of the twelve figures, all at one limit of detections; see `figures` for the order."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes(results), kind)
        evaluator.params.maxDets = [max_detections]
        evaluator.evaluate()
        evaluator.accumulate()
    # [threshold, recall point, class, size, limit] and the same without points.
    precision, recall = evaluator.eval["precision"], evaluator.eval["recall"]
    chosen = [precision[..., 0, 0], precision[0, ..., 0, 0], precision[5, ..., 0, 0]]
    chosen += [precision[..., size, 0] for size in (1, 2, 3)]
    chosen += [recall[..., size, 0] for size in range(4)]
    return [float(each[each > -1].mean()) if (each > -1).any() else -1.0 for each in chosen]


def generated(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A small data set in which ties, crowds, misses, doubles and wrong classes are common."""
    random = np.random.default_rng(seed)
    images = [{"id": n + 1, "width": 300, "height": 300} for n in range(random.integers(1, 5))]
    categories = [{"id": n + 1, "name": str(n + 1)} for n in range(random.integers(1, 4))]
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in images:
        for _ in range(random.integers(0, 7)):
            side = random.choice([20, 60, 150])
            box = [*random.integers(0, 150, 2), *random.integers(side // 2, side, 2)]
            box = [float(value) for value in box]
            category = int(random.integers(1, len(categories) + 1))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": category,
                    "bbox": box,
                    "area": box[2] * box[3] * random.choice([0.7, 1.0]),
                    "iscrowd": int(random.random() < 0.15),
                }
            )
            for _ in range(random.integers(0, 3)):
                noise = random.normal(0, side / 12, 4) * (random.random() < 0.9)
                moved = np.maximum(np.array(box) + noise, [0, 0, 1, 1])
                results.append(result(image["id"], category, moved.tolist(), random))
        for _ in range(random.integers(0, 3)):
            stray = [*random.uniform(0, 150, 2), *random.uniform(5, 150, 2)]
            category = int(random.integers(1, len(categories) + 1))
            results.append(result(image["id"], category, [float(v) for v in stray], random))
    random.shuffle(results)
    return {"images": images, "categories": categories, "annotations": annotations}, results


def result(
    image_id: int, category: int, box: list[float], random: np.random.Generator
) -> dict[str, Any]:
    score = float(random.choice([0.1, 0.5, 0.5, random.random()]))
    return {"image_id": image_id, "category_id": category, "bbox": box, "score": score}


def with_masks(truth: dict[str, Any], results: list[dict[str, Any]], seed: int) -> None:
    """In place of each box a mask of about its shape: full, speckled, or of nothing at all."""
    random = np.random.default_rng(seed)
    for image in truth["images"]:
        image["width"] = image["height"] = SIDE
    for each in (*truth["annotations"], *results):
        x, y, width, height = (int(value / 5) for value in each["bbox"])
        array = np.zeros((SIDE, SIDE), np.bool_)
        array[y : y + height + 1, x : x + width + 1] = True
        array &= random.random((SIDE, SIDE)) < random.choice([1.0, 0.9, 0.9, 0.0])
        each["segmentation"] = Mask.from_array(array).to_rle()
    for each in truth["annotations"]:
        each["area"] = float(random.choice([100.0, 1024.0, 5000.0, 20000.0]))
    for each in results:
        del each["bbox"]  # with one, pycocotools takes its area


def cases(count: int) -> Iterator[tuple[int, dict[str, Any], list[dict[str, Any]]]]:
    """Seeds and data sets in which something was found: pycocotools refuses none at all."""
    drawn = ((seed, *generated(seed)) for seed in itertools.count(1))
    return itertools.islice((each for each in drawn if each[2]), count)


def box_differences(count: int) -> Iterator[float]:
    for _, truth, results in cases(count):
        scores = average_precision(from_coco(truth, results))
        yield apart(figures(scores), official(truth, results, "bbox"))


def limit_differences(count: int) -> Iterator[float]:
    for seed, truth, results in cases(count):
        limit = 1 + seed % 3
        scores = average_precision(from_coco(truth, results), max_detections=limit)
        yield apart(figures(scores), official(truth, results, "bbox", limit))


def mask_differences(count: int) -> Iterator[float]:
    for seed, truth, results in cases(count):
        with_masks(truth, results, seed)
        scores = average_precision(from_coco(truth, results, masks=True), shape="mask")
        yield apart(figures(scores), official(truth, results, "segm"))


@pytest.mark.parametrize("count", SIZES)
def test_generated_boxes_score_as_pycocotools_scores_them(count: int) -> None:
    assert max(box_differences(count)) < TOLERANCE


def test_a_limit_of_detections_works_as_in_pycocotools() -> None:
    assert max(limit_differences(50)) < TOLERANCE


@pytest.mark.parametrize("count", [50, pytest.param(200, marks=pytest.mark.parity)])
def test_generated_masks_score_as_pycocotools_scores_them(count: int) -> None:
    assert max(mask_differences(count)) < TOLERANCE


def test_of_two_truths_that_overlap_alike_the_later_is_taken_as_pycocotools_takes_it() -> None:
    boxes = [[0.0, 0.0, 12.0, 12.0], [4.0, 0.0, 12.0, 12.0]]
    truth = {
        "images": [{"id": 1, "width": 30, "height": 30}],
        "categories": [{"id": 1, "name": "1"}],
        "annotations": [
            {"id": n + 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 144, "iscrowd": 0}
            for n, box in enumerate(boxes)
        ],
    }
    between = {"image_id": 1, "category_id": 1, "bbox": [2.0, 0.0, 12.0, 12.0], "score": 0.9}
    second = {"image_id": 1, "category_id": 1, "bbox": boxes[1], "score": 0.5}
    scores = figures(average_precision(from_coco(truth, [between, second])))
    assert scores == pytest.approx(official(truth, [between, second], "bbox"), abs=TOLERANCE)
