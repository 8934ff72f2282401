"""A server in a process of its own, and a client that costs little beside it.

The client writes requests that are bytes already and reads answers by their Content-Length: a
library for everything would take more of two processors than some answers do.
"""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from benchmarks.page_parts import write_part

PAGE = Path(__file__).resolve().parents[2] / "docs" / "serving.md"
RESULTS = Path(__file__).resolve().parents[1] / "results" / "serving"
START_SECONDS = 180.0
QUIET_SECONDS = 60.0
SCORE_TOLERANCE = 1e-4
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Answer:
    """Of HTTP; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True)
class Memory:
    """Of a process: resident, and resident with shared pages counted in parts."""

    rss_mib: float
    pss_mib: float


@dataclass
class Served:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> Memory:
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        sizes = dict(re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE))
        return Memory(*(round(int(sizes[name]) / 1024, 1) for name in ("Rss", "Pss")))

    def processor_seconds(self) -> float:
        """Of all its threads so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(120)

    def lines(self) -> list[dict[str, Any]]:
        """The log, as far as it is written."""
        text = self.log.read_text()
        return [json.loads(each) for each in text.splitlines() if each.startswith("{")]


@dataclass
class Client:
    """One connection, opened again where it was closed; one request at a time."""

    port: int
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None)

    async def ask(self, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """`content_type` and the like become headers; a body is JSON unless they say otherwise."""
        reader, writer = self._streams = self._streams or await asyncio.open_connection(
            "127.0.0.1", self.port
        )
        try:
            writer.write(request_bytes(path, body, **headers))
            await writer.drain()
            answer = await read_answer(reader)
        except BaseException:
            self.close()
            raise
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    async def trickle(self, head: bytes, body: bytes, seconds: float) -> Answer:
        """A body byte by byte, with a pause before each, until there is an answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head)
        answer = asyncio.ensure_future(read_answer(reader))
        for byte in body:
            writer.write(bytes([byte]))
            await asyncio.wait({answer}, timeout=seconds)
            if answer.done():
                break
        writer.close()
        return await answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def request_bytes(path: str, body: bytes | None = None, **headers: str) -> bytes:
    """A whole request."""
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "host: localhost"]
    if body is not None:
        headers = {"content_type": "application/json", "content_length": str(len(body))} | headers
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """An answer with a Content-Length, or one that ends with its connection or its chunks."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value
        for name, _, value in (line.partition(": ") for line in head[1:] if line)
    }
    if "content-length" in headers:
        content = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        content = await _read_chunks(reader)
    else:
        content = await reader.read()
    return Answer(int(head[0].split()[1]), headers, content)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    content = b""
    while size := int(await reader.readline(), 16):
        content += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return content


def status_of(port: int, path: str) -> int:
    """Of a GET, where no event loop runs, or where one may be held up."""
    link = HTTPConnection("127.0.0.1", port, timeout=30)
    with closing(link):
        link.request("GET", path)
        return link.getresponse().status


def is_same(one: Answer, other: Answer) -> bool:
    """Whether two answers tell the same: scores may differ where others shared the batch."""
    return one.status == other.status and _is_same(one.json(), other.json())


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= SCORE_TOLERANCE
    return bool(one == other)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    log: Path, *arguments: str, module: Sequence[str] = ("palikit", "serve"), port: int = 0
) -> Served:
    """Starts a server and waits until it is ready."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is ended, too
    port = port or free_port()
    command = [sys.executable, "-m", *module, "--port", str(port), *arguments]
    with log.open("ab") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
    served = Served(process, port, log)
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError, HTTPException):
            if status_of(port, "/readyz") == 200:
                return served
        time.sleep(0.1)
    process.kill()
    raise SystemExit(f"the server did not start:\n{log.read_text()[-2000:]}")


@contextmanager
def serving(log: Path, *arguments: str, **options: Any) -> Iterator[Served]:
    """A server for as long as the block takes."""
    served = start(log, *arguments, **options)
    try:
        yield served
    finally:
        served.stop()


async def gauges(client: Client) -> dict[str, float]:
    """The server's metrics without labels, by their names."""
    text = (await client.ask("/metrics")).content.decode()
    found = re.findall(r"^palikit_(\w+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


async def until_idle(client: Client) -> bool:
    """Whether the queue and the batch become empty."""
    until = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < until:
        now = await gauges(client)
        if now["queue_depth"] == now["running_requests"] == 0:
            return True
        await asyncio.sleep(0.05)
    return False


def environment() -> dict[str, object]:
    """What a measurement depends on."""
    return {
        "processors": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Of Markdown."""
    lines = [list(head), ["---"] * len(head), *([str(each) for each in row] for row in rows)]
    return "\n".join(f"| {' | '.join(each.replace('|', '/') for each in line)} |" for line in lines)


def keep(name: str, result: dict[str, Any], text: str, *, write: bool) -> None:
    """Prints a part of the page; with `write` puts it there, and the figures among the results."""
    print(f"\n{text}")
    if write:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        write_part(PAGE, f"serving {name}", text)
