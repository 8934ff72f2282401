"""What the tests of the scheduler share: jobs, and a model that can be held up."""

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from palikit import tasks
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.predictor import Predictor
from palikit.request import Request
from palikit.serving.jobs import (
    Job,
)
from palikit.serving.scheduler import Scheduler
from palikit.serving.tickets import LoopTicket
from palikit.tasks import Task
from tests import tiny

TASKS = (
    tasks.caption(),
    tasks.ocr(),
    tasks.answer("what is on the left?"),
    tasks.detect("cat ; dog"),
    tasks.segment("big dog"),
)
PATIENCE = 120.0
"""Seconds before a test gives up; never reached where things are right."""


def job(
    task: Task = TASKS[1],
    *,
    seed: int = 0,
    pictures: int = 1,
    deadline: float | None = None,
    **options: Any,
) -> Job:
    request = Request(tuple(tiny.picture(seed + i) for i in range(pictures)), task, f"input {seed}")
    options = {"max_new_tokens": 6} | options
    return Job(f"job {seed}", request, GenerationOptions(**options), deadline)


def random_jobs(number: int, seed: int = 0) -> list[Job]:
    draw = random.Random(seed)
    return [
        job(
            draw.choice(TASKS),
            seed=draw.randrange(12),
            pictures=draw.choice((1, 1, 1, 2)),
            max_new_tokens=draw.randint(1, 12),
            temperature=draw.choice((0, 0, 0, 1.5)),
            top_k=draw.choice((0, 7)),
            grammar=draw.random() < 0.8,
        )
        for _ in range(number)
    ]


def answer(predictor: Predictor, asked: Job) -> Prediction[Any]:
    return predictor.predict([asked.request], asked.options)[0]


def assert_same(got: Prediction[Any], expected: Prediction[Any]) -> None:
    assert got.text == expected.text
    assert got.finish_reason == expected.finish_reason
    assert got.score_basis == expected.score_basis
    assert got.score == pytest.approx(expected.score, abs=1e-4)
    one, other = got.to_dict(), expected.to_dict()
    for told in (one, other):
        told["score"] = None
        for found in told["result"].get("objects", ()):
            found["score"] = None
    assert one == other


@contextmanager
def scheduler(predictor: Predictor, **arguments: Any) -> Iterator[Scheduler]:
    made = Scheduler(predictor, **arguments)
    try:
        yield made
    finally:
        made.close()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, PATIENCE))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.002)


async def outcome_of(ticket: LoopTicket) -> Prediction[Any] | BaseException:
    try:
        return await ticket.result()
    except (Exception, asyncio.CancelledError) as error:
        return error


class Gate:
    """Holds the model up where it reads prompts, until it is opened."""

    def __init__(self, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Event()
        self.is_reached = threading.Event()
        prefill = predictor.model.prefill

        def held(*arguments: Any) -> torch.Tensor:
            self.is_reached.set()
            assert self._open.wait(PATIENCE)
            return prefill(*arguments)

        monkeypatch.setattr(predictor.model, "prefill", held)

    def open(self) -> None:
        self._open.set()


async def answer_all(served: Scheduler, asked: list[Job], concurrency: int) -> list[Any]:
    gate = asyncio.Semaphore(concurrency)

    async def one(each: Job) -> Prediction[Any]:
        async with gate:
            return await served.submit(each).result()

    return await asyncio.gather(*map(one, asked))
