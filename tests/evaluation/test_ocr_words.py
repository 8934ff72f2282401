"""HierText's protocol by hand, and beside a slow one that counts pixels."""

import random
from collections.abc import Iterator

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.ocr_words import (
    Word,
    box_polygon,
    match_words,
    ocr_detection,
    ocr_spotting,
)
from palikit.results import Box
from tests.evaluation.agreement import SIZES, apart

pytest.importorskip("shapely")


def word(x1: float, y1: float, x2: float, y2: float, text: str = "a", legible: bool = True) -> Word:
    return Word(box_polygon(Box(x1, y1, x2, y2)), text, legible)


def pixels(each: Word) -> set[tuple[int, int]]:
    (x1, y1), _, (x2, y2), _ = ((int(x), int(y)) for x, y in each.polygon)
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


def slow_counts(
    found: list[Word], truth: list[Word], with_text: bool
) -> tuple[int, int, int, float]:
    blurred = [pixels(each) for each in truth if not each.legible]
    kept = [f for f in found if all(2 * len(pixels(f) & b) < len(pixels(f)) for b in blurred)]
    legible = [each for each in truth if each.legible]
    iou = [[len(pixels(f) & pixels(t)) / len(pixels(f) | pixels(t)) for t in legible] for f in kept]
    hits, overlap = 0, 0.0
    for i, f in enumerate(kept):
        for j, t in enumerate(legible):
            row, column = iou[i], [line[j] for line in iou]
            best = row.index(max(row)) == j and column.index(max(column)) == i
            if best and iou[i][j] >= 0.5 and (f.text == t.text or not with_text):
                hits, overlap = hits + 1, overlap + iou[i][j]
    return hits, len(kept), len(legible), overlap


def random_words(rng: random.Random, legible: float) -> list[Word]:
    corners = [(rng.randrange(6), rng.randrange(6)) for _ in range(rng.randrange(6))]
    return [
        word(
            x,
            y,
            x + rng.randrange(1, 5),
            y + rng.randrange(1, 4),
            rng.choice("ab"),
            rng.random() < legible,
        )
        for x, y in corners
    ]


def word_differences(cases: int) -> Iterator[float]:
    """Of hits, counts and IoUs, with texts and without."""
    rng = random.Random(8)
    for _ in range(cases):
        truth = random_words(rng, 0.7)
        found = random_words(rng, 1.0) + [each for each in truth if rng.random() < 0.3]
        for with_text in (True, False):
            match = match_words(found, truth, with_text=with_text)
            counts = (match.hits, match.found, match.true, match.overlap)
            yield apart(counts, slow_counts(found, truth, with_text))


@pytest.mark.parametrize("cases", SIZES)
def test_counts_are_those_of_the_slow_protocol(cases: int) -> None:
    assert max(word_differences(cases)) < 1e-9


def test_reading_needs_the_exact_text_and_finding_does_not() -> None:
    truth = [[word(0, 0, 10, 5, "Hello,")]]
    for text, right in (("Hello,", 1.0), ("hello,", 0.0), ("Hello", 0.0), ("Hello, ", 0.0)):
        found = [[word(0, 0, 10, 5, text)]]
        assert ocr_spotting(found, truth).value == right
        assert ocr_detection(found, truth).value == 1.0


def test_an_overlap_of_one_half_is_a_hit_and_less_is_none() -> None:
    truth = [[word(0, 0, 10, 10)]]
    assert ocr_detection([[word(0, 0, 10, 5)]], truth).value == 1.0
    assert ocr_detection([[word(0, 0, 10, 4.99)]], truth).value == 0.0


def test_each_word_is_found_once() -> None:
    match = match_words(
        [word(0, 0, 9, 10), word(0, 0, 10, 10)], [word(0, 0, 10, 10)], with_text=True
    )
    assert (match.hits, match.found, match.overlap) == (1, 2, 1.0)


def test_what_lies_in_an_illegible_word_is_left_out() -> None:
    truth = [[word(0, 0, 10, 10, legible=False), word(20, 0, 30, 10)]]
    half_inside = [word(5, 0, 15, 10), word(20, 0, 30, 10)]
    assert ocr_spotting([half_inside], truth).value == 1.0
    less_inside = [word(5.1, 0, 15.1, 10), word(20, 0, 30, 10)]
    score = ocr_spotting([less_inside], truth)
    assert (score.part("precision"), score.part("recall")) == (0.5, 1.0)


def test_figures_are_of_the_corpus() -> None:
    truth = [[word(0, 0, 10, 10)], [word(0, 0, 10, 10), word(20, 0, 30, 10), word(40, 0, 50, 10)]]
    found = [[word(0, 0, 10, 8)], [word(0, 0, 10, 10), word(60, 0, 70, 10)]]
    score = ocr_spotting(found, truth)
    assert score.value == pytest.approx(4 / 7)
    assert score.per_example == pytest.approx((1.0, 2 / 5))
    assert score.part("precision") == pytest.approx(2 / 3)
    assert score.part("recall") == pytest.approx(1 / 2)
    assert score.part("tightness") == pytest.approx(0.9)
    assert score.part("panoptic_quality") == pytest.approx(0.9 * 4 / 7)
    assert score.interval[0] <= score.value <= score.interval[1]


def test_polygons_are_compared_as_they_are_not_by_their_boxes() -> None:
    diamond = ((5.0, 0.0), (10.0, 5.0), (5.0, 10.0), (0.0, 5.0))
    square = word(0, 0, 10, 10)
    assert match_words([Word(diamond, "a")], [square], with_text=True).overlap == 0.5
    crossed = ((0.0, 0.0), (10.0, 10.0), (10.0, 0.0), (0.0, 10.0))
    assert match_words([Word(crossed, "a")], [square], with_text=True).overlap == pytest.approx(0.5)


def test_an_outline_around_nothing_is_invalid_and_wrong() -> None:
    flat = Word(((0.0, 0.0), (5.0, 5.0), (9.0, 9.0)), "a")
    score = ocr_spotting([[flat]], [[word(0, 0, 10, 10)]])
    assert (score.value, score.invalid, score.part("precision")) == (0.0, 1, 0.0)


def test_a_picture_without_words_in_which_none_were_found_is_right() -> None:
    score = ocr_spotting([[], []], [[], [word(0, 0, 1, 1)]])
    assert score.per_example == (1.0, 0.0)
    assert score.value == 0.0


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(InputError, match="no picture has a legible word"):
        ocr_spotting([[]], [[word(0, 0, 1, 1, legible=False)]])
    with pytest.raises(InputError, match="no answers"):
        ocr_spotting([], [])
    with pytest.raises(InputError, match="three or more corners"):
        Word(((0.0, 0.0), (1.0, 1.0)), "a")
    with pytest.raises(InputError, match="three or more corners"):
        Word(((0.0, 0.0), (1.0, float("nan")), (1.0, 1.0)), "a")
