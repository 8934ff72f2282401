"""Two replicas of Ray Serve answer as one server does, behind one address."""

import base64
import importlib.util
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from palikit.errors import InputError
from palikit.serving.replicas import Scale
from tests import tiny

ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
START_S = 240


@pytest.mark.parametrize(("least", "most"), [(0, 1), (2, 1)])
def test_numbers_of_replicas_that_make_no_sense_are_refused(least: int, most: int) -> None:
    with pytest.raises(InputError, match="max_replicas"):
        Scale(least, most)


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Two replicas of nano, without keys."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed")
    port = free_port()
    command = ["serve", "--ray", "--replicas", "2", "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-m", "palikit", *command],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert server.stderr is not None
    for line in server.stderr:
        if "serving" in line and "replicas)" in line:
            break
    else:
        pytest.fail("the server ended before it was ready")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=120)
        assert server.returncode == 0


def question() -> dict[str, object]:
    data = io.BytesIO()
    tiny.picture(3, (64, 48)).save(data, "PNG")
    uri = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    return {"image": uri, "labels": ["circle", "star"]}


def test_both_replicas_answer_and_say_the_same(address: str) -> None:
    answers, by = [], set()
    ends = time.monotonic() + 60
    while len(by) < 2 and time.monotonic() < ends:
        reply = httpx.post(f"{address}/v1/detect", json=question(), timeout=60)
        assert reply.status_code == 200, reply.text
        by.add(reply.headers["x-replica"])
        answers.append(reply.json())
    assert len(by) == 2
    assert all(each["text"] == answers[0]["text"] for each in answers)


def test_a_replica_refuses_as_the_server_does(address: str) -> None:
    reply = httpx.post(f"{address}/v1/detect", json={"image": "file:///etc/passwd"}, timeout=60)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"]
    assert httpx.get(f"{address}/readyz", timeout=60).json()["status"] == "ready"
