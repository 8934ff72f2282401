"""Pascal VOC's average precision beside a slow way that says the same."""

import itertools
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.objects import PictureObjects, TrueObject
from palikit.evaluation.metrics.voc import voc_average_precision
from palikit.results import Box, Detection
from tests.evaluation.agreement import SIZES


def slow(pictures: list[PictureObjects], min_iou: float, points: str, longer: float) -> float:
    """Word for word: one class after the other, one found object after the other."""
    aps = []
    for label in sorted({item.label for picture in pictures for item in picture.truth}):
        found = [
            (one.score or 0.0, place, one.box)
            for place, picture in enumerate(pictures)
            for one in picture.found
            if one.label == label
        ]
        found.sort(key=lambda one: -one[0])
        total = sum(item.label == label and not item.crowd for p in pictures for item in p.truth)
        taken, hits = set(), []
        for _, place, box in found:
            best, chosen = 0.0, None
            for number, item in enumerate(pictures[place].truth):
                if item.label == label and (overlap := iou(box, item.box, longer)) > best:
                    best, chosen = overlap, number
            if chosen is None or best < min_iou:
                hits.append(False)
            elif not pictures[place].truth[chosen].crowd:
                hits.append((place, chosen) not in taken)
                taken.add((place, chosen))
        if total:
            aps.append(area(hits, total, points))
    return sum(aps) / len(aps)


def iou(a: Box, b: Box, longer: float) -> float:
    if a.x1 > b.x2 or b.x1 > a.x2 or a.y1 > b.y2 or b.y1 > a.y2:
        return 0.0
    width = min(a.x2, b.x2) - max(a.x1, b.x1) + longer
    height = min(a.y2, b.y2) - max(a.y1, b.y1) + longer
    whole = (a.width + longer) * (a.height + longer) + (b.width + longer) * (b.height + longer)
    return width * height / (whole - width * height)


def area(hits: list[bool], total: int, points: str) -> float:
    right = [sum(hits[: n + 1]) for n in range(len(hits))]
    recall = [each / total for each in right]
    precision = [each / (n + 1) for n, each in enumerate(right)]

    def best(at: float) -> float:
        return max((p for r, p in zip(recall, precision, strict=True) if r >= at), default=0.0)

    if points == "eleven":
        return sum(best(at) for at in np.linspace(0, 1, 11)) / 11
    return sum(
        best(now) * (now - before) for before, now in zip([0, *recall], recall, strict=False)
    )


def generated(seed: int) -> list[PictureObjects]:
    """Small whole boxes and few scores, so that ties of both are common."""
    random = np.random.default_rng(seed)

    def box() -> Box:
        x, y, width, height = (int(value) for value in random.integers(1, 5, 4))
        return Box(x, y, x + width, y + height)

    return [
        PictureObjects(
            tuple(
                TrueObject(str(random.integers(2)), box(), crowd=bool(random.random() < 0.1))
                for _ in range(random.integers(0, 5))
            ),
            tuple(
                Detection(box(), str(random.integers(2)), float(random.integers(1, 8)) / 8)
                for _ in range(random.integers(0, 6))
            ),
        )
        for _ in range(random.integers(1, 4))
    ]


def voc_differences(cases: int) -> Iterator[float]:
    drawn = ((seed, generated(seed)) for seed in itertools.count(1))
    scored = ((seed, pictures) for seed, pictures in drawn if has_truth(pictures))
    for seed, pictures in itertools.islice(scored, cases):
        min_iou = (0.3, 0.5, 0.75)[seed % 3]
        points: Literal["every", "eleven"] = "every" if seed % 2 else "eleven"
        edges: Literal["inclusive", "exclusive"] = "inclusive" if seed % 5 < 2 else "exclusive"
        score = voc_average_precision(pictures, min_iou=min_iou, points=points, edges=edges)
        yield abs(score.value - slow(pictures, min_iou, points, float(edges == "inclusive")))


def has_truth(pictures: list[PictureObjects]) -> bool:
    return any(not item.crowd for picture in pictures for item in picture.truth)


@pytest.mark.parametrize("cases", SIZES)
def test_generated_cases_score_as_by_the_slow_way(cases: int) -> None:
    assert max(voc_differences(cases)) < 1e-12


def square(x: float) -> Box:
    return Box(x, 0, x + 10, 10)


def test_a_second_box_of_one_object_is_wrong_even_where_another_object_would_do() -> None:
    truth = (TrueObject("cat", square(0)), TrueObject("cat", square(2)))
    found = (Detection(square(0), "cat", 0.9), Detection(Box(0, 0, 11, 10), "cat", 0.8))
    assert voc_average_precision([PictureObjects(truth, found)]).value == 0.5


def test_classes_have_parts_and_pictures_their_own_value() -> None:
    cat, dog = TrueObject("cat", square(0)), TrueObject("dog", square(20))
    pictures = [
        PictureObjects((cat, dog), (Detection(square(0), "cat"),)),
        PictureObjects((), ()),
        PictureObjects((), (Detection(square(0), "cow"),)),
    ]
    score = voc_average_precision(pictures, samples=20)
    assert score.parts == (("ap/cat", 1.0), ("ap/dog", 0.0))
    assert score.per_example == (0.5, 1.0, 0.0)
    assert score.interval == (0.5, 0.5)


@pytest.mark.parametrize("pictures", [[], [PictureObjects((), ())]])
def test_a_score_of_nothing_is_refused(pictures: list[PictureObjects]) -> None:
    with pytest.raises(InputError, match="give"):
        voc_average_precision(pictures)
