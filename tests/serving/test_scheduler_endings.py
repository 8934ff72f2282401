"""Jobs that end otherwise than by an answer: cancelled, stopped, failed; and those beside them."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from palikit import tasks
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.predictor import Predictor
from palikit.request import Request
from palikit.serving import runner
from palikit.serving import scheduler as scheduling
from palikit.serving.jobs import (
    DrainingError,
    Job,
    ModelFailedError,
    OverloadedError,
)
from palikit.serving.scheduler import Scheduler
from palikit.serving.tickets import LoopTicket
from tests import tiny
from tests.serving.scheduled import (
    PATIENCE,
    TASKS,
    Gate,
    answer,
    answer_all,
    assert_same,
    job,
    outcome_of,
    random_jobs,
    run,
    scheduler,
    until,
)

# Cancelling


def test_cancelling_frees_the_place_whether_a_job_waits_or_runs_and_later_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = tiny.predictor()
    gate = Gate(predictor, monkeypatch)

    async def cancelled(served: Scheduler) -> None:
        running = served.submit(job(seed=0, max_new_tokens=8000))
        await until(gate.is_reached.is_set)
        waiting = served.submit(job(seed=1))
        with pytest.raises(OverloadedError):
            served.submit(job(seed=2))
        waiting.cancel()
        other = served.submit(job(seed=2))  # in its place
        gate.open()
        await until(lambda: served.stats().running > 0)
        running.cancel()
        got = await other.result()
        other.cancel()
        assert got.text == answer(predictor, job(seed=2)).text
        for ticket in (running, waiting):
            with pytest.raises(asyncio.CancelledError):
                await ticket.result()
        assert await served.drain(PATIENCE)

    with scheduler(predictor, max_queue=1) as served:
        run(cancelled(served))
        assert served.stats().running == 0
        assert not served._runner._batch.rows


def test_a_stream_ends_when_it_is_cancelled() -> None:
    async def cancelled(served: Scheduler) -> None:
        ticket = served.submit(job(max_new_tokens=8000, grammar=False))
        pieces = ticket.pieces()
        await anext(pieces)
        ticket.cancel()
        with pytest.raises(asyncio.CancelledError):
            async for _ in pieces:
                pass
        await until(lambda: served.stats().running == 0)

    with scheduler(tiny.predictor()) as served:
        run(cancelled(served))


@pytest.mark.parametrize("seed", range(3))
def test_no_job_is_lost_or_answered_twice_when_clients_leave_at_random(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, draw = tiny.predictor(), random.Random(seed)
    asked = random_jobs(60, seed)
    ends: Counter[int] = Counter()
    end = LoopTicket.end

    def counted(ticket: LoopTicket, outcome: Any) -> None:
        ends[id(ticket)] += 1
        end(ticket, outcome)

    monkeypatch.setattr(LoopTicket, "end", counted)

    async def one(served: Scheduler, each: Job) -> tuple[LoopTicket, Any]:
        await asyncio.sleep(draw.random() * 0.5)
        ticket = served.submit(each)
        if draw.random() < 0.4:
            asyncio.get_running_loop().call_later(draw.random() * 0.5, ticket.cancel)
        return ticket, await outcome_of(ticket)

    async def all_of(served: Scheduler) -> list[tuple[LoopTicket, Any]]:
        done = await asyncio.gather(*(one(served, each) for each in asked))
        assert await served.drain(PATIENCE)
        return done

    with scheduler(predictor, max_queue=100, max_batch=5) as served:
        done = run(all_of(served))
    assert all(ends[id(ticket)] == 1 for ticket, _ in done)
    for each, (ticket, outcome) in zip(asked, done, strict=True):
        if ticket.is_cancelled and isinstance(outcome, asyncio.CancelledError):
            continue
        assert_same(outcome, answer(predictor, each))


# Stopping


def test_draining_finishes_what_was_taken_and_refuses_the_rest() -> None:
    async def drained(served: Scheduler) -> list[Any]:
        tickets = [served.submit(job(seed=n)) for n in range(5)]
        drain = asyncio.create_task(served.drain(PATIENCE))
        await asyncio.sleep(0)
        with pytest.raises(DrainingError):
            served.submit(job())
        assert await drain
        return [await ticket.result() for ticket in tickets]

    with scheduler(tiny.predictor()) as served:
        assert len(run(drained(served))) == 5


def test_draining_that_takes_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = tiny.predictor()
    gate = Gate(predictor, monkeypatch)

    async def hurried(served: Scheduler) -> bool:
        served.submit(job())
        return await served.drain(0.05)

    with scheduler(predictor) as served:
        assert not run(hurried(served))
        gate.open()


def test_closing_ends_the_threads_and_fails_what_is_in_hand() -> None:
    async def closed(served: Scheduler) -> Any:
        ticket = served.submit(job(max_new_tokens=8000))
        await until(lambda: served.stats().running == 1)
        served.close()
        return await outcome_of(ticket)

    before = set(threading.enumerate())
    served = Scheduler(tiny.predictor())
    assert isinstance(run(closed(served)), DrainingError)
    assert set(threading.enumerate()) <= before
    with pytest.raises(DrainingError):
        run(answer_all(served, [job()], 1))
    served.close()


def test_an_answer_that_is_read_after_the_end_is_told_to_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor, ends = tiny.predictor(), []
    read, goes_on = predictor.engine.read, threading.Event()

    def slow(*arguments: Any) -> Prediction[Any]:
        assert goes_on.wait(PATIENCE)
        ends.append("read")
        return read(*arguments)

    object.__setattr__(predictor.engine, "read", slow)
    end = LoopTicket.end
    monkeypatch.setattr(LoopTicket, "end", lambda *of: ends.append("told") or end(*of))

    async def closed(served: Scheduler) -> Any:
        ticket = served.submit(job())
        await until(lambda: served.stats().completion_tokens > 0)
        threading.Timer(0.2, goes_on.set).start()
        served.close()
        return await outcome_of(ticket)

    assert isinstance(run(closed(Scheduler(predictor))), DrainingError)
    assert ends == ["told", "read"]


# Failures


def test_a_picture_that_the_model_fails_on_takes_no_other_job_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = tiny.predictor()
    gate = Gate(predictor, monkeypatch)
    bad = predictor.engine.prepare(job(seed=3).request).pixels[0]
    encode = predictor.model.encode_images

    def failing(pixels: torch.Tensor) -> torch.Tensor:
        if any(torch.equal(each, bad) for each in pixels):
            raise RuntimeError("a secret detail")
        return encode(pixels)

    monkeypatch.setattr(predictor.model, "encode_images", failing)

    async def mixed(served: Scheduler) -> list[Any]:
        first = served.submit(job(seed=0, max_new_tokens=20))
        await until(gate.is_reached.is_set)
        tickets = [first, *(served.submit(job(seed=n)) for n in (1, 2, 3, 4))]
        gate.open()
        return [await outcome_of(ticket) for ticket in tickets]

    with scheduler(predictor) as served:
        *others, failed, last = run(mixed(served))
        monkeypatch.setattr(predictor.model, "encode_images", encode)
        again = run(answer_all(served, [job(seed=3)], 1))[0]
    assert isinstance(failed, ModelFailedError)
    assert "secret" not in str(failed)
    assert isinstance(failed.__cause__, RuntimeError)
    assert [each.text for each in others[1:]] == [
        answer(predictor, job(seed=n)).text for n in (1, 2)
    ]
    assert others[0].text == answer(predictor, job(seed=0, max_new_tokens=20)).text
    assert last.text == answer(predictor, job(seed=4)).text
    assert again.text == answer(predictor, job(seed=3)).text


def failing_steps(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, fails: Callable[[int, int], bool]
) -> list[int]:
    """Steps raise where `fails` of their number and of their rows; the rows of each step."""
    step, sizes = predictor.model.decode_step, []

    def failing(token_ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        sizes.append(len(token_ids))
        if fails(len(sizes), len(token_ids)):
            raise RuntimeError("the device has gone")
        return step(token_ids, *rest)

    monkeypatch.setattr(predictor.model, "decode_step", failing)
    return sizes


@pytest.mark.parametrize("at", [1, 3])
def test_a_step_that_fails_once_is_taken_again_alone_and_nobody_notices(
    at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "_GATHER_SECONDS", 0)  # all run together
    predictor = tiny.predictor()
    asked = [job(task, seed=n, max_new_tokens=12) for n, task in enumerate(TASKS)]
    expected = [answer(predictor, each) for each in asked]
    gate = Gate(predictor, monkeypatch)
    sizes = failing_steps(predictor, monkeypatch, lambda number, rows: number == at + 1)

    async def streamed(ticket: LoopTicket) -> str:
        return "".join([piece async for piece in ticket.pieces()])

    async def together(served: Scheduler) -> tuple[list[Any], list[str]]:
        tickets = [served.submit(each) for each in asked]
        streams = [asyncio.create_task(streamed(ticket)) for ticket in tickets]
        await until(gate.is_reached.is_set)
        await until(lambda: all(ready(served)))
        gate.open()
        return [await ticket.result() for ticket in tickets], await asyncio.gather(*streams)

    def ready(served: Scheduler) -> list[bool]:
        return [entry.ready is not None for entry in served._line._entries]

    with scheduler(predictor) as served:
        got, streams = run(together(served))
        later = run(answer_all(served, asked, 5))
    for one, other, told, after in zip(got, expected, streams, later, strict=True):
        assert_same(one, other)
        assert told == other.text
        assert_same(after, other)
    assert sizes[at] > 1
    assert sizes[at + 1] == 1


def test_a_job_that_fails_alone_too_fails_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = tiny.predictor()
    asked = [job(seed=n, max_new_tokens=5) for n in range(4)]
    expected = [answer(predictor, each).text for each in asked]
    marked = job(tasks.plain("count dog"), seed=9, max_new_tokens=5)
    step, sizes = runner.RunningBatch.step, []

    def failing(batch: runner.RunningBatch) -> Any:
        ill = [row for row in batch.rows if row.options.max_new_tokens == 77]
        if ill and len(ill[0].tokens) > 2:
            sizes.append(len(batch.rows))
            raise RuntimeError("of one row")
        return step(batch)

    monkeypatch.setattr(runner.RunningBatch, "step", failing)
    bad = Job("bad", marked.request, GenerationOptions(max_new_tokens=77), None)

    gate = Gate(predictor, monkeypatch)

    async def together(served: Scheduler) -> list[Any]:
        tickets = [served.submit(each) for each in (*asked[:2], bad, *asked[2:])]
        await until(gate.is_reached.is_set)
        await until(lambda: all(each.ready for each in served._line._entries))
        gate.open()
        return [await outcome_of(ticket) for ticket in tickets]

    with scheduler(predictor, max_batch=3) as served:
        got = run(together(served))
        assert isinstance(got.pop(2), ModelFailedError)
        together_first, then_alone = sizes
        assert together_first > then_alone == 1
        assert [each.text for each in got] == expected
        assert run(answer_all(served, asked[:1], 1))[0].text == expected[0]


def test_an_answer_that_cannot_be_read_fails_alone() -> None:
    predictor = tiny.predictor()
    read = predictor.engine.read

    def failing(request: Request, generation: Any) -> Prediction[Any]:
        if request.input == "input 1":
            raise RuntimeError("a bug")
        return read(request, generation)

    object.__setattr__(predictor.engine, "read", failing)

    async def together(served: Scheduler) -> list[Any]:
        tickets = [served.submit(job(seed=n)) for n in range(3)]
        return [await outcome_of(ticket) for ticket in tickets]

    with scheduler(predictor) as served:
        first, second, third = run(together(served))
    assert isinstance(second, ModelFailedError)
    assert first.text
    assert third.text
