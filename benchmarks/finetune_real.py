"""Fine-tune nano on real pictures with the commands a user would type, and measure the test set.

    python benchmarks/finetune_real.py bccd --shared ../shared
    python benchmarks/finetune_real.py nuclei --shared ../shared

bccd: boxes of three kinds of blood cells, the official train, val and test sets (BCCD, MIT).
nuclei: outlines of cell nuclei in tiles of the pictures, 80 / 10 / 10 % of the pictures
(Data Science Bowl 2018, CC0). Writes benchmarks/results/finetune_<name>.json and, beside it, the
records of the run and its curves; the page of pictures lies with the run.
"""

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from palikit import __version__
from palikit.data.options import DataTask
from palikit.data.rows import load_rows
from palikit.evaluation.validation import make_validation
from palikit.loading import load
from palikit.predictor import Predictor

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Case:
    """One data set: where it is, and what is typed for it."""

    source: str
    task: DataTask
    convert: tuple[str, ...]
    finetune: tuple[str, ...]


CASES = {
    "bccd": Case(
        "data/bccd",
        "detect",
        ("--prompt-classes", "one", "--negatives", "2"),  # every kind asked about every picture
        (
            *("--augment", "turn", "--location-smoothing", "1.6", "--batch-size", "16"),
            *("--steps", "800", "--optimizer", "muon", "--learning-rate", "6e-4"),
            *("--evaluate-every", "400", "--max-text-tokens", "300"),  # thirty cells
            *("--mean", "token"),  # else an answer of nothing outweighs the first of thirty cells
        ),
    ),
    "nuclei": Case(
        "data/dsb2018_nuclei",
        "segment",
        ("--crop", "128", "--split", "train=0.8,val=0.1,test=0.1", "--model", "nano"),
        (
            *("--augment", "turn", "--location-smoothing", "1.6", "--batch-size", "16"),
            *("--steps", "500", "--optimizer", "muon", "--learning-rate", "6e-4"),
            *("--evaluate-every", "250", "--max-text-tokens", "704"),  # thirty nuclei
            *("--mean", "token"),
        ),
    ),
}
SHARED_OPTIONS = ("--precision", "bfloat16", "--checkpoint-every", "200", "--schedule", "linear")


def run(command: list[str], log: Path | None = None) -> float:
    """Run a command and say how long it took, in seconds."""
    sys.stdout.write(f"$ {shlex.join(command)}\n")
    sys.stdout.flush()
    began = time.perf_counter()
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    if log is not None:
        log.write_text(done.stderr, encoding="utf-8")
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return time.perf_counter() - began


def measure(model: str, rows_file: Path, task: DataTask, page: Path) -> dict[str, float]:
    """The figures of a model on rows it has not seen."""
    predictor = load(model)

    def same(_: torch.nn.Module) -> Predictor:
        return predictor

    page.mkdir(parents=True, exist_ok=True)
    rows = load_rows(rows_file).rows
    scores = make_validation(rows, task, same, batch_size=16)(predictor.model, page)
    return {name: round(value, 4) for name, value in scores.figures}


def draw_curves(records_file: Path, target: Path) -> None:
    """The loss, by the mean of 20 steps, and what validation measured."""
    import matplotlib.pyplot as plt

    lines = records_file.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    losses = [each["loss"] for each in records if "loss" in each]
    measured = [each for each in records if "validation" in each]
    names = sorted(
        name for name in measured[0]["validation"] if name.startswith(("ap50", "mask", "recall"))
    )
    figure, (first, second) = plt.subplots(1, 2, figsize=(10, 3.4), constrained_layout=True)
    ends = range(20, len(losses) + 1, 20)
    first.plot(ends, [sum(losses[end - 20 : end]) / 20 for end in ends])
    first.set(title="loss of the answer", xlabel="step")
    for name in names:
        values = [each["validation"][name] for each in measured]
        second.plot([each["step"] for each in measured], values, "o-", label=name)
    second.set(title="validation set", xlabel="step", xlim=(0, None), ylim=(0, 1))
    second.legend(fontsize=8)
    figure.savefig(target, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", choices=tuple(CASES))
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs"))
    parser.add_argument("--model", default="nano")
    given = parser.parse_args()
    case, folder = CASES[given.case], given.work / given.case
    data, output = folder / "data", folder / "run"
    shutil.rmtree(folder, ignore_errors=True)
    palikit = [str(Path(sys.executable).with_name("palikit"))]
    source = str(given.shared / case.source)
    convert = ["data", "convert", source, str(data), "--task", case.task, *case.convert]
    finetune = ["finetune", "--model", given.model, "--data", str(data), "--output", str(output)]
    finetune += [*SHARED_OPTIONS, *case.finetune]
    folder.mkdir(parents=True)
    RESULTS.mkdir(exist_ok=True)
    record: dict[str, object] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"palikit": __version__, "torch": torch.__version__},
        "commands": ["palikit " + shlex.join(convert), "palikit " + shlex.join(finetune)],
        "convert_s": round(run([*palikit, *convert]), 1),
        "finetune_s": round(run([*palikit, *finetune], folder / "log.txt"), 1),
    }
    test = data / "test.jsonl"
    for name, model in (("before", given.model), ("after", str(output / "best"))):
        record[name] = measure(model, test, case.task, folder / name)
        sys.stdout.write(f"{name}: {json.dumps(record[name])}\n")
    target = RESULTS / f"finetune_{given.case}"
    target.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    shutil.copy(output / "metrics.jsonl", target.with_suffix(".jsonl"))
    draw_curves(output / "metrics.jsonl", target.with_suffix(".png"))
    sys.stdout.write(f"pages of pictures: {folder / 'after'}\n")


if __name__ == "__main__":
    main()
