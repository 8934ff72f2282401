"""Inputs -> answers, batch by batch, so that one bad input costs its own answer and no other."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

from palikit.batch.question import TaskFor
from palikit.batch.sources import Failure, Source, open_source
from palikit.errors import PaliKitError
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.request import Request


class Answerer(Protocol):
    """What answers requests: a `Predictor`, or anything that does as it does."""

    def predict(
        self,
        requests: Iterable[Request],
        options: GenerationOptions | None = None,
        *,
        batch_size: int = ...,
    ) -> list[Prediction[Any]]:
        """One prediction for each request, in order."""


def answer_each(
    predictor: Answerer,
    sources: Iterable[Source],
    task_for: TaskFor,
    options: GenerationOptions,
    *,
    batch_size: int,
    frames: int | None = None,
) -> Iterator[Prediction[Any] | Failure]:
    """Answer inputs in order; an input's pictures are opened only when its batch is formed.

    Args:
        predictor: what answers.
        sources: the inputs.
        task_for: what is asked about a picture of (width, height).
        options: how text is generated.
        batch_size: inputs that go through the model together.
        frames: see `open_source`.

    Yields:
        For each source its prediction, or its failure where its pictures cannot be read, the task
        does not fit them, or the model cannot take them.
    """
    rest = iter(sources)
    while batch := list(islice(rest, batch_size)):
        opened = [_request(source, task_for, frames) for source in batch]
        requests = [each for each in opened if isinstance(each, Request)]
        answers = iter(_predict(predictor, requests, options, batch_size))
        yield from (each if isinstance(each, Failure) else next(answers) for each in opened)


def _request(source: Source, task_for: TaskFor, frames: int | None) -> Request | Failure:
    try:
        pictures = open_source(source, frames)
        return Request(pictures, task_for(*pictures[0].size), source.name)
    except PaliKitError as error:
        return Failure(source.name, error)


def _predict(
    predictor: Answerer, requests: Sequence[Request], options: GenerationOptions, batch_size: int
) -> list[Prediction[Any] | Failure]:
    """A batch, or, where it fails as a whole, its requests one by one."""
    if not requests:
        return []
    try:
        return [*predictor.predict(requests, options, batch_size=batch_size)]
    except PaliKitError as error:
        if len(requests) == 1:
            return [Failure(requests[0].input, error)]
    return [each for one in requests for each in _predict(predictor, [one], options, batch_size)]
