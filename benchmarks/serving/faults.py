"""Faults, each tried against a running server, and how the server is after each.

    pip install schemathesis requests
    python -m benchmarks.serving.faults --write

After a fault: whether /healthz says ok, whether a question asked before gets the very answer it got
then, whether queue and batch are empty, and the server's memory (PSS) before and after. The model
is made to raise by a program of this folder that is `palikit` but for one method; nothing else is
simulated.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.serving import fault_cases as cases
from benchmarks.serving.fault_cases import ASKED, REFERENCE, UPLOAD_SECONDS, Fault, ask_all
from benchmarks.serving.process import (
    Answer,
    Client,
    Served,
    environment,
    is_same,
    keep,
    start,
    table,
    until_idle,
)

WARM_UPS = 4
"""Times all questions are asked before the first fault: the program is as large as it gets."""

TRIM_SECONDS = 3.0
"""The server returns the memory of large requests a moment after the last."""


@dataclass(frozen=True)
class Row:
    """A fault and how the server was after it."""

    fault: str
    happened: str
    healthy: bool
    answer_right: bool
    queue_empty: bool
    mib_before: float
    mib_after: float

    @property
    def is_well(self) -> bool:
        return self.healthy and self.answer_right and self.queue_empty


class Trial:
    """A server that faults are tried on, started again where one has ended it."""

    def __init__(self, folder: Path, args: argparse.Namespace) -> None:
        self._folder = folder
        self._arguments = ("--model", args.model, "--dtype", args.dtype, "--max-request-mib", "8")
        self.rows: list[Row] = []
        self.served = self._start()

    def _start(self, port: int = 0) -> Served:
        arguments = (*self._arguments, "--upload-timeout", str(UPLOAD_SECONDS))
        module = ("benchmarks.serving.failing", "serve")
        return start(self._folder / "log", *arguments, module=module, port=port)

    async def warm(self) -> None:
        for _ in range(WARM_UPS):
            answers = await ask_all(self.served, ASKED)
            if not all(isinstance(each, Answer) and each.status == 200 for each in answers):
                raise SystemExit(f"the server does not answer: {cases.told(answers)}")
        self._expected = answers[ASKED.index(REFERENCE)]

    async def attempt(self, name: str, fault: Fault) -> None:
        before = self.served.memory().pss_mib
        happened = await fault(self.served)
        if self.served.process.poll() is not None:
            began = time.monotonic()
            self.served = await asyncio.to_thread(self._start, self.served.port)
            seconds = time.monotonic() - began
            happened += f"; started again on the same port, ready after {seconds:.1f} s"
        client = Client(self.served.port)
        queue_empty = await until_idle(client)
        healthy = (await client.ask("/healthz")).status == 200
        answer = await client.ask(REFERENCE.path, REFERENCE.body)
        right = answer.status == 200 and is_same(answer, self._expected)
        await asyncio.sleep(TRIM_SECONDS)
        after = self.served.memory().pss_mib
        self.rows.append(Row(name, happened, healthy, right, queue_empty, before, after))
        print(self.rows[-1], flush=True)


async def try_all(trial: Trial, number: int, only: str) -> None:
    await trial.warm()
    faults: dict[str, Fault] = {
        "client hangs up mid-upload": cases.mid_upload,
        "client hangs up before the first token": cases.before_first_token,
        "client hangs up mid-stream": cases.mid_stream,
        "body that trickles": cases.slow_bodies,
        "head that trickles": cases.slow_heads,
        "model raises in one step": cases.raises_once,
        "model raises in every step": cases.raises_always,
        f"{number:,} malformed bodies": lambda served: cases.malformed(served, number),
        "decompression bombs": cases.bombs,
        "SIGTERM under load": cases.sigterm,
        "kill -9 under load": cases.kill,
    }
    for name, fault in faults.items():
        if only in name:
            await trial.attempt(name, fault)


def part(rows: list[Row]) -> str:
    """Of the page."""
    words = {True: "yes", False: "NO"}
    lines = [
        (
            each.fault,
            each.happened,
            words[each.healthy],
            words[each.answer_right],
            words[each.queue_empty],
            f"{each.mib_before:.0f}, {each.mib_after:.0f}",
        )
        for each in rows
    ]
    head = ("fault", "what happened", "healthy", "next answer right", "queue empty", "MiB")
    return table(head, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--malformed", type=int, default=1_000, help="bodies")
    parser.add_argument("--only", default="", help="faults with this in their name")
    parser.add_argument("--write", action="store_true", help="into the page and the results")
    args = parser.parse_args()
    before, folder = environment(), Path(tempfile.mkdtemp())
    trial = Trial(folder, args)
    try:
        asyncio.run(try_all(trial, args.malformed, args.only))
    finally:
        trial.served.stop()
    result = {"environment": before, "rows": [asdict(each) for each in trial.rows]}
    keep("faults", result, part(trial.rows), write=args.write)
    if not all(each.is_well for each in trial.rows):
        raise SystemExit(f"not well after every fault; the log is in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
