"""Contenders take turns (A B A B ...), each turn a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.cases import Case, Contender, Device
from benchmarks.speed.checkpoints import Checkpoints, PreparationError, read_once
from benchmarks.speed.commands import run_command
from benchmarks.speed.machine import BUFFER_BYTES, Limits
from benchmarks.speed.measurement import Measurement, Trial

from palikit.errors import PaliKitError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """How everything is measured.

    Attributes:
        threads: of every process, as many as there are cores.
        repeats: turns of each contender.
        runs: calls of each kind in a turn, after one that warms up.
        pictures: a folder of pictures; files beside it may be made.
        timeout: seconds after which a process is given up.
        scale: share of the real sizes when the machine's limits are measured.
        has_limits: whether they are.
    """

    device: Device
    threads: int
    repeats: int
    runs: int
    checkpoints: Checkpoints
    pictures: Path
    timeout: float
    scale: float = 1.0
    has_limits: bool = True

    @property
    def variables(self) -> dict[str, str]:
        """The environment of every process."""
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if self.device == "cpu" else {}
        threads = str(self.threads)
        return {
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "HF_HUB_OFFLINE": "1",  # nothing is looked up on the way
            **hidden,
        }


def take_turns(
    case: Case, contenders: tuple[Contender, ...], settings: Settings, say: Callable[[str], None]
) -> Iterator[Trial]:
    """Every turn of every contender; one that has failed is not asked again."""
    failed: set[str] = set()
    for turn in range(settings.repeats):
        for contender in contenders:
            if contender.name in failed:
                continue
            trial = _turn(case, contender, settings, turn)
            if trial.error is not None:
                failed.add(contender.name)
            say(f"{turn + 1}/{settings.repeats} {contender.name}: {trial.error or 'measured'}")
            yield trial


def measure_limits(settings: Settings) -> Limits:
    """The machine's limits, by a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed.machine", "--device", settings.device]
    command += ["--threads", str(settings.threads), "--scale", str(settings.scale)]
    return Limits(**json.loads(_output(command, settings)))


def _turn(case: Case, contender: Contender, settings: Settings, turn: int) -> Trial:
    try:
        if contender.engine is None:
            measured = run_command(
                case, contender, settings.pictures, settings.device, settings.variables
            )
        else:
            measured = _run_worker(case, contender, settings)
    except (PreparationError, PaliKitError, RuntimeError) as error:
        return Trial(contender.name, turn, error=str(error))
    return Trial(contender.name, turn, measured)


def _run_worker(case: Case, contender: Contender, settings: Settings) -> Measurement:
    engine, checkpoints = contender.engine, settings.checkpoints
    if engine is None:
        raise AssertionError("a command has no worker")
    if engine.source == "quantised":
        checkpoint = checkpoints.quantised(case, engine.form)
    else:
        checkpoint = checkpoints.float_one(case)
    read_once(checkpoint)
    command = [sys.executable, "-m", "benchmarks.speed.worker", "--engine", engine.name]
    command += ["--checkpoint", str(checkpoint.resolve()), "--case", case.name]
    command += ["--pictures", str(settings.pictures.resolve()), "--batch", str(contender.batch)]
    command += ["--runs", str(settings.runs), "--device", settings.device]
    command += ["--grammar"] if contender.is_steered else []
    if settings.has_limits and settings.device == "cpu":
        command += ["--read-bytes", str(int(BUFFER_BYTES * settings.scale))]
    return Measurement(**json.loads(_output(command, settings)))


def _output(command: list[str], settings: Settings) -> str:
    """The last line a process has printed."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | settings.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=settings.timeout,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not finished after {settings.timeout:.0f} s") from None
    if done.returncode < 0:
        raise RuntimeError(f"ended by signal {-done.returncode}, as for want of memory")
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["failed"])[-1])
    return done.stdout.strip().splitlines()[-1]
