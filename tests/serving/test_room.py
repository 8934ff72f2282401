"""Room for requests, counted from their last byte on; and the memory that they leave."""

import asyncio

import pytest

from palikit.serving.exchange import begin_exchange
from palikit.serving.jobs import DrainingError, OverloadedError
from palikit.serving.limits import LARGE_BYTES, Budget
from tests.serving.made import FakeScheduler, asked, client_of, fake_client, service_with

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
