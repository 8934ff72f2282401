"""What Prometheus is told: every figure of the scheduler, and what requests came to."""

from dataclasses import fields

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from palikit.errors import InputError
from palikit.serving.jobs import DeadlineError, ModelFailedError, Stats
from palikit.serving.metrics import Metrics
from tests.serving.made import FakeScheduler, asked, fake_client

CHAT = "/v1/chat/completions"
NAMES = {
    "queue_depth": "palikit_queue_depth",
    "running": "palikit_running_requests",
    "batches": "palikit_batch_size_count",
    "image_cache_hits": "palikit_image_cache_hits_total",
    "image_cache_misses": "palikit_image_cache_misses_total",
    "image_cache_bytes": "palikit_image_cache_bytes",
    "prompt_tokens": "palikit_prompt_tokens_total",
    "completion_tokens": "palikit_completion_tokens_total",
    "prefill_seconds": "palikit_prefill_seconds_total",
    "decode_seconds": "palikit_decode_seconds_total",
    "first_tokens": "palikit_first_token_seconds_count",
    "first_token_seconds": "palikit_first_token_seconds_sum",
}
"""What each figure of the scheduler is called."""


def told(text: str) -> dict[str, float]:
    return {
        sample.name + "".join(f"|{v}" for _, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def told_by(client: TestClient) -> dict[str, float]:
    return told(client.get("/metrics").text)


def test_every_figure_of_the_scheduler_is_a_metric() -> None:
    values = {each.name: number for number, each in enumerate(fields(Stats), start=1)}
    batches = ((1, values["batches"]),)
    found = told(Metrics(lambda: Stats(**{**values, "batches": batches})).text().decode())
    assert {name: found[NAMES[name]] for name in values} == values


def test_batch_sizes_are_a_histogram_of_steps() -> None:
    found = told(Metrics(lambda: Stats(batches=((1, 5), (4, 2), (200, 1)))).text().decode())
    name = "palikit_batch_size"
    bounds = ("1.0", "2.0", "4.0", "128.0", "+Inf")
    assert [found[f"{name}_bucket|{each}"] for each in bounds] == [5, 5, 7, 7, 8]
    assert (found[f"{name}_sum"], found[f"{name}_count"]) == (5 + 8 + 200, 8)


def test_streams_tell_when_their_first_text_came() -> None:
    client = fake_client()
    client.post(CHAT, json=asked())
    assert told_by(client)["palikit_time_to_first_token_seconds_count"] == 0
    client.post(CHAT, json=asked(stream=True))
    assert told_by(client)["palikit_time_to_first_token_seconds_count"] == 1


def test_every_answer_has_a_rate_of_tokens() -> None:
    client = fake_client()
    client.post(CHAT, json=asked())
    client.post(CHAT, json=asked(stream=True))
    client.post(CHAT, json=asked(n=0))
    found = told_by(client)
    assert found["palikit_tokens_per_second_count"] == 2
    assert found["palikit_tokens_per_second_sum"] > 0


@pytest.mark.parametrize(
    ("scheduler", "kind"),
    [
        (FakeScheduler(is_full=True), "overloaded"),
        (FakeScheduler(fails=ModelFailedError("x")), "model_failed"),
        (FakeScheduler(fails=DeadlineError("x")), "deadline"),
        (FakeScheduler(fails=InputError("x")), "invalid_value"),
    ],
    ids=["overloaded", "model_failed", "deadline", "invalid_value"],
)
def test_errors_are_counted_by_kind(scheduler: FakeScheduler, kind: str) -> None:
    client = fake_client(scheduler)
    for _ in range(2):
        client.post(CHAT, json=asked())
    client.get("/nowhere")
    errors = {name: count for name, count in told_by(client).items() if "_errors_total" in name}
    assert errors == {f"palikit_errors_total|{kind}": 2, "palikit_errors_total|not_found": 1}
