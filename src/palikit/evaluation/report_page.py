"""The page of an evaluation: the worst answers and a random sample, each with its picture."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL.Image import Image

from palikit.drawing import draw
from palikit.errors import PaliKitError
from palikit.evaluation.answering import open_item
from palikit.evaluation.benchmarks.row import Answered
from palikit.evaluation.exam import Exam, Item
from palikit.evaluation.metrics.score import Score
from palikit.evaluation.page import shortened
from palikit.html_page import Card, Picture, Span, Tone, picture_of, write_page
from palikit.results import Box, Detections, Segment, Segments

_SIDE = 448
"""What changes of pictures are shown at, in pixels, where they depend on the model's side."""

_MAX_REFERENCES = 5
_MAX_FRAMES = 4
_LEGEND = (Span("reference", "suffix"), Span("right", "good"), Span("not quite right", "bad"))


def write_report_page(
    file: Path,
    exam: Exam,
    answered: Sequence[Answered],
    line: str,
    score: Score | None,
    number: int,
) -> None:
    """Write the page over the one that may be there.

    Args:
        file: of the page.
        exam: what was asked.
        answered: the answers, in its order.
        line: the figure in words.
        score: with the value of each answer alone; None where there is none.
        number: cards; half of them the worst.

    Raises:
        InputError: it cannot be written.
    """
    values = None if score is None else score.per_example
    worst, sample = chosen(values, len(answered), number, higher_is_better=exam.higher_is_better)
    intro = f"{line}.\n" + (
        "A random sample."
        if values is None
        else "The worst come first, then a random sample; the number before each is the score of "
        "that answer alone."
    )
    cards = (
        _card(exam, exam.items[place], answered[place], None if values is None else values[place])
        for place in (*worst, *sample)
    )
    title = f"{exam.title}, {exam.split}"
    write_page(file, title, intro, cards, legend=_LEGEND, overwrite=True)


def chosen(
    values: Sequence[float] | None, total: int, number: int, *, higher_is_better: bool
) -> tuple[list[int], list[int]]:
    """Places of the worst answers, worst first, and of a sample of the others in their order."""
    worst: list[int] = []
    if values is not None:
        sign = 1 if higher_is_better else -1
        worst = sorted(range(total), key=lambda place: (sign * values[place], place))
        worst = worst[: (number + 1) // 2]
    shuffled = np.random.default_rng(0).permutation(total).tolist()
    sample = [place for place in shuffled if place not in worst][: number - len(worst)]
    return worst, sorted(sample)


def _card(exam: Exam, item: Item, answered: Answered, score: float | None) -> Card:
    example = item.example
    lines: list[tuple[Span, ...]] = [
        (Span("asked      ", "muted"), Span(shortened(example.prompt), "prefix"))
    ]
    lines += [
        (Span("reference  ", "muted"), Span(shortened(each), "suffix"))
        for each in list(dict.fromkeys(example.answers))[:_MAX_REFERENCES]
    ]
    is_right = score is not None and (score >= 1 if exam.higher_is_better else score <= 0)
    tone: Tone = "muted" if score is None else "good" if is_right else "bad"
    lines.append((Span("answer     ", "muted"), Span(shortened(answered.text), tone)))
    if answered.prediction is not None and answered.prediction.finish_reason == "length":
        lines.append((Span("the answer reached the limit of tokens", "bad"),))
    number = "" if score is None else f"{score:.2f}"
    title = " · ".join(filter(None, (number, example.id, example.where)))
    return Card(title, _pictures(exam, item, answered), tuple(lines))


def _pictures(exam: Exam, item: Item, answered: Answered) -> tuple[Picture, ...]:
    """What was shown to the model; reference and answer drawn side by side where they are boxes."""
    try:
        shown = open_item(item, _SIDE)
    except PaliKitError:  # moved away since it was asked about
        return ()
    found = answered.prediction.result if answered.prediction is not None else None
    if not isinstance(found, Detections | Segments):
        return tuple(map(picture_of, shown[:_MAX_FRAMES]))
    first = shown[0]
    truth = _truth(exam, answered, first, outlines=isinstance(found, Segments))
    return (
        picture_of(draw(first, truth), "reference"),
        picture_of(draw(first, found), "answer"),
    )


def _truth(exam: Exam, answered: Answered, image: Image, *, outlines: bool) -> Segments:
    words = tuple(_word_segments(answered)) if answered.example.words is not None else None
    items = words or tuple(
        Segment(each.box, each.label, (), each.mask if outlines else None)
        for each in exam.truth(answered)
    )
    return Segments(items, *image.size)


def _word_segments(answered: Answered) -> Iterator[Segment]:
    for word in answered.example.words or ():
        xs, ys = zip(*word.polygon, strict=True)
        label = word.text if word.legible else f"({word.text})"
        yield Segment(Box(min(xs), min(ys), max(xs), max(ys)), label, ())
