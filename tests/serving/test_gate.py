"""Who is let in, within which bounds, and what comes back with every answer."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from palikit.errors import InputError
from palikit.serving import gate
from palikit.serving.app import create_app
from palikit.serving.jobs import ModelFailedError
from palikit.serving.keys import ApiKeys, read_keys
from palikit.serving.limits import MAX_CALLERS, RateLimiter
from palikit.serving.logs import JsonFormatter
from palikit.serving.problems import Problem
from tests.serving.made import (
    KEY,
    FakeScheduler,
    asked,
    client_of,
    data_uri,
    fake_client,
    one_key,
    png,
    service_with,
)

CHAT = "/v1/chat/completions"
BEARER = {"authorization": f"Bearer {KEY}"}


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The log as it would be written."""
    written: list[str] = []
    handler = logging.Handler()
    handler.setFormatter(JsonFormatter())
    handler.emit = lambda record: written.append(handler.format(record))  # type: ignore[method-assign]
    logger = logging.getLogger("palikit.serving")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield written
    logger.removeHandler(handler)


def test_every_answer_has_a_request_id() -> None:
    client = fake_client()
    ids = {client.get(path).headers["x-request-id"] for path in ("/healthz", "/nowhere", CHAT)}
    assert len(ids) == 3


def test_freed_memory_goes_back_to_the_system_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    returned: list[float] = []
    monkeypatch.setattr(gate, "return_freed_memory", lambda: returned.append(time.monotonic()))
    monkeypatch.setattr(gate, "_TRIM_EVERY", 4)
    monkeypatch.setattr(gate, "_TRIM_SECONDS", 0)
    with fake_client() as client:
        for _ in range(11):
            client.get("/healthz")
        until = time.monotonic() + 5
        while len(returned) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    assert len(returned) == 2


@pytest.mark.parametrize("own", ["job-17", "A.b_c-9"])
def test_a_harmless_request_id_is_kept(own: str) -> None:
    answer = fake_client().get("/healthz", headers={"x-request-id": own})
    assert answer.headers["x-request-id"] == own


@pytest.mark.parametrize("own", ["", "a b", "x" * 65, "a;b", "ä", "../../etc"])
def test_any_other_request_id_is_replaced(own: str) -> None:
    answer = fake_client().get("/healthz", headers={"x-request-id": own.encode("latin-1")})
    assert answer.headers["x-request-id"].isalnum()
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer wrong"}, {"authorization": KEY}, {"authorization": "Basic !!"}],
    ids=str,
)
def test_without_a_known_key_nothing_is_answered(headers: dict[str, str]) -> None:
    client = client_of(service_with(keys=one_key()))
    for path in ("/v1/models", "/metrics", "/health", "/openapi.json", "/nowhere"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert "Bearer" in answer.headers["www-authenticate"]
        assert KEY not in answer.text


def test_a_known_key_is_let_in() -> None:
    client = client_of(service_with(keys=one_key()))
    assert client.get("/v1/models", headers=BEARER).status_code == 200
    assert client.get("/v1/models", auth=("label-studio", KEY)).status_code == 200


def test_probes_need_no_key() -> None:
    client = client_of(service_with(keys=one_key()))
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    compared: list[tuple[int, int]] = []
    genuine = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return genuine(a, b)

    keys = read_keys(None, ",".join(f"key-number-{i}-long-enough" for i in range(5)))
    monkeypatch.setattr(hmac, "compare_digest", compare)
    for offered in ("key-number-0-long-enough", "key-number-4-long-enough", "x", "k" * 1000):
        compared.clear()
        keys.name_of(f"Bearer {offered}")
        assert compared == [(32, 32)] * 5  # digests, whatever the length and place of the key


def test_keys_come_from_a_file_with_names_and_remarks(tmp_path: Any) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# who may ask\nalice {KEY}\n\n{KEY}2  # spare\n")
    keys = read_keys(str(file), f"{KEY}3, {KEY}4")
    assert list(keys.digests) == ["alice", "key-4", "env-1", "env-2"]
    assert keys.name_of(f"Bearer {KEY}") == "alice"
    assert KEY not in repr(keys)


@pytest.mark.parametrize(
    "text", ["", "# none", "short", f"{KEY}\n{KEY}", f"a {KEY}\na {KEY}2", f"a b {KEY}"], ids=repr
)
def test_a_file_of_keys_that_is_wrong_is_refused(text: str, tmp_path: Any) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(InputError) as told:
        read_keys(str(file), None)
    assert KEY not in str(told.value)


def test_a_file_of_keys_that_is_absent_is_refused(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_keys(str(tmp_path / "none"), None)


def test_each_key_has_a_rate_of_its_own() -> None:
    keys = ApiKeys({**one_key().digests, **read_keys(None, f"x-{KEY}").digests})
    keys = read_keys(None, f"{KEY},{KEY}2")
    client = client_of(service_with(keys=keys, requests_per_minute=2))
    first = [client.post(CHAT, json=asked(), headers=BEARER).status_code for _ in range(3)]
    assert first == [200, 200, 429]
    other = {"authorization": f"Bearer {KEY}2"}
    assert client.post(CHAT, json=asked(), headers=other).status_code == 200
    refused = client.post(CHAT, json=asked(), headers=BEARER)
    assert int(refused.headers["retry-after"]) >= 1


def test_what_is_only_read_counts_nothing() -> None:
    client = client_of(service_with(keys=one_key(), requests_per_minute=1))
    read = [client.get("/v1/models", headers=BEARER).status_code for _ in range(5)]
    assert read == [200] * 5
    assert client.post(CHAT, json=asked(), headers=BEARER).status_code == 200
    assert client.post(CHAT, json=asked(), headers=BEARER).status_code == 429


def test_guessing_keys_is_slowed_down() -> None:
    client = client_of(service_with(keys=one_key(), requests_per_minute=3))
    wrong = {"authorization": "Bearer guess"}
    told = [client.get("/v1/models", headers=wrong).status_code for _ in range(4)]
    assert told == [401, 401, 401, 429]
    assert client.get("/v1/models", headers=BEARER).status_code == 200


def test_a_bucket_fills_up_again() -> None:
    now = [0.0]
    rate = RateLimiter(60, lambda: now[0])
    for _ in range(60):
        rate.admit("a")
    with pytest.raises(Problem) as told:
        rate.admit("a")
    assert told.value.retry_after == pytest.approx(1)
    now[0] = 1.0
    rate.admit("a")


def test_callers_that_are_silent_are_forgotten() -> None:
    rate = RateLimiter(1)
    for number in range(MAX_CALLERS + 10):
        rate.admit(str(number))
    rate.admit("0")
    with pytest.raises(Problem):
        rate.admit("0")


def test_a_body_that_states_too_much_is_refused_unread() -> None:
    answer = fake_client(max_request_mib=1).post(CHAT, content=b"x" * (2**20 + 1))
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_a_body_that_states_nothing_is_refused_once_it_is_too_large() -> None:
    read: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(100):
            read.append(number)
            yield b"x" * 2**18

    answer = fake_client(max_request_mib=1).post(CHAT, content=chunks())
    assert answer.status_code == 413


def run_by_hand(app: Any, messages: list[dict[str, Any]], path: str = CHAT) -> list[dict[str, Any]]:
    """One request over ASGI; after the last message the client says nothing more."""
    sent: list[dict[str, Any]] = []

    async def talk() -> None:
        async def receive() -> dict[str, Any]:
            if not messages:
                await asyncio.Future()
            message = messages.pop(0)
            await asyncio.sleep(message.get("after", 0))
            return message

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 5),
            "http_version": "1.1",
            "scheme": "http",
            "root_path": "",
            "server": ("localhost", 80),
        }
        await app(scope, receive, send)

    asyncio.run(talk())
    return sent


def body_of(value: Any) -> dict[str, Any]:
    return {"type": "http.request", "body": json.dumps(value).encode(), "more_body": False}


GONE = {"type": "http.disconnect"}


def test_a_body_that_trickles_is_given_up() -> None:
    app = create_app(service_with(upload_timeout=0.1))
    start, _ = run_by_hand(app, [{"type": "http.request", "body": b"{", "more_body": True}])
    assert start["status"] == 408


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_takes_its_job_along(lines: list[str], *, stream: bool) -> None:
    scheduler = FakeScheduler(holds=True)
    service = service_with(scheduler)
    messages = [body_of(asked(stream=stream)), {**GONE, "after": 0.3}]
    assert run_by_hand(create_app(service), messages) == []
    assert scheduler.tickets[0].is_cancelled
    assert service.budget.taken == 0
    assert json.loads(lines[-1])["kind"] == "client_gone"


def test_a_client_that_hangs_up_while_it_uploads_reaches_no_model() -> None:
    scheduler = FakeScheduler()
    service = service_with(scheduler)
    part = {"type": "http.request", "body": b'{"model"', "more_body": True}
    assert run_by_hand(create_app(service), [part, GONE]) == []
    assert not scheduler.jobs
    assert service.budget.taken == 0


def test_an_error_nobody_foresaw_says_nothing_of_itself(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(*_: Any) -> None:
        raise RuntimeError("prompt: my secret; file /home/me/model.py")

    scheduler = FakeScheduler()
    monkeypatch.setattr(scheduler, "submit", submit)
    answer = fake_client(scheduler).post(CHAT, json=asked())
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    everything = answer.text + "".join(lines)
    assert "secret" not in everything
    assert "/home" not in everything
    fault = json.loads(lines[0])
    assert fault["error"] == "RuntimeError"
    assert fault["where"][-1].startswith("tests.serving.test_gate.submit:")


def test_the_log_is_a_line_of_json_a_request_without_what_was_asked(lines: list[str]) -> None:
    client = client_of(service_with(keys=one_key()))
    answer = client.post(CHAT, json=asked("caption my secret"), headers=BEARER)
    (line,) = lines
    told = json.loads(line)
    assert told["request"] == answer.headers["x-request-id"]
    assert (told["method"], told["route"], told["status"]) == ("POST", CHAT, 200)
    assert (told["key"], told["task"], told["pictures"]) == ("env-1", "generate", 1)
    assert (told["prompt_tokens"], told["completion_tokens"]) == (9, 4)
    assert "secret" not in line
    assert KEY not in line


def test_the_document_has_a_route_in_the_log(lines: list[str]) -> None:
    client = fake_client()
    for path in ("/openapi.json", "/openapi.yaml"):
        client.get(path)
    assert [json.loads(line)["route"] for line in lines] == ["/openapi.json", "unmatched"]


def test_prompts_are_logged_only_where_the_operator_asks(lines: list[str]) -> None:
    fake_client(log_prompts=True).post(CHAT, json=asked("caption\nmy secret"))
    assert json.loads(lines[-1])["prompt"] == "caption\nmy secret"
    assert "\n" not in lines[-1]


def test_a_failed_model_is_an_error_in_the_log(lines: list[str]) -> None:
    scheduler = FakeScheduler(fails=ModelFailedError("tensor of /secret"))
    fake_client(scheduler).post(CHAT, json=asked())
    assert [json.loads(each)["level"] for each in lines] == ["error", "error"]
    assert "secret" not in "".join(lines)


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("127.0.0.1:8000", 200), ("[::1]:8000", 200), ("evil.example", 403)],
)
def test_a_local_server_answers_to_local_names_only(host: str, status: int) -> None:
    assert fake_client().get("/v1/models", headers={"host": host}).status_code == status


def test_a_public_server_answers_to_the_names_it_was_given() -> None:
    any_name = fake_client(host="0.0.0.0")
    assert any_name.get("/v1/models", headers={"host": "a.example"}).status_code == 200
    own_name = fake_client(host="0.0.0.0", allowed_hosts="Api.example, b.example")
    assert own_name.get("/v1/models", headers={"host": "api.example"}).status_code == 200
    assert own_name.get("/v1/models", headers={"host": "a.example"}).status_code == 403


def test_pages_of_other_sites_are_refused_and_no_permission_is_given() -> None:
    client = fake_client()
    other = {"origin": "https://evil.example"}
    for headers in (other, {"origin": "http://["}, {"origin": "null"}):
        answer = client.post("/v1/ocr", json={"image": data_uri()}, headers=headers)
        assert answer.status_code == 403
    asking = client.options(CHAT, headers={**other, "access-control-request-method": "POST"})
    assert not [name for name in asking.headers if name.startswith("access-control")]
    own = {"origin": "http://localhost:8000"}
    assert client.post("/v1/ocr", json={"image": data_uri()}, headers=own).status_code == 200


def test_unknown_addresses_and_methods_are_told_in_the_same_shape() -> None:
    client = fake_client()
    assert client.get("/nowhere").json()["error"]["code"] == "not_found"
    assert client.get(CHAT).json()["error"]["code"] == "method_not_allowed"
    assert client.get("/docs").status_code == 404


def test_an_upload_is_counted_in_the_log(lines: list[str]) -> None:
    fake_client().post("/v1/ocr", files={"image": png()})
    assert json.loads(lines[-1])["bytes_in"] > len(png())
