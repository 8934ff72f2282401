"""What sharing the model brings, and what it costs who asks alone.

    python benchmarks/serving_load.py --model nano
    python benchmarks/serving_load.py --model nano --http

Throughput: the same requests (captions, questions, texts, boxes; each about another picture unless
`--per-picture` says otherwise) from 1, 4, 16 and 32 clients, each of which sends its next request
when it has its answer; the ratio is to one client. Latency: one client, request by request in turn
to the bare predictor and to what is measured, and the difference of each pair. Features of pictures
are not kept unless `--image-cache-mib` says so, so that nothing is answered from memory.

Without --http the scheduler runs in this process. With it a server runs in a process of its own,
this one sends, and the bare predictor is given the same bytes.
"""

import argparse
import asyncio
import base64
import io
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import httpx
import torch

from palikit import tasks
from palikit.loading import load
from palikit.nano.scenes import draw_scene
from palikit.options import GenerationOptions
from palikit.predictor import Predictor
from palikit.request import Request
from palikit.serving.jobs import Job
from palikit.serving.scheduler import Scheduler

CONCURRENCIES = (1, 4, 16, 32)
START_SECONDS = 120.0
OPTIONS = GenerationOptions(max_new_tokens=64)


@dataclass(frozen=True)
class Question:
    """A request in both forms."""

    request: Request
    content: bytes
    route: str
    body: dict[str, object]


Ask: TypeAlias = Callable[[Question], Awaitable[None]]


def questions(number: int, seed: int, per_picture: int = 1) -> list[Question]:
    draw = random.Random(seed)
    kinds = (
        ("caption", tasks.caption(), {}),
        ("ocr", tasks.ocr(), {}),
        ("detect", tasks.detect("circle ; square"), {"labels": "circle ; square"}),
        ("answer", tasks.answer("how many circles?"), {"question": "how many circles?"}),
    )
    made = []
    for n in range(number):
        picture, file = draw_scene(seed * 10**6 + n // per_picture).picture, io.BytesIO()
        picture.save(file, "PNG")
        route, task, fields = draw.choice(kinds)
        image = base64.b64encode(file.getvalue()).decode()
        body = {"image": image, "max_new_tokens": OPTIONS.max_new_tokens, **fields}
        made.append(Question(Request((picture,), task, "-"), file.getvalue(), route, body))
    return made


@asynccontextmanager
async def scheduled(predictor: Predictor, args: argparse.Namespace) -> AsyncIterator[Ask]:
    """The scheduler by itself."""
    served = Scheduler(predictor, max_queue=1024, image_cache_bytes=args.image_cache_mib * 2**20)

    async def ask(question: Question) -> None:
        await served.submit(Job("-", question.request, OPTIONS, None)).result()

    try:
        yield ask
    finally:
        served.close()


@asynccontextmanager
async def over_http(args: argparse.Namespace) -> AsyncIterator[Ask]:
    """A server in another process."""
    limits = httpx.Limits(max_connections=64)
    with server(args) as address:
        async with httpx.AsyncClient(base_url=address, timeout=600, limits=limits) as client:
            await ready(client)

            async def ask(question: Question) -> None:
                answer = await client.post(f"/v1/{question.route}", json=question.body)
                answer.raise_for_status()

            yield ask


@contextmanager
def server(args: argparse.Namespace) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = (
        *(sys.executable, "-m", "palikit", "serve", "--model", args.model, "--port", str(port)),
        *("--dtype", args.dtype, "--max-queue", "1024"),
        *("--image-cache-mib", str(args.image_cache_mib)),
    )
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


async def ready(client: httpx.AsyncClient) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if (await client.get("/readyz")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit("the server did not become ready")


async def throughput(ask: Ask, asked: list[Question], clients: int) -> tuple[float, list[float]]:
    """Seconds of all requests together, and of each."""
    waiting, latencies = iter(asked), []

    async def client() -> None:
        for question in waiting:
            began = time.perf_counter()
            await ask(question)
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return time.perf_counter() - began, latencies


async def added(
    ask: Ask, bare: Callable[[Question], object], asked: list[Question]
) -> list[tuple[float, float]]:
    """Seconds of the bare predictor and of what is measured, in turn."""
    pairs = []
    for question in asked:
        began = time.perf_counter()
        bare(question)
        middle = time.perf_counter()
        await ask(question)
        pairs.append((middle - began, time.perf_counter() - middle))
    return pairs


async def measure(args: argparse.Namespace) -> None:
    predictor = load(args.model, dtype=args.dtype)
    asked = questions(args.requests, 1, args.per_picture)
    warm = questions(8, seed=2)

    def bare(question: Question) -> object:
        if args.http:
            return predictor.ask(question.content, question.request.task, OPTIONS)
        return predictor.predict([question.request], OPTIONS)

    async with over_http(args) if args.http else scheduled(predictor, args) as ask:
        for question in warm:
            bare(question)
        await throughput(ask, warm, 8)
        tell_latency(await added(ask, bare, asked[: args.pairs]))
        alone = None
        for clients in args.concurrency:
            # Enough for one client to be measured; the others share more.
            part = asked if clients > 1 else asked[: max(1, len(asked) // 4)]
            seconds, latencies = await throughput(ask, part, clients)
            rate = len(part) / seconds
            alone = alone or rate
            tell_throughput(clients, rate, alone, sorted(latencies))


def tell_latency(pairs: list[tuple[float, float]]) -> None:
    bare, whole = (statistics.median(side) * 1e3 for side in zip(*pairs, strict=True))
    differences = [(whole - bare) * 1e3 for bare, whole in pairs]
    print(f"one client       bare {bare:.1f} ms, measured {whole:.1f} ms")
    print(f"added            {statistics.median(differences):.2f} ms at the median")


def tell_throughput(clients: int, rate: float, alone: float, latencies: list[float]) -> None:
    p50, p95 = (latencies[int(len(latencies) * share)] * 1e3 for share in (0.5, 0.95))
    print(
        f"{clients:3} clients      {rate:7.1f} requests/s   ratio {rate / alone:5.2f}   "
        f"p50 {p50:.0f} ms   p95 {p95:.0f} ms",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--concurrency", type=int, nargs="+", default=CONCURRENCIES)
    parser.add_argument("--per-picture", type=int, default=1, help="questions about each picture")
    parser.add_argument("--image-cache-mib", type=int, default=0)
    args = parser.parse_args()
    where = "over HTTP" if args.http else "scheduler alone"
    print(f"{args.model}, {args.dtype}, {where}, {torch.get_num_threads()} threads")
    print(f"{os.cpu_count()} processors, load before {os.getloadavg()[0]:.1f}")
    asyncio.run(measure(args))


if __name__ == "__main__":
    main()
