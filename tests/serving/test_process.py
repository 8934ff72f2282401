"""`palikit serve` as people run it, with the official client of OpenAI, on the built-in model."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from palikit.published import BUILT_IN_FOLDER
from tests.serving.made import base64_of

SCENE = Path(__file__).resolve().parents[2] / "examples" / "scene.png"
KEY = "a-key-for-the-tests-of-the-server"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not BUILT_IN_FOLDER.is_dir(), reason="the built-in model is not there"),
]


@dataclass
class Running:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    address: str
    log: Path

    def stop(self, number: int = signal.SIGTERM, timeout: float = 60) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)


def start(folder: Path, *arguments: str) -> Running:
    log = folder / "log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "palikit", "serve", "--port", str(port), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PALIKIT_API_KEYS": KEY}
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr, text=True, env=environment)
    running = Running(process, f"http://127.0.0.1:{port}", log)
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{running.address}/readyz", timeout=5).status_code == 200:
                return running
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    process.kill()
    process.wait()
    raise AssertionError(f"the server did not start: {log.read_text()}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start(
        tmp_path_factory.mktemp("server"), "--upload-timeout", "2", "--max-request-mib", "2"
    )
    yield running
    assert running.stop() == 0


@pytest.fixture
def client(server: Running) -> Iterator[Any]:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{server.address}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def messages(text: str) -> list[Any]:
    url = f"data:image/png;base64,{base64_of(SCENE.read_bytes())}"
    picture = {"type": "image_url", "image_url": {"url": url}}
    return [{"role": "user", "content": [picture, {"type": "text", "text": text}]}]


def test_the_official_client_lists_the_model(client: Any) -> None:
    assert [each.id for each in client.models.list()] == ["nano"]
    assert client.models.retrieve("nano").id == "nano"


def test_the_official_client_gets_a_caption(client: Any) -> None:
    answer = client.chat.completions.create(
        model="nano", messages=messages("caption en"), max_tokens=40
    )
    assert answer.choices[0].message.content.startswith("a ")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_official_client_streams_what_it_would_get_whole(client: Any) -> None:
    create = client.chat.completions.create
    whole = create(model="nano", messages=messages("detect circle ; star"))
    chunks = list(
        create(
            model="nano",
            messages=messages("detect circle ; star"),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    objects = whole.choices[0].message.palikit["result"]["objects"]
    assert {each["label"] for each in objects} <= {"circle", "star"}


def test_the_official_clients_stream_helper_gathers_everything(client: Any) -> None:
    with client.chat.completions.stream(
        model="nano", messages=messages("caption en"), logprobs=True
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content
    assert final.choices[0].logprobs.content


def test_samples_are_drawn_from_their_seed(client: Any) -> None:
    def texts(seed: int) -> list[str]:
        answer = client.chat.completions.create(
            model="nano",
            messages=messages("caption en"),
            temperature=1.5,
            seed=seed,
            n=3,
            max_completion_tokens=12,
        )
        return [each.message.content for each in answer.choices]

    assert texts(1) == texts(1)
    assert texts(1)[1:] == texts(2)[:2]  # choice i takes seed + i


def test_the_official_client_raises_its_own_errors(client: Any, server: Running) -> None:
    import openai

    create = client.chat.completions.create
    with pytest.raises(openai.BadRequestError, match="calls no tools"):
        create(model="nano", messages=messages("caption en"), tools=[{"type": "function"}])
    with pytest.raises(openai.NotFoundError, match="nano"):
        create(model="gpt-4o", messages=messages("caption en"))
    stranger = openai.OpenAI(base_url=f"{server.address}/v1", api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_typed_routes_give_boxes_outlines_and_drawings(server: Running) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=server.address, headers=headers, timeout=60) as http:
        files = {"image": SCENE.read_bytes()}
        form = {"labels": "circle ; star", "masks": "polygons"}
        found = http.post("/v1/segment", files=files, data=form).json()
        assert {each["label"] for each in found["result"]["objects"]} <= {"circle", "star"}
        assert all(each["mask"] for each in found["result"]["objects"])
        drawn = http.post("/v1/detect?overlay=png", files=files, data={"labels": "star"})
        assert drawn.content.startswith(b"\x89PNG")


def connect(server: Running) -> socket.socket:
    port = int(server.address.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def head(length: int) -> bytes:
    lines = (
        "POST /v1/ocr HTTP/1.1",
        "host: localhost",
        f"authorization: Bearer {KEY}",
        "content-type: application/json",
        f"content-length: {length}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def is_well(server: Running) -> bool:
    headers = {"authorization": f"Bearer {KEY}"}
    text = httpx.get(f"{server.address}/metrics", headers=headers, timeout=30).text
    return "palikit_queue_depth 0.0" in text and "palikit_running_requests 0.0" in text


def test_an_upload_that_trickles_is_ended(server: Running) -> None:
    with connect(server) as link:
        link.sendall(head(1000) + b"{")
        answer = link.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408")
    assert is_well(server)


def test_a_body_beyond_the_bound_is_refused_before_it_is_sent(server: Running) -> None:
    with connect(server) as link:
        link.sendall(head(10**9))
        assert link.recv(4096).startswith(b"HTTP/1.1 413")
    assert is_well(server)


def test_clients_that_hang_up_leave_nothing_behind(server: Running) -> None:
    content = json.dumps({"image": base64_of(SCENE.read_bytes())}).encode()
    for sent in (head(1000)[:30], head(1000) + b"{", head(len(content)) + content):
        with connect(server) as link:
            link.sendall(sent)
    until = time.monotonic() + 20
    while not is_well(server) and time.monotonic() < until:
        time.sleep(0.05)
    assert is_well(server)


def test_the_log_is_json_without_keys_and_prompts(server: Running) -> None:
    lines = [each for each in server.log.read_text().splitlines() if each.startswith("{")]
    assert lines
    for line in lines:
        json.loads(line)
        assert KEY not in line
        assert "circle" not in line


def test_sigterm_finishes_what_runs_and_refuses_what_comes(tmp_path: Path) -> None:
    server = start(tmp_path, "--max-queue", "8")
    headers = {"authorization": f"Bearer {KEY}"}
    content = json.dumps({"image": base64_of(SCENE.read_bytes()), "labels": "circle ; star"})
    told: list[int] = []

    def ask() -> None:
        kind = {**headers, "content-type": "application/json"}
        answer = httpx.post(
            f"{server.address}/v1/segment", content=content, headers=kind, timeout=120
        )
        told.append(answer.status_code)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for each in threads:
        each.start()
    until = time.monotonic() + 30
    metrics = ""
    while "palikit_running_requests 1.0" not in metrics and time.monotonic() < until:
        metrics = httpx.get(f"{server.address}/metrics", headers=headers, timeout=30).text
    server.process.send_signal(signal.SIGTERM)
    refused = None
    with suppress(httpx.TransportError):  # it may be through already
        refused = httpx.get(f"{server.address}/readyz", timeout=10)
    for each in threads:
        each.join()
    assert server.process.wait(60) == 0
    assert set(told) <= {200, 503}
    assert 200 in told
    assert refused is None or refused.status_code in (200, 503)
    assert "stopped" in server.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "70000"], "--port is 70000"),
        (["--model", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--api-keys", "/nowhere"], "cannot be read"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--max-queue", "0"], "--max-queue is 0"),
    ],
)
def test_a_server_that_cannot_start_says_why(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "palikit", "serve", "--port", "0", *arguments]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("error: ") == 1
