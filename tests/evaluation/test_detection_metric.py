"""Average precision against COCO's own evaluator, on generated cases and on golden figures."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.detection import (
    DetectionScores,
    average_precision,
    false_reports,
)
from palikit.evaluation.metrics.objects import PictureObjects, TrueObject
from palikit.masks import Mask
from palikit.results import Box, Detection, Segment
from tests.conftest import shared


def official(truth: dict[str, Any], results: list[dict[str, Any]], kind: str) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        found = coco.loadRes(results)
        evaluator = COCOeval(coco, found, kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return [float(value) for value in evaluator.stats]


def box_of(x: float, y: float, width: float, height: float) -> Box:
    return Box(x, y, x + width, y + height)


def from_coco(
    truth: dict[str, Any], results: list[dict[str, Any]], *, masks: bool = False
) -> list[PictureObjects]:
    """The same case as our metrics take it; labels are category ids as text."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}

    def mask(segmentation: Any, image_id: int) -> Mask:
        from pycocotools import mask as coco_mask

        width, height = sizes[image_id]
        if isinstance(segmentation, list):
            parts = coco_mask.frPyObjects(segmentation, height, width)
            segmentation = coco_mask.merge(parts)
        return Mask.from_rle(segmentation)

    pictures = []
    for image_id in sorted(sizes):
        true = tuple(
            TrueObject(
                str(each["category_id"]),
                box_of(*each["bbox"]),
                mask(each["segmentation"], image_id) if masks else None,
                crowd=bool(each.get("iscrowd")),
                area=each["area"],
            )
            for each in truth["annotations"]
            if each["image_id"] == image_id
        )
        found = tuple(
            Segment(
                Box(0, 0, 1, 1),
                str(each["category_id"]),
                (0,) * 16,
                mask(each["segmentation"], image_id),
                each["score"],
            )
            if masks
            else Detection(box_of(*each["bbox"]), str(each["category_id"]), each["score"])
            for each in results
            if each["image_id"] == image_id
        )
        pictures.append(PictureObjects(true, found))
    return pictures


def figures(scores: DetectionScores) -> list[float]:
    values = (
        scores.ap,
        scores.ap50,
        scores.ap75,
        scores.ap_small,
        scores.ap_medium,
        scores.ap_large,
    )
    return [-1.0 if value is None else value for value in values]


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


def test_generated_cases_score_as_pycocotools_scores_them() -> None:
    compared = 0
    for seed in range(300):
        truth, results = generated(seed)
        if not results:
            continue
        stats = official(truth, results, "bbox")
        pictures = from_coco(truth, results)
        scores = average_precision(pictures)
        recall = -1.0 if scores.recall is None else scores.recall
        assert [*figures(scores), recall] == pytest.approx([*stats[:6], stats[8]], abs=1e-6), seed
        if seed % 10 == 0:
            single = average_precision(pictures, max_detections=1).recall
            assert (-1.0 if single is None else single) == pytest.approx(stats[6], abs=1e-6), seed
        compared += 1
    assert compared > 250


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
    assert scores == pytest.approx(official(truth, [between, second], "bbox")[:6], abs=1e-6)


def test_the_golden_boxes_of_coco_score_as_published() -> None:
    folder = shared("golden", "coco_ap")
    truth, results = golden(folder, "bbox")
    expected = json.loads((folder / "expected.json").read_text())
    pictures = from_coco(truth, results)
    scores = average_precision(pictures)
    assert figures(scores) == pytest.approx(expected["bbox"][:6], abs=1e-6)
    assert scores.recall == pytest.approx(expected["bbox"][8], abs=1e-6)
    assert average_precision(pictures, max_detections=10).recall == pytest.approx(
        expected["bbox"][7], abs=1e-6
    )
    assert figures(average_precision(pictures, confidence="constant")) == pytest.approx(
        expected["bbox_all_scores_1"][:6], abs=1e-6
    )


def test_the_golden_masks_of_coco_score_as_published() -> None:
    folder = shared("golden", "coco_ap")
    truth, results = golden(folder, "segm")
    expected = json.loads((folder / "expected.json").read_text())
    scores = average_precision(from_coco(truth, results, masks=True), shape="mask")
    assert figures(scores) == pytest.approx(expected["segm"][:6], abs=1e-6)
    assert scores.recall == pytest.approx(expected["segm"][8], abs=1e-6)


def test_the_golden_boxes_of_padilla_score_as_published() -> None:
    folder = shared("golden", "coco_ap")
    truth = json.loads((folder / "rafael_sampled_gts.json").read_text())
    results = json.loads((folder / "rafael_sampled_bbox_results.json").read_text())["annotations"]
    for each in truth["annotations"]:
        each["area"] = each["bbox"][2] * each["bbox"][3]
    scores = average_precision(from_coco(truth, results))
    published = [0.503647, 0.696973, 0.571667, 0.593252, 0.557991, 0.489363]
    assert figures(scores) == pytest.approx(published, abs=1e-6)


def golden(folder: Path, kind: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    name = f"instances_val2014_fake{kind}100_results.json"
    return truth, json.loads((folder / name).read_text())


def square(x: float, side: float = 10) -> Box:
    return Box(x, 0, x + side, side)


def test_perfect_answers_without_confidences_score_one() -> None:
    truth = tuple(TrueObject("cat", square(20 * n)) for n in range(5))
    found = tuple(Detection(item.box, "cat") for item in truth)
    scores = average_precision([PictureObjects(truth, found)])
    assert (scores.ap, scores.recall) == (1.0, 1.0)
    assert scores.ap_small == 1.0
    assert scores.ap_large is None


def test_classes_are_scored_apart_and_an_unknown_label_lowers_only_its_own_class() -> None:
    truth = (TrueObject("cat", square(0)), TrueObject("dog", square(50)))
    found = (Detection(square(0), "cat"), Detection(square(50), "dgo"))
    scores = average_precision([PictureObjects(truth, found)])
    assert {each.label: each.ap for each in scores.classes} == {"cat": 1.0, "dog": 0.0}
    assert scores.ap == 0.5


def test_nothing_to_find_has_no_score() -> None:
    scores = average_precision([PictureObjects((), (Detection(square(0), "cat"),))])
    assert scores.ap is None
    assert scores.classes == ()


def test_masks_that_are_missing_are_asked_for() -> None:
    truth = (TrueObject("cat", square(0), Mask.from_array(np.ones((4, 4), np.bool_))),)
    with pytest.raises(InputError, match="has no mask"):
        average_precision([PictureObjects(truth, (Detection(square(0), "cat"),))], shape="mask")


def test_an_absent_class_is_falsely_reported_once_a_picture_however_many_boxes() -> None:
    cat = TrueObject("cat", square(0))
    boxes = (Detection(square(0), "dog"), Detection(square(9), "dog"), Detection(square(0), "cat"))
    pictures = [
        PictureObjects((cat,), boxes, asked=("cat", "dog", "cow")),
        PictureObjects((), (), asked=("cat",)),
    ]
    share = false_reports(pictures)
    assert (share.count, share.total) == (1, 3)
    assert false_reports([]).rate is None
