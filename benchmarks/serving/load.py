"""What sharing the model brings, and what it costs who asks alone.

    python -m benchmarks.serving.load --write
    python -m benchmarks.serving.load --dtype float32 --image-cache-mib 256 --per-picture 4
    python -m benchmarks.serving.load --scheduler

A server runs in a process of its own, and this one sends. Throughput: the same requests (the six
typed routes in turn; each about another picture unless `--per-picture` says otherwise) from 1, 4,
16 and 32 clients, each of which sends its next request when it has its answer; the ratio is to one
client, and every figure the median of several turns, in each of which all numbers of clients have
theirs. Processor time is the server's, all threads together: it says what a request costs where the
clock has others to serve, too. Latency: one client, request by request in turn to the bare
predictor in this process and to the server, and the difference of each pair. Features of pictures
are not kept unless `--image-cache-mib` says so, so that nothing is answered from memory.

With --scheduler there is neither HTTP nor a second process: the scheduler by itself.
"""

import argparse
import asyncio
import base64
import io
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, astuple, dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from benchmarks.serving.process import Client, environment, keep, percentile, serving, table

from palikit import tasks
from palikit.loading import load
from palikit.nano.scenes import draw_scene
from palikit.options import GenerationOptions
from palikit.predictor import Predictor
from palikit.request import Request
from palikit.serving.jobs import Job
from palikit.serving.scheduler import Scheduler

CONCURRENCIES = (1, 4, 16, 32)
OPTIONS = GenerationOptions(max_new_tokens=64)
LABELS = "circle ; square ; star"
ROUTES = (
    ("caption", tasks.caption(), {}),
    ("describe", tasks.describe(), {}),
    ("answer", tasks.answer("how many circles?"), {"question": "how many circles?"}),
    ("ocr", tasks.ocr(), {}),
    ("detect", tasks.detect(LABELS), {"labels": LABELS}),
    ("segment", tasks.segment(LABELS), {"labels": LABELS}),
)
WARM_UPS = 12


@dataclass(frozen=True)
class Question:
    """A request in both forms."""

    request: Request
    content: bytes
    path: str
    body: bytes


@dataclass(frozen=True)
class Rate:
    """What so many clients got."""

    clients: int
    requests: int
    per_second: float
    p50_ms: float
    p95_ms: float
    processor_ms: float


Ask: TypeAlias = Callable[[Question], Awaitable[None]]
Opened: TypeAlias = tuple[Callable[[], Ask], Callable[[], float]]
"""Makes a client; seconds of processor time that have been spent for all."""


def questions(number: int, seed: int, per_picture: int = 1) -> list[Question]:
    """The six routes in turn, about pictures that differ with the seed."""
    made = []
    for n in range(number):
        if n % per_picture == 0:
            picture, file = draw_scene(seed * 10**6 + n // per_picture).picture, io.BytesIO()
            picture.save(file, "PNG")
        route, task, fields = ROUTES[n % len(ROUTES)]
        image = base64.b64encode(file.getvalue()).decode()
        body = {"image": image, "max_new_tokens": OPTIONS.max_new_tokens, **fields}
        request = Request((picture,), task, "-")
        made.append(Question(request, file.getvalue(), f"/v1/{route}", json.dumps(body).encode()))
    return made


@asynccontextmanager
async def scheduled(predictor: Predictor, args: argparse.Namespace) -> AsyncIterator[Opened]:
    """The scheduler by itself."""
    served = Scheduler(predictor, max_queue=1024, image_cache_bytes=args.image_cache_mib * 2**20)

    async def ask(question: Question) -> None:
        await served.submit(Job("-", question.request, OPTIONS, None)).result()

    try:
        yield lambda: ask, time.process_time
    finally:
        served.close()


@asynccontextmanager
async def over_http(args: argparse.Namespace) -> AsyncIterator[Opened]:
    """A server in another process; each client has a connection."""
    arguments = ("--model", args.model, "--dtype", args.dtype, "--max-queue", "1024")
    cache = ("--image-cache-mib", str(args.image_cache_mib))
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "log", *arguments, *cache) as served,
    ):

        async def ask(client: Client, question: Question) -> None:
            answer = await client.ask(question.path, question.body)
            if answer.status != 200:
                raise SystemExit(f"{answer.status}: {answer.content.decode()}")

        yield lambda: partial(ask, Client(served.port)), served.processor_seconds


async def throughput(opened: Opened, asked: list[Question], clients: int) -> Rate:
    """All requests, by so many clients."""
    new_client, spent = opened
    waiting, latencies = iter(asked), []

    async def client(ask: Ask) -> None:
        for question in waiting:
            began = time.perf_counter()
            await ask(question)
            latencies.append((time.perf_counter() - began) * 1e3)

    before, began = spent(), time.perf_counter()
    await asyncio.gather(*(client(new_client()) for _ in range(clients)))
    seconds, after = time.perf_counter() - began, spent()
    each = 1e3 * (after - before) / len(asked)
    p50, p95 = (round(percentile(latencies, share), 1) for share in (0.5, 0.95))
    return Rate(clients, len(asked), round(len(asked) / seconds, 2), p50, p95, round(each, 1))


async def added(
    ask: Ask, bare: Callable[[Question], object], asked: list[Question]
) -> list[tuple[float, float]]:
    """Milliseconds of the bare predictor and of what is measured, in turn."""
    pairs = []
    for question in asked:
        began = time.perf_counter()
        bare(question)
        middle = time.perf_counter()
        await ask(question)
        pairs.append(((middle - began) * 1e3, (time.perf_counter() - middle) * 1e3))
    return pairs


async def measure(
    args: argparse.Namespace, predictor: Predictor
) -> tuple[list[tuple[float, float]], list[Rate]]:
    """Pairs of latencies, and throughputs."""
    asked = questions(args.requests, 1, args.per_picture)
    warm = questions(WARM_UPS, seed=2)

    def bare(question: Question) -> object:
        if args.scheduler:
            return predictor.predict([question.request], OPTIONS)
        return predictor.ask(question.content, question.request.task, OPTIONS)

    where = scheduled(predictor, args) if args.scheduler else over_http(args)
    async with where as opened:
        for question in warm:
            bare(question)
        await throughput(opened, warm, 8)
        pairs = await added(opened[0](), bare, asked[: args.pairs])
        rates = []
        for _ in range(args.turns):
            for clients in args.concurrency:
                # Enough for one client to be measured; the others share more.
                part = asked if clients > 1 else asked[: max(1, len(asked) // 4)]
                rates.append(await throughput(opened, part, clients))
                print(rates[-1], flush=True)
        return pairs, rates


def medians(rates: list[Rate]) -> list[Rate]:
    """One for each number of clients."""
    turns: dict[int, list[Rate]] = defaultdict(list)
    for each in rates:
        turns[each.clients].append(each)
    return [
        Rate(*(statistics.median(figures) for figures in zip(*map(astuple, each), strict=True)))
        for each in turns.values()
    ]


def told(pairs: list[tuple[float, float]], rates: list[Rate], args: argparse.Namespace) -> str:
    """The part of the page."""
    bare, whole = (statistics.median(side) for side in zip(*pairs, strict=True))
    more = statistics.median(whole - bare for bare, whole in pairs)
    middle = medians(rates)
    rows = [
        (
            f"{each.clients:.0f}",
            f"{each.requests:.0f}",
            f"{each.per_second:.1f}",
            f"{each.per_second / middle[0].per_second:.2f}",
            f"{each.p50_ms:.0f} ms",
            f"{each.p95_ms:.0f} ms",
            f"{each.processor_ms:.1f} ms",
        )
        for each in middle
    ]
    head = "clients | requests | a second | ratio | median | 95 % within | processor a request"
    conditions = (
        f"`{args.model}` in {args.dtype}, the six typed routes in turn, {args.per_picture} "
        f"question(s) about each picture, {args.image_cache_mib} MiB of features kept; medians of "
        f"{args.turns} turns. One client "
        f"waits {whole:.1f} ms at the median where the bare predictor takes {bare:.1f} ms; of the "
        f"pairs, the difference is {more:.2f} ms."
    )
    return f"{table(head.split(' | '), rows)}\n\n{conditions}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--scheduler", action="store_true", help="without HTTP, in this process")
    parser.add_argument("--requests", type=int, default=480)
    parser.add_argument("--pairs", type=int, default=120)
    parser.add_argument("--concurrency", type=int, nargs="+", default=CONCURRENCIES)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--per-picture", type=int, default=1, help="questions about each picture")
    parser.add_argument("--image-cache-mib", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="into the page and the results")
    parser.add_argument("--part", default="load", help="of the page")
    args = parser.parse_args()
    before = environment()
    pairs, rates = asyncio.run(measure(args, load(args.model, dtype=args.dtype)))
    result = {
        "arguments": vars(args),
        "environment": before,
        "pairs_ms": [[round(each, 2) for each in pair] for pair in pairs],
        "rates": [asdict(each) for each in rates],
    }
    keep(args.part, result, told(pairs, rates, args), write=args.write)


if __name__ == "__main__":
    main()
