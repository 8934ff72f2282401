"""One process that loads one engine, measures one case, and prints one line of JSON.

    python -m benchmarks.speed.worker --engine palikit-int8 --checkpoint DIR --case caption-224-1

`python -m benchmarks.speed` starts it. The first call is the warm-up and is told apart; after it
every call has pictures that the process has not seen, so that nothing can be kept for it.
"""

import argparse
import gc
import importlib
import itertools
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from benchmarks.speed.cases import CASES, ENGINES, QUESTIONS, Case, case_named, engine_named
from benchmarks.speed.machine import read_compiled
from benchmarks.speed.measurement import Decoded, LoadedEngine, Measurement
from benchmarks.speed.photos import open_pictures
from PIL.Image import Image


def main() -> None:
    args = arguments()
    engine, case = engine_named(args.engine), case_named(args.case)
    pictures = open_pictures(args.pictures)
    try:
        module = importlib.import_module(f"benchmarks.speed.engines.{engine.library}_engine")
        for name in engine.imports:
            importlib.import_module(name)
        start = time.perf_counter()
        loaded = module.load(args.checkpoint, engine, args.device)
        load_seconds = seconds_since(start, args.device)
    except ModuleNotFoundError as error:
        sys.exit(f"{engine.name} needs a package that is not installed: {error.name}")
    measured = measure(loaded, case, args, Supply(pictures))
    result = replace(
        measured,
        load_seconds=load_seconds,
        peak_bytes=peak_bytes(),
        peak_device_bytes=peak_device_bytes(args.device),
        threads=torch.get_num_threads(),
        attention=loaded.attention,
    )
    print(json.dumps(asdict(result)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", required=True, choices=[engine.name for engine in ENGINES])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--case", required=True, choices=[case.name for case in CASES])
    parser.add_argument("--pictures", type=Path, required=True, help="a folder")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--grammar", action="store_true", help="of boxes")
    parser.add_argument("--runs", type=int, default=3, help="calls of each kind")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--read-bytes", type=int, default=0, help="beside each run of decoding")
    return parser.parse_args()


class Supply:
    """Pictures in turn, each time as a new object."""

    def __init__(self, pictures: list[Image]) -> None:
        self._pictures = pictures
        self._next = 0

    def take(self, count: int) -> list[Image]:
        """The next pictures, from the beginning again after the last."""
        places = range(self._next, self._next + count)
        self._next += count
        return [self._pictures[place % len(self._pictures)].copy() for place in places]


def measure(
    engine: LoadedEngine, case: Case, args: argparse.Namespace, supply: Supply
) -> Measurement:
    """Everything but loading and memory."""
    if case.kind == "questions":
        return measure_questions(engine, case, args, supply)
    prompts = [case.prompt] * args.batch
    prepared = engine.prepare(supply.take(args.batch), prompts)
    calls = []
    for _ in range(1 + args.runs):
        pictures = supply.take(args.batch)
        calls.append(timed(partial(engine.first_token, pictures, case.prompt), args.device))
    runs: list[Decoded] = []
    reads = [read_rate(args)]
    for _ in range(args.runs):
        pictures = supply.take(args.batch)
        gc.collect()
        if case.kind == "detect":
            runs.append(engine.decode_boxes(pictures[0], case.tokens, is_steered=args.grammar))
        else:
            runs.append(engine.decode(pictures, case.prompt, case.tokens))
        reads.append(read_rate(args))
    by_total = case.kind == "detect"  # forced tokens make steps of different sizes
    return Measurement(
        cold_first_token_seconds=calls[0],
        first_token_seconds=calls[1:],
        decode_tokens_per_second=[r.total_rate() if by_total else r.median_rate() for r in runs],
        reads_beside=[max(pair) for pair in itertools.pairwise(reads) if all(pair)],
        step_seconds=[[round(seconds, 6) for seconds in run.step_seconds] for run in runs],
        step_tokens=[run.step_tokens for run in runs],
        prompt_ids=prepared.prompt_ids,
        pixel_mean=prepared.pixel_mean,
        pixel_std=prepared.pixel_std,
        output=runs[0].ids,
    )


def measure_questions(
    engine: LoadedEngine, case: Case, args: argparse.Namespace, supply: Supply
) -> Measurement:
    """All questions of one picture, a new picture each time."""
    prompts, tokens = QUESTIONS[: case.batch], case.tokens
    prepared = engine.prepare(supply.take(1) * len(prompts), prompts)
    (picture,) = supply.take(1)
    cold = timed(partial(engine.first_token, [picture], prompts[0]), args.device)
    seconds = []
    for _ in range(args.runs):
        (picture,) = supply.take(1)
        seconds.append(timed(partial(check, engine, picture, prompts, tokens), args.device))
    return Measurement(
        cold_first_token_seconds=cold,
        whole_seconds=seconds,
        prompt_ids=prepared.prompt_ids,
        pixel_mean=prepared.pixel_mean,
        pixel_std=prepared.pixel_std,
    )


def check(engine: LoadedEngine, picture: Image, prompts: tuple[str, ...], tokens: int) -> None:
    """Answers of exactly so many tokens, or the times compare different work."""
    made = engine.answer(picture, prompts, tokens)
    if made != len(prompts) * tokens:
        raise RuntimeError(f"{made} tokens in {len(prompts)} answers of {tokens}")


def read_rate(args: argparse.Namespace) -> float:
    """Bytes/s that memory can be read at in this moment; 0 where it is not asked or not known."""
    if not args.read_bytes:
        return 0
    return read_compiled(torch.get_num_threads(), args.read_bytes) or 0


def timed(call: Callable[[], None], device: str) -> float:
    gc.collect()
    settle(device)
    start = time.perf_counter()
    call()
    return seconds_since(start, device)


def seconds_since(start: float, device: str) -> float:
    settle(device)
    return time.perf_counter() - start


def settle(device: str) -> None:
    """Wait for what a GPU still computes."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_bytes() -> int:
    """Largest resident memory of this program.

    Linux keeps in `ru_maxrss` what the process was before it became this program: its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_device_bytes(device: str) -> int | None:
    return torch.cuda.max_memory_allocated() if device == "cuda" else None


if __name__ == "__main__":
    main()
