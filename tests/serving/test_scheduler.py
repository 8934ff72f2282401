"""Jobs that share a model against the same jobs one by one: equality, bounds, sharing."""

import asyncio
import itertools
import random
import threading
import time
from typing import Any

import pytest
import torch

from palikit import tasks
from palikit.errors import InputError
from palikit.options import GenerationOptions
from palikit.request import Request
from palikit.running_batch import RunningBatch
from palikit.serving import runner
from palikit.serving import scheduler as scheduling
from palikit.serving.jobs import (
    DeadlineError,
    Job,
    OverloadedError,
)
from palikit.serving.scheduler import Scheduler
from palikit.tasks import Task
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

# Equality


def test_mixed_requests_at_once_are_answered_as_one_by_one() -> None:
    predictor, asked = tiny.predictor(), random_jobs(200)
    expected = [answer(predictor, each) for each in asked]
    with scheduler(predictor, max_batch=16) as served:
        got = run(answer_all(served, asked, 32))
        stats = served.stats()
    for one, other in zip(got, expected, strict=True):
        assert_same(one, other)
    assert stats.first_tokens == 200
    assert max(size for size, _ in stats.batches) > 8
    assert stats.queue_depth == stats.running == 0


@pytest.mark.e2e
def test_mixed_requests_to_the_built_in_model_are_answered_as_one_by_one() -> None:
    from palikit.loading import load

    predictor = load("nano", dtype="float32")
    draw, asked = random.Random(0), []
    for each in random_jobs(200):
        pictures = tuple(picture.resize((200, 150)) for picture in each.request.pictures[:1])
        task = draw.choice((tasks.caption(), tasks.detect("circle ; square"), tasks.ocr()))
        request = Request(pictures, task, each.request.input)
        asked.append(Job(each.id, request, GenerationOptions(max_new_tokens=32), None))
    expected = [answer(predictor, each) for each in asked]
    with scheduler(predictor) as served:
        got = run(answer_all(served, asked, 32))
    for one, other in zip(got, expected, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("task", [tasks.caption(), tasks.detect("cat ; dog")])
def test_pieces_are_the_text_as_it_settles(task: Task) -> None:
    predictor = tiny.predictor(seed=2)
    asked = job(task, max_new_tokens=40)

    async def pieces(served: Scheduler) -> tuple[list[str], str]:
        ticket = served.submit(asked)
        told = [piece async for piece in ticket.pieces()]
        return told, (await ticket.result()).text

    with scheduler(predictor) as served:
        told, text = run(pieces(served))
    assert "".join(told) == text == "".join(predictor.engine.stream(asked.request, asked.options))
    assert len(told) > 1
    if task.labels:
        assert all(piece.lstrip(" ;").startswith("<loc") for piece in told)


def test_a_stream_that_is_taken_late_is_whole() -> None:
    predictor = tiny.predictor()

    async def late(served: Scheduler) -> tuple[str, str]:
        ticket = served.submit(job(max_new_tokens=9))
        text = (await ticket.result()).text
        return "".join([piece async for piece in ticket.pieces()]), text

    with scheduler(predictor) as served:
        told, text = run(late(served))
    assert told == text != ""


def test_answers_with_other_seeds_to_one_prompt_share_a_batch() -> None:
    predictor = tiny.predictor()
    asked = [job(temperature=2.0, seed=0) for _ in range(4)]
    pictures = asked[0].request.pictures
    asked = [
        Job(each.id, Request(pictures, each.request.task, "x"), options, None)
        for n, each in enumerate(asked)
        for options in [GenerationOptions(max_new_tokens=6, temperature=2.0, seed=n)]
    ]
    expected = [answer(predictor, each).text for each in asked]
    with scheduler(predictor) as served:
        got = run(answer_all(served, asked, 4))
    assert [each.text for each in got] == expected
    assert len(set(expected)) == 4


# Bounds


@pytest.mark.parametrize(
    ("places", "joining", "later", "read"),
    [
        pytest.param(8, 1, 0, [1, 1], id="one joins one"),
        pytest.param(8, 2, 2, [1, 2, 2], id="two join three"),
        pytest.param(8, 2, 1, [1, 2, 1], id="one does not join three"),
        pytest.param(4, 3, 2, [1, 3, 2], id="two wait until two of four have left"),
    ],
)
def test_prompts_that_come_while_rows_run_are_read_together(
    places: int, joining: int, later: int, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "_GATHER_SECONDS", PATIENCE)
    monkeypatch.setattr(scheduling, "_COMPANY", 2)
    predictor = tiny.predictor()
    prefill, step = predictor.model.prefill, predictor.model.decode_step
    reached = {rows: threading.Event() for rows in (1, 1 + joining)}
    may_go = {rows: threading.Event() for rows in reached}
    prompts: list[int] = []
    rows: list[int] = []

    def reading(inputs: Any, *rest: Any) -> torch.Tensor:
        prompts.append(len(inputs.input_ids))
        return prefill(inputs, *rest)

    def stepping(token_ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        if (running := len(token_ids)) in reached:
            reached[running].set()
            assert may_go[running].wait(PATIENCE)
        rows.append(running)
        return step(token_ids, *rest)

    monkeypatch.setattr(predictor.model, "prefill", reading)
    monkeypatch.setattr(predictor.model, "decode_step", stepping)

    async def asked(served: Scheduler) -> None:
        tickets = []
        for running, more in ((1, joining), (1 + joining, later)):
            if not tickets:
                tickets.append(served.submit(job(max_new_tokens=6)))
            await until(reached[running].is_set)
            for _ in range(more):
                number = len(tickets)
                tickets.append(served.submit(job(seed=number, max_new_tokens=6 + 3 * number)))
            await until(lambda: served._line.num_ready == more)  # noqa: B023
            may_go[running].set()
        for ticket in tickets:
            await ticket.result()

    with scheduler(predictor, max_batch=places) as served:
        run(asked(served))
    assert prompts == read
    assert max(rows) == (1 + joining + later if places > 4 and later != 1 else 1 + joining)


def test_a_full_queue_refuses_at_once_and_what_was_taken_is_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = tiny.predictor()
    gate = Gate(predictor, monkeypatch)

    async def crowd(served: Scheduler) -> list[OverloadedError]:
        tickets = [served.submit(job(seed=0))]
        await until(gate.is_reached.is_set)
        tickets += [served.submit(job(seed=n)) for n in (1, 2)]
        refused = []
        for _ in range(50):  # at once: nobody has the model meanwhile but the one that is held up
            with pytest.raises(OverloadedError) as error:
                served.submit(job(seed=3))
            refused.append(error.value)
        assert served.stats().queue_depth == 2
        gate.open()
        await asyncio.gather(*(ticket.result() for ticket in tickets))
        await served.submit(job(seed=3)).result()
        return refused

    with scheduler(predictor, max_queue=2) as served:
        refused = run(crowd(served))
    assert all(error.retry_after > 0 for error in refused)
    assert "2 requests wait" in str(refused[0])


def test_the_time_to_come_back_grows_with_what_the_jobs_before_took() -> None:
    predictor = tiny.predictor()
    with scheduler(predictor) as served:
        served._pace._mean = 3.0
        served._pace.begin()
        assert served._pace.seconds(1) == pytest.approx(3, abs=0.1)
        assert served._pace.seconds(10) == pytest.approx(30, abs=0.1)
        served._pace._mark -= 100  # the job at work takes long
        assert served._pace.seconds(2) == pytest.approx(103, abs=0.1)


def test_late_jobs_are_given_up_whether_they_wait_or_run(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = tiny.predictor()
    gate = Gate(predictor, monkeypatch)

    async def late(served: Scheduler) -> list[Any]:
        now = time.monotonic()
        running = served.submit(job(seed=0, max_new_tokens=8000, deadline=now + 1.0))
        await until(gate.is_reached.is_set)
        await until(lambda: time.monotonic() > now + 1.0)  # while it runs, however quick it is
        waiting = served.submit(job(seed=1, deadline=time.monotonic() - 1))
        patient = served.submit(job(seed=2, deadline=now + PATIENCE))
        gate.open()
        return [await outcome_of(ticket) for ticket in (waiting, running, patient)]

    with scheduler(predictor) as served:
        waiting, running, patient = run(late(served))
    assert isinstance(waiting, DeadlineError)
    assert isinstance(running, DeadlineError)
    assert patient.text == answer(predictor, job(seed=2)).text


def test_a_beam_search_is_refused() -> None:
    with scheduler(tiny.predictor()) as served:
        with pytest.raises(InputError, match="num_beams is 3"):
            run(answer_all(served, [job(num_beams=3)], 1))
        assert run(served.drain(1.0))


def test_what_the_model_cannot_take_is_refused() -> None:
    with scheduler(tiny.predictor()) as served:
        with pytest.raises(InputError, match="positions"):
            run(answer_all(served, [job(pictures=3000)], 1))
        with pytest.raises(InputError, match="tokens"):
            run(answer_all(served, [job(tasks.plain("cat " * 9000))], 1))
        assert run(answer_all(served, [job()], 1))


# Sharing


def test_many_questions_on_one_picture_run_the_image_tower_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor, encoded = tiny.predictor(), []
    encode = predictor.model.encode_images
    monkeypatch.setattr(
        predictor.model,
        "encode_images",
        lambda pixels: encoded.append(len(pixels)) or encode(pixels),
    )
    asked = [job(task, seed=1) for task in TASKS]  # equal pictures, not the same objects
    with scheduler(predictor) as served:
        for each in asked:
            run(answer_all(served, [each], 1))
        run(answer_all(served, asked, 5))
        run(answer_all(served, [job(seed=2)], 1))
        stats = served.stats()
    assert encoded == [1, 1]
    assert stats.image_cache_misses == 2
    assert stats.image_cache_hits == 9


def test_rows_that_run_are_not_held_up_by_more_than_one_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor, calls = tiny.predictor(), []
    num_image = predictor.model.config.vision_config.num_image_tokens
    monkeypatch.setattr(runner, "MAX_PREFILL_TOKENS", 2 * num_image)
    gate = Gate(predictor, monkeypatch)
    prefill, step = predictor.model.prefill, predictor.model.decode_step

    def reads(inputs: Any, *rest: Any) -> torch.Tensor:
        calls.append(len(inputs.input_ids))
        return prefill(inputs, *rest)

    monkeypatch.setattr(predictor.model, "prefill", reads)
    monkeypatch.setattr(
        predictor.model, "decode_step", lambda *rest: calls.append("step") or step(*rest)
    )

    async def crowd(served: Scheduler) -> None:
        tickets = [served.submit(job(seed=0, max_new_tokens=40))]
        await until(gate.is_reached.is_set)
        tickets += [served.submit(job(seed=n, pictures=1 + n // 6)) for n in range(1, 7)]
        await until(lambda: all(each.ready for each in served._line._entries))
        gate.open()
        for ticket in tickets:
            await ticket.result()

    with scheduler(predictor) as served:
        run(crowd(served))
    assert [call for call in calls if call != "step"] == [1, 2, 2, 1, 1]
    assert all("step" in pair for pair in itertools.pairwise(calls))


def test_steps_of_many_rows_of_a_small_model_leave_threads_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor, before = tiny.predictor(), torch.get_num_threads()
    step, seen = RunningBatch.step, set()

    def watched(batch: RunningBatch) -> Any:
        seen.add((len(batch.rows) >= 4, torch.get_num_threads()))
        return step(batch)

    monkeypatch.setattr(RunningBatch, "step", watched)
    gate = Gate(predictor, monkeypatch)

    async def crowd(served: Scheduler) -> None:
        tickets = [served.submit(job(seed=n, max_new_tokens=4)) for n in range(7)]
        await until(gate.is_reached.is_set)
        await until(lambda: all(each.ready for each in served._line._entries))
        gate.open()
        await asyncio.gather(*(ticket.result() for ticket in tickets))

    torch.set_num_threads(4)
    try:
        with scheduler(predictor) as served:
            run(crowd(served))
            run(answer_all(served, [job(seed=0)], 1))
    finally:
        torch.set_num_threads(before)
    assert seen == {(True, 2), (False, 4)}
