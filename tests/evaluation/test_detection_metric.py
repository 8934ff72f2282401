"""Average precision: golden figures, edges, intervals; `test_detection_official` has the rest."""

import logging
import math
import sys

import numpy as np
import pytest

from palikit.errors import InputError, MissingExtraError
from palikit.evaluation.metrics.coco_evaluator import Matching, match_classes
from palikit.evaluation.metrics.detection import (
    average_precision,
    average_precision_score,
    false_reports,
    interval_over_pictures,
)
from palikit.evaluation.metrics.objects import PictureObjects, TrueObject
from palikit.masks import Mask
from palikit.results import Box, Detection, Segment


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
