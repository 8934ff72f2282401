"""Average precision: golden figures, edges, intervals; `test_detection_official` has the rest."""

import json
import logging
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palikit.errors import InputError, MissingExtraError
from palikit.evaluation.metrics.coco_evaluator import Matching, match_classes
from palikit.evaluation.metrics.detection import (
    DetectionScores,
    average_precision,
    average_precision_score,
    false_reports,
    interval_over_pictures,
)
from palikit.evaluation.metrics.objects import PictureObjects, TrueObject
from palikit.masks import Mask
from palikit.results import Box, Detection, Segment
from tests.conftest import shared


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
    """In COCO's order, without the recall of few detections; -1 as there for what is undefined."""
    values = (
        *(scores.ap, scores.ap50, scores.ap75),
        *(scores.ap_small, scores.ap_medium, scores.ap_large),
        *(scores.recall, scores.recall_small, scores.recall_medium, scores.recall_large),
    )
    return [-1.0 if value is None else value for value in values]


def all_twelve(pictures: list[PictureObjects], **options: Any) -> list[float | None]:
    """The figures of COCO's printout, in its order."""
    scores = figures(average_precision(pictures, **options))
    few = [average_precision(pictures, max_detections=n, **options).recall for n in (1, 10)]
    return [*scores[:6], *few, *scores[6:]]


def test_all_golden_figures_of_cocos_boxes_are_reproduced() -> None:
    folder = shared("golden", "coco_ap")
    expected = json.loads((folder / "expected.json").read_text())
    pictures = from_coco(*golden(folder, "bbox"))
    assert all_twelve(pictures) == pytest.approx(expected["bbox"], abs=1e-9)


def test_without_confidences_the_order_of_the_answers_decides_as_in_the_golden_figures() -> None:
    folder = shared("golden", "coco_ap")
    expected = json.loads((folder / "expected.json").read_text())
    figures = all_twelve(from_coco(*golden(folder, "bbox")), confidence="constant")
    assert figures == pytest.approx(expected["bbox_all_scores_1"], abs=1e-9)
    assert figures[0] == pytest.approx(0.5138, abs=5e-5)


def test_all_golden_figures_of_cocos_masks_are_reproduced() -> None:
    folder = shared("golden", "coco_ap")
    expected = json.loads((folder / "expected.json").read_text())
    pictures = from_coco(*golden(folder, "segm"), masks=True)
    assert all_twelve(pictures, shape="mask") == pytest.approx(expected["segm"], abs=1e-9)


def test_all_published_figures_of_padillas_boxes_are_reproduced() -> None:
    folder = shared("golden", "coco_ap")
    truth = json.loads((folder / "rafael_sampled_gts.json").read_text())
    results = json.loads((folder / "rafael_sampled_bbox_results.json").read_text())["annotations"]
    for each in truth["annotations"]:
        each["area"] = each["bbox"][2] * each["bbox"][3]
    published = [0.503647, 0.696973, 0.571667, 0.593252, 0.557991, 0.489363]
    published += [0.386813, 0.593680, 0.595353, 0.654764, 0.603130, 0.553744]
    # Printed with six digits.
    assert all_twelve(from_coco(truth, results)) == pytest.approx(published, abs=1e-6)


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


def test_masks_of_one_picture_that_differ_in_size_are_refused() -> None:
    whole, half = (Mask.from_array(np.ones((4, side), np.bool_)) for side in (4, 2))
    truth = (TrueObject("cat", square(0), whole),)
    found = (Segment(square(0), "cat", (0,) * 16, half),)
    with pytest.raises(InputError, match="bring all to the picture's own"):
        average_precision([PictureObjects(truth, found)], shape="mask")


def test_the_evaluator_says_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    average_precision([PictureObjects((TrueObject("cat", square(0)),), ())])
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(MissingExtraError, match=r"palikit\[evaluate\]"):
        average_precision([PictureObjects((TrueObject("cat", square(0)),), ())])


def noisy(seed: int, count: int, labels: int) -> list[PictureObjects]:
    """Pictures of a few objects each, most of them found, with strays; no two scores are equal."""
    random = np.random.default_rng(seed)

    def box() -> Box:
        x, y, width, height = random.uniform([0, 0, 10, 10], [200, 200, 90, 90])
        return Box(float(x), float(y), float(x + width), float(y + height))

    def near(box: Box) -> Box:
        x1, y1, x2, y2 = np.array(box.to_list()) + random.normal(0, 3, 4)
        return Box(float(x1), float(y1), float(x2), float(y2))

    pictures = []
    for _ in range(count):
        names = [str(name) for name in random.integers(0, labels, random.integers(0, 6))]
        truth = tuple(TrueObject(name, box()) for name in names)
        found = [(near(item.box), item.label) for item in truth if random.random() < 0.7]
        found += [(box(), str(random.integers(0, labels))) for _ in range(random.integers(0, 3))]
        pictures.append(
            PictureObjects(
                truth, tuple(Detection(*one, score=float(random.random())) for one in found)
            )
        )
    return pictures


def test_a_score_has_the_figures_of_average_precision() -> None:
    pictures = noisy(0, 40, 3)
    scores, score = average_precision(pictures), average_precision_score(pictures)
    assert score.value == scores.ap
    assert (score.part("ap50"), score.part("ap75")) == (scores.ap50, scores.ap75)
    assert {each.label: score.part(f"ap/{each.label}") for each in scores.classes} == {
        each.label: each.ap for each in scores.classes
    }
    assert all(math.isnan(end) for end in score.interval)


def test_a_pictures_own_value_is_that_of_the_picture_by_itself() -> None:
    pictures = [
        *noisy(1, 40, 3),
        PictureObjects((), ()),
        PictureObjects((), (Detection(square(0), "0"),)),
    ]
    values = average_precision_score(pictures).per_example
    alone = [average_precision([picture]).ap for picture in pictures]
    assert [value for value, ap in zip(values, alone, strict=True) if ap is not None] == (
        pytest.approx([ap for ap in alone if ap is not None], abs=1e-12)
    )
    assert values[-2:] == (1.0, 0.0)


def test_a_picture_that_counts_several_times_scores_as_if_it_were_given_several_times() -> None:
    pictures = noisy(2, 30, 4)
    classes = match_classes(pictures, Matching("box", "model", 100))
    random = np.random.default_rng(0)
    for _ in range(20):
        times = np.bincount(random.integers(0, 30, 30), minlength=30)
        repeated = [
            picture for picture, n in zip(pictures, times, strict=True) for _ in range(int(n))
        ]
        slow = {each.label: each.ap for each in average_precision(repeated).classes}
        quick = {each.label: each.ap_of(times) for each in classes}
        for label, value in quick.items():
            assert value == pytest.approx(slow.get(label), abs=1e-12)


def test_the_interval_lies_around_the_value_narrows_with_more_pictures_and_is_repeatable() -> None:
    few, many = (average_precision_score(noisy(3, n, 2), samples=60) for n in (30, 400))
    for score in (few, many):
        assert score.interval[0] < score.value < score.interval[1]
    width_few, width_many = (score.interval[1] - score.interval[0] for score in (few, many))
    assert width_many < width_few / 2
    assert average_precision_score(noisy(3, 30, 2), samples=60) == few


def test_samples_that_all_score_higher_still_give_an_interval_around_the_value() -> None:
    low, high = interval_over_pictures(0.5, 10, lambda times: 0.8 + times[0] / 100, 60)
    assert low < 0.5 < high
    assert high - low < 0.1


def test_an_interval_stays_within_what_is_possible() -> None:
    low, high = interval_over_pictures(0.99, 10, lambda times: 0.5 + times[0] / 10, 60)
    assert low < 0.99
    assert high == 1.0


@pytest.mark.parametrize("pictures", [[], [PictureObjects((), ())]])
def test_a_score_of_nothing_is_refused(pictures: list[PictureObjects]) -> None:
    with pytest.raises(InputError, match="give"):
        average_precision_score(pictures)


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
