"""The obvious scheduler: it answers as the predictor does, one job after another."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from palikit import tasks
from palikit.errors import InputError
from palikit.options import GenerationOptions, ServeOptions
from palikit.predictor import Predictor
from palikit.request import Request
from palikit.serving.backend import backend_of
from palikit.serving.direct import DirectScheduler
from palikit.serving.jobs import (
    DeadlineError,
    DrainingError,
    Job,
    ModelFailedError,
    OverloadedError,
)
from palikit.serving.problems import Problem
from palikit.serving.service import Service
from palikit.tasks import Task
from tests import tiny
from tests.serving.made import asked, client_of, data_uri

SHORT = GenerationOptions(max_new_tokens=8)
LONG = GenerationOptions(max_new_tokens=2000)
TASKS = [tasks.caption(), tasks.detect("cat ; dog"), tasks.plain("dog"), tasks.segment("cat")]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return tiny.predictor()


def job(task: Task, options: GenerationOptions = SHORT, deadline: float | None = None) -> Job:
    return Job("id", Request((tiny.picture(),), task, "picture"), options, deadline)


def run(
    predictor: Predictor, talk: Callable[[DirectScheduler], Awaitable[Any]], max_queue: int = 64
) -> Any:
    async def inside() -> Any:
        return await talk(DirectScheduler(predictor, name="tiny", max_queue=max_queue))

    return asyncio.run(inside())


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_an_answer_is_that_of_the_predictor(predictor: Predictor, task: Task) -> None:
    async def talk(scheduler: DirectScheduler) -> Any:
        return await scheduler.submit(job(task)).result()

    (expected,) = predictor.predict([job(task).request], SHORT)
    answer = run(predictor, talk)
    assert answer.to_dict() == expected.to_dict()
    assert answer.token_scores == expected.token_scores


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_pieces_are_those_of_the_predictor(predictor: Predictor, task: Task) -> None:
    async def talk(scheduler: DirectScheduler) -> Any:
        return [piece async for piece in scheduler.submit(job(task)).pieces()]

    expected = list(predictor.stream(tiny.picture(), task, options=SHORT))
    assert run(predictor, talk) == expected


def test_jobs_are_answered_in_their_order(predictor: Predictor) -> None:
    async def talk(scheduler: DirectScheduler) -> Any:
        ended: list[int] = []

        async def wait(index: int, ticket: Any) -> None:
            await ticket.result()
            ended.append(index)

        tickets = [scheduler.submit(job(tasks.caption())) for _ in range(4)]
        await asyncio.gather(*(wait(i, each) for i, each in enumerate(tickets)))
        return ended, scheduler.stats()

    ended, stats = run(predictor, talk)
    assert ended == [0, 1, 2, 3]
    assert stats.queue_depth == 0
    assert stats.completion_tokens == 32
    assert stats.prompt_tokens % 4 == 0
    assert stats.prompt_tokens > 4 * 4


def test_a_full_queue_refuses_at_once_and_what_was_taken_is_answered(predictor: Predictor) -> None:
    async def talk(scheduler: DirectScheduler) -> Any:
        taken, refused = [], 0
        for _ in range(12):
            try:
                taken.append(scheduler.submit(job(tasks.caption())))
            except OverloadedError as error:
                refused += error.retry_after > 0
        await asyncio.gather(*(each.result() for each in taken))
        return len(taken), refused

    taken, refused = run(predictor, talk, max_queue=3)
    assert taken + refused == 12
    assert 3 <= taken <= 6


def test_a_job_past_its_deadline_is_given_up(predictor: Predictor) -> None:
    async def talk(scheduler: DirectScheduler) -> None:
        late = scheduler.submit(job(tasks.caption(), LONG, time.monotonic() + 0.02))
        with pytest.raises(DeadlineError):
            await late.result()
        await scheduler.submit(job(tasks.caption())).result()

    run(predictor, talk)


def test_a_cancelled_job_leaves_at_the_next_step(predictor: Predictor) -> None:
    async def talk(scheduler: DirectScheduler) -> Any:
        long = scheduler.submit(job(tasks.plain("dog"), LONG))
        async for _ in long.pieces():
            break
        long.cancel()
        await scheduler.submit(job(tasks.caption())).result()
        return scheduler.stats().completion_tokens

    assert run(predictor, talk) < 1000


def test_a_model_that_raises_fails_one_job_only(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(scheduler: DirectScheduler) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(predictor.model, "prefill", lambda *_: 1 / 0)
            with pytest.raises(ModelFailedError):
                await scheduler.submit(job(tasks.caption())).result()
        await scheduler.submit(job(tasks.caption())).result()

    run(predictor, talk)


def test_draining_finishes_what_was_taken_and_takes_nothing_new(predictor: Predictor) -> None:
    async def talk(scheduler: DirectScheduler) -> None:
        tickets = [scheduler.submit(job(tasks.caption())) for _ in range(3)]
        draining = asyncio.ensure_future(scheduler.drain(30))
        await asyncio.sleep(0)
        with pytest.raises(DrainingError):
            scheduler.submit(job(tasks.caption()))
        assert await draining
        for each in tickets:
            assert (await each.result()).finish_reason

    run(predictor, talk)


def test_the_bounds_of_the_model_are_checked_before_it_works(predictor: Predictor) -> None:
    backend = backend_of(predictor, DirectScheduler(predictor, name="tiny"))
    request = job(tasks.plain("cat dog")).request
    # <bos>, two words, the newline, and four tokens of a picture of 28 pixels.
    assert backend.count_prompt(request, SHORT, limit=4) == 8
    with pytest.raises(Problem, match="4 tokens, at most 3"):
        backend.count_prompt(request, SHORT, limit=3)
    many = Request((tiny.picture(),) * 3000, tasks.plain("cat"), "pictures")
    with pytest.raises(Problem, match="send fewer pictures"):
        backend.count_prompt(many, SHORT, limit=100)
    with pytest.raises(InputError, match="UTF-8"):
        backend.count_prompt(job(tasks.plain("\ud800")).request, SHORT, limit=100)


def test_control_tokens_in_a_prompt_cost_what_their_letters_do(predictor: Predictor) -> None:
    """A location token would be one id; as text it is many."""
    backend = backend_of(predictor, DirectScheduler(predictor, name="tiny"))
    request = job(tasks.plain("<loc0001><eos>")).request
    assert backend.count_prompt(request, SHORT, limit=100) > 4 + 2 + 2


def test_two_users_with_one_picture_get_their_own_answers(predictor: Predictor) -> None:
    service = Service(ServeOptions())
    with client_of(service) as client:

        async def make() -> None:
            service.backend = backend_of(predictor, DirectScheduler(predictor, name="tiny"))

        asyncio.run(make())
        prompts = ["cat", "dog", "cat dog", "big cat"]
        texts = []
        for prompt in prompts * 2:
            body = asked(prompt, data_uri(), model="tiny", max_tokens=6)
            answer = client.post("/v1/chat/completions", json=body).json()
            texts.append(answer["choices"][0]["message"]["content"])
        assert texts[:4] == texts[4:]
        assert len(set(texts)) > 1
