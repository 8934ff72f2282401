"""Questions -> answers: which process asks what, in which batches, and what is kept of them.

A batch is always the same questions: whatever the number of processes, and whether or not a run was
interrupted. In half precision the rounding of a batch can change a text, and so the file of answers
is the same in any case. A batch of which one answer is missing is asked again as a whole.
"""

from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Protocol

from PIL.Image import Image

from palikit.errors import InputError, PaliKitError
from palikit.evaluation.exam import Item
from palikit.options import GenerationOptions
from palikit.pictures import load_picture
from palikit.prediction import Prediction
from palikit.request import Inquiry, TaskFor
from palikit.tasks import Task
from palikit.video import load_frames


class Answerer(Protocol):
    """What answers inquiries: a `Predictor`, or anything that does as it does."""

    def outcomes(
        self,
        inquiries: Iterable[Inquiry],
        options: GenerationOptions | None = None,
        *,
        batch_size: int | None = ...,
    ) -> Iterator[Prediction[Any] | PaliKitError]:
        """For each question of each inquiry, in order, its answer or the error in its place."""


@dataclass(frozen=True)
class Share:
    """What one of several processes asks: every `count`th batch, from `rank` on."""

    rank: int = 0
    count: int = 1


@dataclass(frozen=True)
class Batch:
    """Neighbours with the same number of pictures that go through the model together.

    Attributes:
        items: the questions.
        stretch: number of the row of batches it stands in, of which only the last is not full.
    """

    items: tuple[Item, ...]
    stretch: int


def batches_of(items: Sequence[Item], batch_size: int) -> list[Batch]:
    """All questions in the batches that the predictor makes of them."""
    stretches = groupby(items, key=_num_pictures)
    return [
        Batch(tuple(same[start : start + batch_size]), number)
        for number, (_, group) in enumerate(stretches)
        if (same := list(group))
        for start in range(0, len(same), batch_size)
    ]


def missing(batches: Sequence[Batch], share: Share, done: Collection[str]) -> list[Batch]:
    """The batches of a share that are still to be asked."""
    own = batches[share.rank :: share.count]
    return [each for each in own if any(item.example.id not in done for item in each.items)]


def ask(
    predictor: Answerer,
    batches: Sequence[Batch],
    options: GenerationOptions,
    *,
    batch_size: int,
    side: int,
) -> Generator[tuple[Item, Prediction[Any]]]:
    """Each question of some batches with its answer, in order.

    Args:
        predictor: what answers.
        batches: as of `batches_of`.
        options: how text is generated.
        batch_size: that they were made with.
        side: of the pictures that the model takes, in pixels.

    Raises:
        PaliKitError: a picture cannot be read, or a question is too long; the message names it.
    """
    for _, group in groupby(batches, key=lambda batch: batch.stretch):
        stretch = list(group)
        inquiries = (each for batch in stretch for each in _inquiries(batch, side))
        items = (item for batch in stretch for item in batch.items)
        outcomes = predictor.outcomes(inquiries, options, batch_size=batch_size)
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, PaliKitError):
                raise InputError(f"{_name(item)}: {outcome}") from outcome
            yield item, outcome


def open_item(item: Item, side: int) -> tuple[Image, ...]:
    """The pictures of a question, as its protocol shows them to the model.

    Raises:
        InputError: one cannot be read.
        MissingExtraError: a film, and PyAV is not there.
    """
    example = item.example
    if example.video is not None:
        clip = example.video
        frames = load_frames(clip.path, clip.frames, choose=clip.indices)
        return tuple(frames)
    pictures = tuple(load_picture(source) for source in example.images)
    if example.change is None:
        return pictures
    return tuple(example.change(picture, side) for picture in pictures)


def _inquiries(batch: Batch, side: int) -> Iterator[Inquiry]:
    """Neighbours about the same pictures share them, within a batch alone."""
    for _, group in groupby(batch.items, key=_pictures_key):
        same = list(group)
        task_fors = tuple(_always(item.task) for item in same)
        opening, name = partial(open_item, same[0], side), _name(same[0])
        yield Inquiry(opening, task_fors, name, _num_pictures(same[0]))


def _pictures_key(item: Item) -> tuple[object, ...]:
    example = item.example
    changed = example.id if example.change is not None else ""
    return (example.images, example.video, changed)


def _num_pictures(item: Item) -> int:
    video = item.example.video
    return len(item.example.images) if video is None else video.frames


def _name(item: Item) -> str:
    return item.example.where or f"question {item.example.id}"


def _always(task: Task) -> TaskFor:
    return lambda _width, _height: task
