"""Words found and read in pictures: precision, recall and F1 in HierText's protocol."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from palikit.errors import InputError, MissingExtraError
from palikit.evaluation.metrics.score import Floats, Score, bootstrap, require_examples
from palikit.results import Box

IOU_THRESHOLD = 0.5
"""Least overlap of a hit, intersection over union."""

DONT_CARE_SHARE = 0.5
"""Share of a found word inside an illegible one from which on it is left out."""

Polygon = tuple[tuple[float, float], ...]
"""Corners x, y in pixels, in order around the word; at least three."""


@dataclass(frozen=True)
class Word:
    """A word in a picture, true or found.

    Attributes:
        polygon: its outline.
        text: its transcription.
        legible: whether it counts; illegible truths are regions in which nothing is right or
            wrong. Not looked at in found words.

    Raises:
        InputError: the polygon has fewer than three corners, or one that is not finite.
    """

    polygon: Polygon
    text: str
    legible: bool = True

    def __post_init__(self) -> None:
        finite = all(math.isfinite(value) for corner in self.polygon for value in corner)
        if len(self.polygon) < 3 or not finite:
            raise InputError(
                f"the outline of {self.text!r} is {self.polygon}: give three or more corners x, y"
            )


@dataclass(frozen=True)
class WordMatch:
    """What was found in one picture, or in several together.

    Attributes:
        hits: found words that are right.
        found: found words that count.
        true: legible words of the truth.
        overlap: IoU summed over the hits.
        invalid: found words whose outline encloses nothing; they count as found.
    """

    hits: int
    found: int
    true: int
    overlap: float
    invalid: int = 0

    @property
    def precision(self) -> float:
        """Hits over found words; 1 of none."""
        return self.hits / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Hits over true words; 1 of none."""
        return self.hits / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 1 where there is nothing to find and nothing was found."""
        return 2 * self.hits / (self.found + self.true) if self.found + self.true else 1.0

    @property
    def tightness(self) -> float:
        """Mean IoU of the hits; 1 of none."""
        return self.overlap / self.hits if self.hits else 1.0

    @property
    def panoptic_quality(self) -> float:
        """F1 x tightness."""
        return self.f1 * self.tightness


def box_polygon(box: Box) -> Polygon:
    """The corners of a box, clockwise from the top left."""
    return ((box.x1, box.y1), (box.x2, box.y1), (box.x2, box.y2), (box.x1, box.y2))


def ocr_spotting(answers: Sequence[Sequence[Word]], truths: Sequence[Sequence[Word]]) -> Score:
    """End-to-end F1 of words over all pictures, in [0, 1]: found and read.

    google-research-datasets/hiertext, `eval.py` and `evaluator/`. A found word is right where its
    IoU with a legible word is at least 0.5, each is the other's best match, and the texts are
    equal in every character: case, punctuation and space count. A found word of which half or
    more lies in one illegible word is left out before that. Of equally good matches the first is
    taken. Counts are summed over the corpus, not averaged over pictures.

    Args:
        answers: found words of each picture.
        truths: true words of each picture, illegible ones included.

    Returns:
        F1. Parts: `precision`, `recall`, `tightness` (mean IoU of the hits) and
        `panoptic_quality` (F1 x tightness), of the corpus. `per_example` is each picture's own F1;
        invalid are found words whose outline encloses nothing.

    Raises:
        InputError: there is no picture, or no legible word in any.
        MissingExtraError: shapely is not installed.
    """
    return _score(answers, truths, with_text=True)


def ocr_detection(answers: Sequence[Sequence[Word]], truths: Sequence[Sequence[Word]]) -> Score:
    """As `ocr_spotting`, by the place of words alone: texts are not looked at."""
    return _score(answers, truths, with_text=False)


def match_words(found: Sequence[Word], truth: Sequence[Word], *, with_text: bool) -> WordMatch:
    """The words of one picture, as `ocr_spotting` and `ocr_detection` (no text) count them.

    Raises:
        MissingExtraError: shapely is not installed.
    """
    legible = [word for word in truth if word.legible]
    outlines, blurred = _outlines(found), _outlines([word for word in truth if not word.legible])
    covered = _shared_areas(outlines, blurred) / _areas(outlines)[:, None]
    counted = np.flatnonzero((covered < DONT_CARE_SHARE).all(axis=1))
    words = [found[int(place)] for place in counted]
    overlap = _overlaps(outlines[counted], _outlines(legible))
    pairs = [
        (i, j) for i, j in _best_pairs(overlap) if not with_text or words[i].text == legible[j].text
    ]
    return WordMatch(
        hits=len(pairs),
        found=len(words),
        true=len(legible),
        overlap=sum(float(overlap[i, j]) for i, j in pairs),
        invalid=int((_areas(outlines[counted]) <= _NOTHING).sum()),
    )


_NOTHING = 1e-9
"""Square pixels below which an outline encloses nothing; keeps divisions defined."""


def _score(
    answers: Sequence[Sequence[Word]], truths: Sequence[Sequence[Word]], *, with_text: bool
) -> Score:
    matches = [
        match_words(found, truth, with_text=with_text)
        for found, truth in zip(answers, truths, strict=True)
    ]
    require_examples(len(matches))
    sums = np.array([(each.hits, each.found + each.true) for each in matches], np.float64)
    whole = WordMatch(
        hits=sum(each.hits for each in matches),
        found=sum(each.found for each in matches),
        true=sum(each.true for each in matches),
        overlap=sum(each.overlap for each in matches),
        invalid=sum(each.invalid for each in matches),
    )
    if not whole.true:
        raise InputError("nothing to score: no picture has a legible word; give some with text")
    return Score(
        whole.f1,
        bootstrap(sums, lambda drawn: 2 * drawn[:, 0] / drawn[:, 1]),
        tuple(each.f1 for each in matches),
        whole.invalid,
        (
            ("precision", whole.precision),
            ("recall", whole.recall),
            ("tightness", whole.tightness),
            ("panoptic_quality", whole.panoptic_quality),
        ),
    )


def _best_pairs(overlap: Floats) -> list[tuple[int, int]]:
    """Places of `overlap`, float64[found, true], that are the best of their row and column."""
    if not overlap.size:
        return []
    best_true, best_found = overlap.argmax(axis=1), overlap.argmax(axis=0)
    return [
        (i, int(j))
        for i, j in enumerate(best_true)
        if best_found[j] == i and overlap[i, j] >= IOU_THRESHOLD
    ]


# Arrays of shapely's geometries, which NumPy knows as objects.
_Outlines = npt.NDArray[Any]


def _outlines(words: Sequence[Word]) -> _Outlines:
    """The words' outlines; one that crosses itself becomes what it encloses."""
    try:
        import shapely
    except ImportError:
        raise MissingExtraError("shapely", "evaluate", "compare outlines of words") from None
    raw = np.array([shapely.Polygon(word.polygon) for word in words], object)
    if not shapely.is_valid(raw).all():
        # The buffer drops the lines and points that mending may leave beside the areas.
        mended = shapely.buffer(shapely.make_valid(raw), 0)
        raw = np.where(shapely.is_valid(raw), raw, mended)
    return raw


def _areas(outlines: _Outlines) -> Floats:
    import shapely

    return np.maximum(np.asarray(shapely.area(outlines), np.float64), _NOTHING)


def _shared_areas(first: _Outlines, second: _Outlines) -> Floats:
    """float64[first, second], square pixels; only what may meet is laid over each other."""
    import shapely

    shared = np.zeros((len(first), len(second)))
    i, j = shapely.STRtree(second).query(first)
    shared[i, j] = shapely.area(shapely.intersection(first[i], second[j]))
    return shared


def _overlaps(first: _Outlines, second: _Outlines) -> Floats:
    """float64[first, second], intersection over union."""
    shared = _shared_areas(first, second)
    overlap: Floats = shared / (_areas(first)[:, None] + _areas(second)[None] - shared)
    return overlap
