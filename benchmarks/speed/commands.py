"""Cases that are whole processes: what a person waits for at the command line."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.speed.cases import Case, Contender
from benchmarks.speed.measurement import Measurement
from benchmarks.speed.photos import picture_files

ROOT = Path(__file__).resolve().parents[2]
SCENE = ROOT / "examples" / "scene.png"

PICTURES = 100

ONE_BY_ONE = """
import json, pathlib, sys
import palikit
predictor = palikit.load("nano", device=sys.argv[2])
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    print(json.dumps(predictor.caption(file).text))
"""


def run_command(
    case: Case, contender: Contender, pictures: Path, device: str, variables: dict[str, str]
) -> Measurement:
    """One turn.

    Args:
        case: "nano-folder" or "nano-start".
        contender: one of its two.
        pictures: a folder; 100 pictures are made of those in it.
        device: "cpu" or "cuda".
        variables: of the process's environment.
    """
    output = pictures.parent / "captions.jsonl"
    output.unlink(missing_ok=True)
    if case.kind == "start":
        command = [sys.executable, "-c", "import torch"]
        if contender.name != "import torch":
            arguments = ["detect", str(SCENE), "circle ; star", "--device", device]
            command = [sys.executable, "-m", "palikit", *arguments]
        return _measured(command, variables, output)
    folder = hundred_pictures(pictures)
    command = [sys.executable, "-c", ONE_BY_ONE, str(folder), device]
    if contender.name.startswith("palikit"):
        arguments = [str(folder), "--model", "nano", "--device", device, "--output", str(output)]
        command = [sys.executable, "-m", "palikit", "caption", *arguments]
    return _measured(command, variables, output)


def hundred_pictures(pictures: Path) -> Path:
    """A folder of 100 files, made once: the pictures again and again under new names."""
    folder, files = pictures.parent / "hundred", picture_files(pictures)
    if not folder.is_dir():
        folder.mkdir()
        for number in range(PICTURES):
            file = files[number % len(files)]
            shutil.copyfile(file, folder / f"{number:03d}{file.suffix}")
    return folder


def _measured(command: list[str], variables: dict[str, str], output: Path) -> Measurement:
    """Seconds and peak memory of a process, and the texts it wrote."""
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        written, errors = process.communicate()
        seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError((errors.strip().splitlines() or ["failed"])[-1])
    return Measurement(whole_seconds=[seconds], output=_texts(written, output))


def _texts(written: str, output: Path) -> list[str]:
    """Captions in the order of their pictures, from a file of records or from lines of text."""
    if output.exists():
        lines = output.read_text(encoding="utf-8").splitlines()
        records = [record for line in lines if "text" in (record := json.loads(line))]
        return [record["text"] for record in sorted(records, key=lambda record: record["input"])]
    return [json.loads(line) for line in written.splitlines() if line.startswith('"')]
