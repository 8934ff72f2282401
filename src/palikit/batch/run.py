"""Inputs -> answers, batch by batch, so that one bad input costs its own answer and no other."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from palikit.batch.early import EarlyInputs
from palikit.batch.sources import Failure, Source, count_source, open_source
from palikit.errors import PaliKitError
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.request import Inquiry, TaskFor


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


def answer_each(
    predictor: Answerer,
    sources: Sequence[Source],
    task_fors: Sequence[TaskFor],
    options: GenerationOptions,
    *,
    batch_size: int | None = None,
    frames: int | None = None,
    early: EarlyInputs | None = None,
) -> Generator[Prediction[Any] | Failure]:
    """Ask every question about every input; its pictures are opened once, when its turn comes.

    Args:
        predictor: what answers.
        sources: the inputs.
        task_fors: for each question what is asked about a picture of (width, height).
        options: how text is generated.
        batch_size: questions that go through the model together; None leaves it to the predictor.
        frames: see `open_source`.
        early: has begun to open these sources.

    Yields:
        For each source, and of each source for each question, the prediction, or the failure where
        the pictures cannot be read, the task does not fit them, or the model cannot take them.
    """
    take = early.take if early is not None else partial(open_source, frames=frames)
    inquiries = [
        Inquiry(partial(take, source), tuple(task_fors), source.name, count_source(source, frames))
        for source in sources
    ]
    names = (source.name for source in sources for _ in task_fors)
    outcomes = predictor.outcomes(inquiries, options, batch_size=batch_size)
    for name, outcome in zip(names, outcomes, strict=True):
        yield Failure(name, outcome) if isinstance(outcome, PaliKitError) else outcome
