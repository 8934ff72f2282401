"""Room for requests, counted from their last byte on; and the memory that they leave."""

import asyncio
import time

import pytest

from palikit.serving.exchange import EndedError, begin_exchange
from palikit.serving.jobs import DrainingError, OverloadedError
from palikit.serving.limits import LARGE_BYTES, Budget
from tests.serving.made import FakeScheduler, asked, client_of, data_uri, fake_client, service_with

CHAT = "/v1/chat/completions"


def test_a_full_queue_refuses_before_anything_is_decoded() -> None:
    client = fake_client(FakeScheduler(is_full=True))
    for path, body in ((CHAT, b"no JSON"), ("/v1/ocr", b'{"image":"no picture"}')):
        refused = client.post(path, content=body, headers={"content-type": "application/json"})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
    assert client.get("/v1/models").status_code == 200


def test_requests_on_their_way_count_as_waiting() -> None:
    service = service_with(FakeScheduler(room=1))
    first, second = (
        begin_exchange({"method": "POST", "headers": []}, service.budget) for _ in range(2)
    )
    service.expect(first)
    with pytest.raises(OverloadedError):
        service.expect(second)
    first.let_go()
    service.expect(second)
    assert client_of(service).post(CHAT, json=asked()).status_code == 429
    second.let_go()
    answers = [client_of(service).post(CHAT, json=asked()).status_code for _ in range(2)]
    assert answers == [200, 200]


def test_what_is_on_its_way_is_taken_before_the_server_stops() -> None:
    service = service_with(drain_timeout=30)
    coming, late = (begin_exchange({"method": "POST", "headers": []}, service.budget) for _ in "ab")

    async def stop() -> bool:
        service.expect(coming)
        draining = asyncio.ensure_future(service.drain())
        await asyncio.sleep(0.05)
        assert not draining.done()
        with pytest.raises(DrainingError):
            service.expect(late)
        coming.let_go()
        return await draining

    assert asyncio.run(stop())


def test_memory_counts_as_large_once_when_all_of_it_is_given_back() -> None:
    budget = Budget(2 * LARGE_BYTES)
    budget.take(LARGE_BYTES)
    budget.take(1)
    budget.give_back(LARGE_BYTES)
    assert not budget.has_been_large()
    budget.give_back(1)
    assert budget.has_been_large()
    assert not budget.has_been_large()
    budget.take(5)
    budget.give_back(5)
    assert not budget.has_been_large()


def test_a_request_that_has_ended_holds_no_more_memory() -> None:
    """A thread may still be at work on its pictures, and nobody would give back what it takes."""
    budget = Budget(100)
    exchange = begin_exchange({"method": "POST", "headers": []}, budget)
    exchange.hold(40)
    with exchange.part() as hold:
        hold(50)
        exchange.let_go()
        with pytest.raises(EndedError):
            hold(1)
    assert budget.taken == 0


def test_a_part_of_a_request_gives_its_memory_back_before_the_rest() -> None:
    budget = Budget(100)
    exchange = begin_exchange({"method": "POST", "headers": []}, budget)
    exchange.hold(40)
    for _ in range(3):
        with exchange.part() as hold:
            hold(30)
            hold(30)
            assert budget.taken == 100
        assert budget.taken == 40
    exchange.let_go()
    assert budget.taken == 0


def test_pictures_that_do_not_come_in_time_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(*_: object) -> None:
        time.sleep(1)

    monkeypatch.setattr("palikit.serving.service.open_sources", slow)
    began = time.monotonic()
    answer = fake_client(request_timeout=0.2).post("/v1/ocr", json={"image": data_uri()})
    assert answer.status_code == 504
    assert time.monotonic() - began < 0.9
