"""Whether a server stays what it was over many requests, and what it does with too many.

    python -m benchmarks.serving.endurance --write
    python -m benchmarks.serving.endurance --only overload --write

Endurance: requests of the six typed routes about a number of pictures, from 16 clients of another
process. Each carries an id of its own; its answer has to bear that id, the server's log has to hold
it once, and the same question has to get the same answer every time. Memory is read after the
first tenth and at the end: by then the cache of features, bounded on purpose, is full.

Overload: a short queue, and far more clients than have room. Those refused try again a little
later; how long each refusal took is measured where it is waited for.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.load import questions
from benchmarks.serving.process import (
    Answer,
    Client,
    Memory,
    Served,
    environment,
    is_same,
    keep,
    percentile,
    serving,
    table,
    until_idle,
)

CLIENTS = 16
CACHE_MIB = 16
"""Of features: fewer than the pictures have, so that some go and others come all the time."""

PICTURES = 300
CROWD = 48
"""Clients that ask at a time where QUEUE may wait and BATCH are answered."""

QUEUE, BATCH = 8, 4
PAUSE_SECONDS = 0.05


@dataclass
class Kept:
    """What came of the requests of an endurance run."""

    statuses: Counter[int] = field(default_factory=Counter)
    first: dict[int, Answer] = field(default_factory=dict)
    """Answers by question, as they came the first time."""
    other_ids: int = 0
    other_answers: int = 0

    def count(self, question: int, request_id: str, answer: Answer) -> None:
        self.statuses[answer.status] += 1
        self.other_ids += answer.headers.get("x-request-id") != request_id
        self.other_answers += not is_same(self.first.setdefault(question, answer), answer)


async def endure(served: Served, number: int) -> tuple[Kept, dict[int, Memory]]:
    """So many requests; memory when a tenth and when all of them had been answered."""
    asked = questions(PICTURES * 6, seed=3, per_picture=6)
    draw, kept, memory = random.Random(4), Kept(), {}
    waiting = iter([(f"r{n}", draw.randrange(len(asked))) for n in range(number)])

    async def client() -> None:
        link = Client(served.port)
        for request_id, question in waiting:
            body = asked[question].body
            answer = await link.ask(asked[question].path, body, x_request_id=request_id)
            kept.count(question, request_id, answer)
            done = kept.statuses.total()
            if done in (number // 10, number):
                memory[done] = served.memory()
            if done % 500 == 0:
                print(done, served.memory(), flush=True)
        link.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    if not await until_idle(Client(served.port)):
        raise SystemExit("the queue did not become empty")
    return kept, memory


def endurance(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The result and the part of the page."""
    began, before = time.monotonic(), environment()
    bounds = ("--image-cache-mib", str(CACHE_MIB))
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "log", *of_model(args), *bounds) as served,
    ):
        kept, memory = asyncio.run(endure(served, args.requests))
        lines = Counter(line["request"] for line in served.lines() if "route" in line)
    logged = [lines[f"r{n}"] for n in range(args.requests)]
    (early_at, early), (late_at, late) = sorted(memory.items())
    growth = {name: 100 * (asdict(late)[name] / value - 1) for name, value in asdict(early).items()}
    rows = [
        ("requests sent", args.requests),
        ("answered with 200", kept.statuses[200]),
        ("answered with anything else", kept.statuses.total() - kept.statuses[200]),
        ("answers with another id", kept.other_ids),
        ("ids not in the log, or more than once", sum(each != 1 for each in logged)),
        ("answers unlike the first to the same question", kept.other_answers),
        *(
            (
                f"{name} after {early_at:,} and {late_at:,}",
                f"{asdict(early)[key]:.0f} and {asdict(late)[key]:.0f} MiB ({growth[key]:+.2f} %)",
            )
            for name, key in (("RSS", "rss_mib"), ("PSS", "pss_mib"))
        ),
    ]
    result = {
        "environment": before,
        "seconds": round(time.monotonic() - began),
        "rows": [list(row) for row in rows],
        "memory": {count: asdict(each) for count, each in memory.items()},
    }
    return result, table(("endurance", ""), rows)


@dataclass
class Refused:
    """What came of the requests of a crowd: milliseconds of answers by their status."""

    ms: dict[int, list[float]] = field(default_factory=dict)
    without_retry_after: int = 0

    def count(self, answer: Answer, ms: float) -> None:
        self.ms.setdefault(answer.status, []).append(ms)
        if answer.status == 429:
            self.without_retry_after += not answer.headers.get("retry-after", "").isdigit()


async def crowd(served: Served, number: int) -> Refused:
    """A crowd that goes on until so many requests have been refused."""
    asked, draw, seen = questions(60, seed=5), random.Random(6), Refused()

    async def client() -> None:
        link = Client(served.port)
        await asyncio.sleep(draw.random() * PAUSE_SECONDS * CROWD / 8)
        while len(seen.ms.get(429, ())) < number:
            question = draw.choice(asked)
            began = time.perf_counter()
            answer = await link.ask(question.path, question.body)
            seen.count(answer, (time.perf_counter() - began) * 1e3)
            await asyncio.sleep(PAUSE_SECONDS * (CROWD / 8) * (0.5 + draw.random()))
        link.close()

    await asyncio.gather(*(client() for _ in range(CROWD)))
    if not await until_idle(Client(served.port)):
        raise SystemExit("the queue did not become empty")
    return seen


def overload(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The result and the part of the page."""
    before = environment()
    bounds = ("--max-queue", str(QUEUE), "--max-batch", str(BATCH), "--image-cache-mib", "0")
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "log", *of_model(args), *bounds) as served,
    ):
        seen = asyncio.run(crowd(served, args.refused))
    others = {status: len(ms) for status, ms in seen.ms.items() if status not in (200, 429)}
    rows = [
        ("clients, places in the queue, in the batch", f"{CROWD}, {QUEUE}, {BATCH}"),
        ("answered with 200", len(seen.ms.get(200, ()))),
        ("refused with 429", len(seen.ms[429])),
        ("answered with anything else", sum(others.values())),
        ("429 without Retry-After", seen.without_retry_after),
        *(
            (f"a refusal takes, {name}", f"{percentile(seen.ms[429], share):.1f} ms")
            for name, share in (("median", 0.5), ("99 % within", 0.99), ("longest", 1.0))
        ),
    ]
    result = {"environment": before, "rows": [list(row) for row in rows], "others": others}
    return result, table(("overload", ""), rows)


def of_model(args: argparse.Namespace) -> tuple[str, ...]:
    return ("--model", args.model, "--dtype", args.dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--requests", type=int, default=10_000, help="of the endurance run")
    parser.add_argument("--refused", type=int, default=2_000, help="of the overload")
    parser.add_argument("--only", choices=("endurance", "overload"))
    parser.add_argument("--write", action="store_true", help="into the page and the results")
    args = parser.parse_args()
    for name, part in (("endurance", endurance), ("overload", overload)):
        if args.only in (None, name):
            keep(name, *part(args), write=args.write)


if __name__ == "__main__":
    main()
