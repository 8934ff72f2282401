"""Two workers of Ray give the records of one process."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed"
)

ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
TIMEOUT_S = 300


def batch(pictures: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    asked = ("--task", "detect", "--text", "circle ; star", "--max-new-tokens", "24")
    sized = ("--batch-size", "2", "--shard-size", "5", "--output", str(output))
    return subprocess.run(
        [sys.executable, "-m", "palikit", "batch", str(pictures), *asked, *sized, *more],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=ENVIRONMENT,
        check=False,
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(11):
        tiny.picture(n, (60 + n, 50)).save(folder / f"{n:02d}.png")
    (folder / "07.png").write_bytes(b"no picture")
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in sorted(folder.glob("part-*"))}


def test_two_workers_write_the_files_of_one_process(pictures: Path, tmp_path: Path) -> None:
    one = batch(pictures, tmp_path / "one")
    two = batch(pictures, tmp_path / "two", "--ray", "--workers", "2")
    assert (one.returncode, two.returncode) == (1, 1), two.stderr
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    failed = [json.loads((tmp_path / n / "failures.jsonl").read_text()) for n in ("one", "two")]
    assert failed[0] == failed[1]
    assert "10 of 11 done" in two.stderr
    again = batch(pictures, tmp_path / "two", "--ray", "--workers", "2")
    assert "resuming: 10 of 11 done" in again.stderr


def test_more_workers_than_processors_are_refused(pictures: Path, tmp_path: Path) -> None:
    told = batch(pictures, tmp_path, "--ray", "--workers", "4096")
    assert told.returncode == 2
    assert "workers need a processor each" in told.stderr
