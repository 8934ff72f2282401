"""`palikit batch` by two processes that share a model writes what one writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny

ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m"]
TWO = ("--tensor-parallel", "2", "--device", "cpu")
TIMEOUT_S = 300


def batch(
    pictures: Path, output: Path, *more: str, launcher: tuple[str, ...] = ("-m",)
) -> subprocess.CompletedProcess[str]:
    asked = ("--task", "detect", "--text", "circle ; star", "--max-new-tokens", "16")
    # In half precision the sums of two halves are rounded otherwise than those of a whole.
    sized = ("--dtype", "float32", "--batch-size", "2", "--output", str(output))
    return subprocess.run(
        [sys.executable, *launcher, "palikit", "batch", str(pictures), *asked, *sized, *more],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=ENVIRONMENT,
        check=False,
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(3):
        tiny.picture(n, (60 + n, 50)).save(folder / f"{n}.png")
    return folder


def answers(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "part-00000.jsonl").read_text().splitlines()]


def test_two_processes_write_the_answers_of_one(pictures: Path, tmp_path: Path) -> None:
    one = batch(pictures, tmp_path / "one")
    two = batch(pictures, tmp_path / "two", *TWO, launcher=tuple(TORCHRUN))
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    for ours, theirs in zip(answers(tmp_path / "two"), answers(tmp_path / "one"), strict=True):
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-4)
        for name in ("input", "text", "finish_reason"):
            assert ours[name] == theirs[name]
    assert two.stderr.count("3 of 3 done, in") == 1
    again = batch(pictures, tmp_path / "two", *TWO, launcher=tuple(TORCHRUN))
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("nothing left to do") == 1


def test_one_process_is_told_how_to_start_two(pictures: Path, tmp_path: Path) -> None:
    told = batch(pictures, tmp_path, *TWO)
    assert told.returncode == 2
    assert "torchrun --nproc-per-node 2 -m palikit" in told.stderr
