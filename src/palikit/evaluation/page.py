"""The page of a validation: the worst answers and a sample, truth beside answer."""

import heapq
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL.Image import Image

from palikit.drawing import draw
from palikit.evaluation.metrics.objects import PictureObjects
from palikit.evaluation.scoring import Judged
from palikit.html_page import Card, Picture, Span, picture_of, write_page
from palikit.results import Segment, Segments
from palikit.scores import Scores

PAGE_NAME = "validation.html"

_OUTLINE = re.compile(r"(?:<seg[0-9]{3}>){16}")

_MAX_TEXT = 2000
"""Characters shown of a text; an answer that ran to the limit can be long."""


class Gallery:
    """Keeps cards of the worst answers and of a random sample while a validation runs.

    Only these cards are held, not the pictures, so that the size of the set does not matter.

    Args:
        size: cards on the page, at most; half of them the worst.
        total: answers there will be.
        seed: of the sample, which is the same in every validation of a run.
    """

    def __init__(self, size: int, total: int, seed: int) -> None:
        self._num_worst = (size + 1) // 2
        sample = np.random.default_rng(seed).permutation(total)[: size // 2]
        self._sampled = {int(index) for index in sample}
        self._worst: list[tuple[float, int, Card]] = []
        self._sample: dict[int, Card] = {}

    def add(self, index: int, score: float, make_card: Callable[[], Card]) -> None:
        """One answer; its card is made only where it may be shown."""
        # The heap's smallest entry is the best answer in it, and of equals the latest.
        place = (-score, -index)
        is_bad = len(self._worst) < self._num_worst or (
            self._num_worst > 0 and place > self._worst[0][:2]
        )
        if index not in self._sampled and not is_bad:
            return
        card = make_card()
        if index in self._sampled:
            self._sample[index] = card
        if is_bad:
            heapq.heappush(self._worst, (*place, card))
            if len(self._worst) > self._num_worst:
                heapq.heappop(self._worst)

    def cards(self) -> list[Card]:
        """The worst first, then the sample in the order of the set."""
        worst = sorted(self._worst, reverse=True)
        shown = {-index for _, index, _ in worst}
        sample = [card for index, card in sorted(self._sample.items()) if index not in shown]
        return [*(card for _, _, card in worst), *sample]


def card_of(judged: Judged, image: Image) -> Card:
    """Truth and answer of one row: drawn side by side where they are objects, else as texts."""
    row = judged.case.row
    pictures: tuple[Picture, ...]
    if judged.objects is None:
        pictures = (picture_of(image),)
    else:
        pictures = (
            picture_of(draw(image, _truth(judged.objects, image.size)), "truth"),
            picture_of(draw(image, _answer(judged.objects, image.size)), "answer"),
        )
    is_right = judged.score >= 1
    lines: list[tuple[Span, ...]] = [
        (Span("asked  ", "muted"), Span(shortened(row.prefix), "prefix"))
    ]
    lines += [
        (Span("truth  ", "muted"), Span(shortened(each), "suffix")) for each in row.suffixes[:3]
    ]
    lines.append(
        (Span("answer ", "muted"), Span(shortened(judged.text), "good" if is_right else "bad"))
    )
    if judged.is_cut_off:
        lines.append((Span("the answer reached the limit of tokens", "bad"),))
    return Card(f"{judged.score:.2f}  {row.where}", pictures, tuple(lines))


def write_gallery(folder: Path, gallery: Gallery, scores: Scores, num_rows: int) -> Path:
    """Write the page into the folder, over the one that may be there.

    Raises:
        InputError: it cannot be written.
    """
    figures = ", ".join(f"{name} {value:.3f}" for name, value in scores.figures)
    intro = (
        f"{num_rows} answers: {figures}.\nThe worst come first, then a random sample; the number "
        "before each is the score of that answer alone, of which 1 is best."
    )
    path = folder / PAGE_NAME
    legend = (Span("truth", "suffix"), Span("right", "good"), Span("not quite right", "bad"))
    write_page(path, "Validation", intro, gallery.cards(), legend=legend, overwrite=True)
    return path


def _answer(objects: PictureObjects, size: tuple[int, int]) -> Segments:
    found = (
        each if isinstance(each, Segment) else Segment(each.box, each.label, (), score=each.score)
        for each in objects.found
    )
    return Segments(tuple(found), *size)


def _truth(objects: PictureObjects, size: tuple[int, int]) -> Segments:
    items = (Segment(each.box, each.label, (), each.mask) for each in objects.truth)
    return Segments(tuple(items), *size)


def shortened(text: str) -> str:
    """A text for a card: outlines, which are drawn, in a word; an answer can run to the limit."""
    text = _OUTLINE.sub("<16 codes>", text)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]} ..."
