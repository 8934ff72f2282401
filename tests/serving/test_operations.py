"""What those who run a server see: probes, metrics, the OpenAPI document, the beginning and end."""

import asyncio
import threading
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from palikit.errors import InputError
from palikit.options import ServeOptions
from palikit.serving.app import create_app
from palikit.serving.chat_schemas import ChatAsked
from palikit.serving.service import Service
from tests.serving.made import FakeScheduler, asked, client_of, fake_client, service_with

CHAT = "/v1/chat/completions"


def metrics_of(client: TestClient) -> dict[str, float]:
    text = client.get("/metrics").text
    return {
        sample.name + "".join(f"|{v}" for _, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_tell_requests_errors_and_the_scheduler() -> None:
    client = fake_client()
    client.post(CHAT, json=asked())
    client.post(CHAT, json=asked(stream=True))
    client.post(CHAT, json=asked(n=0))
    found = metrics_of(client)
    assert found[f"palikit_requests_total|POST|{CHAT}|200"] == 2
    assert found[f"palikit_requests_total|POST|{CHAT}|400"] == 1
    assert found["palikit_errors_total|invalid_value"] == 1
    assert found["palikit_time_to_first_token_seconds_count"] == 1
    assert found["palikit_tokens_per_second_count"] == 2
    assert found["palikit_queue_depth"] == 3
    assert found["palikit_running_requests"] == 2
    assert found["palikit_image_cache_hits_total"] == 7
    assert found["palikit_batch_size_bucket|1.0"] == 5
    assert found["palikit_batch_size_bucket|4.0"] == 7
    assert found["palikit_batch_size_sum"] == 13


def test_addresses_that_clients_make_up_are_one_row_of_the_metrics() -> None:
    client = fake_client()
    for number in range(5):
        client.get(f"/made/up/{number}")
        client.request(f"X{number}", "/")
    rows = [name for name in metrics_of(client) if name.startswith("palikit_requests_total")]
    assert len(rows) <= 3


def test_before_the_model_is_loaded_the_server_lives_but_is_not_ready() -> None:
    service = Service(ServeOptions())
    client = client_of(service)
    assert client.get("/healthz").status_code == 200
    for answer in (client.get("/readyz"), client.post(CHAT, json=asked())):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "loading")
        assert "retry-after" in answer.headers
    assert [name for name in metrics_of(client) if name.startswith("palikit_errors_total")] == [
        "palikit_errors_total|loading"
    ]
    assert metrics_of(client)["palikit_errors_total|loading"] == 1  # a probe is no error


def test_loading_happens_beside_the_server() -> None:
    may_end, ended = threading.Event(), threading.Event()
    ready = service_with().backend
    assert ready is not None

    def load() -> Any:
        may_end.wait(10)
        return ready

    app = create_app(Service(ServeOptions()), load, on_loaded=ended.set)
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/readyz").status_code == 503
        may_end.set()
        assert ended.wait(10)
        assert client.get("/readyz").json() == {"status": "ready", "model": "fake"}


def test_a_model_that_cannot_be_loaded_is_told_to_who_started_the_server() -> None:
    ended, service = threading.Event(), Service(ServeOptions())

    def load() -> Any:
        raise InputError("no such model")

    with TestClient(create_app(service, load, on_loaded=ended.set), base_url="http://localhost"):
        assert ended.wait(10)
    assert str(service.failure) == "no such model"


def test_while_draining_it_is_not_ready() -> None:
    service = service_with()
    assert asyncio.run(service.drain())
    answer = client_of(service).get("/readyz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")


def document() -> Any:
    return fake_client().get("/openapi.json").json()


def test_the_document_names_every_route() -> None:
    paths = document()["paths"]
    assert {
        CHAT,
        "/v1/models",
        "/v1/caption",
        "/v1/describe",
        "/v1/answer",
        "/v1/ocr",
        "/v1/detect",
        "/v1/segment",
        "/predict",
        "/setup",
        "/health",
        "/healthz",
        "/readyz",
        "/metrics",
    } <= set(paths)


@pytest.mark.parametrize("verb", ["caption", "describe", "answer", "ocr", "detect", "segment"])
def test_the_example_of_a_typed_route_is_answered(verb: str) -> None:
    content = document()["paths"][f"/v1/{verb}"]["post"]["requestBody"]["content"]
    example = content["application/json"]["example"]
    assert fake_client().post(f"/v1/{verb}", json=example).status_code == 200
    image = content["multipart/form-data"]["schema"]["properties"]["image"]
    assert image["items"] == {"type": "string", "format": "binary"}


def test_the_example_of_the_chat_is_answered() -> None:
    body = document()["paths"][CHAT]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/ChatAsked"}
    ChatAsked.model_validate(body["example"])
    scheduler = FakeScheduler()
    assert (
        fake_client(scheduler).post(CHAT, json=body["example"] | {"model": "fake"}).status_code
        == 200
    )
    assert scheduler.jobs[0].request.task.name == "detect"


def test_every_reference_of_the_document_leads_somewhere() -> None:
    import json
    import re

    told = document()
    for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(told)):
        assert name in told["components"]["schemas"]


@pytest.mark.parametrize(
    "options",
    [
        {"port": 70_000},
        {"host": ""},
        {"max_queue": 0},
        {"requests_per_minute": 0},
        {"request_timeout": 0.0},
        {"max_pixels": -1},
        {"label_studio_url": "localhost:8080"},
        {"label_studio_url": "http://["},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(options))} is"):
        ServeOptions(**options)
