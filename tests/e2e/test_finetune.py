"""`palikit finetune` as a user runs it, on a tiny model; some of its processes are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests import tiny
from tests.parity.oracle import save_tiny

pytestmark = pytest.mark.e2e

ENVIRONMENT = {
    **os.environ,
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "NO_COLOR": "1",
}
ENVIRONMENT.pop("PALIKIT_MODEL", None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("finetune") / "model", tiny.model())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of rows: 8 to train on, 2 to validate on."""
    folder = tmp_path_factory.mktemp("data")
    write_rows(folder / "train.jsonl", range(8))
    write_rows(folder / "val.jsonl", range(8, 10))
    return folder


def write_rows(file: Path, seeds: range, **changes: object) -> None:
    rows = []
    for seed in seeds:
        tiny.picture(seed).save(file.parent / f"{seed}.png")
        suffix = f"<loc0100><loc0100><loc{500 + seed:04d}><loc0900> {'dog' if seed % 2 else 'cat'}"
        row = {"image": f"{seed}.png", "prefix": "detect cat ; dog", "suffix": suffix} | changes
        rows.append(json.dumps(row))
    file.write_text("\n".join(rows) + "\n")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "palikit", *map(str, arguments)]


def palikit(*arguments: object, **rest) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=300,
        env=ENVIRONMENT,
        check=False,
        **rest,
    )


def metrics(run: Path) -> list[dict]:
    file = run / "metrics.jsonl"
    if not file.exists():
        return []
    whole = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [json.loads(line) for line in whole]


def ended_at(
    run: Path, step: int, arguments: list[object], end: Callable[[subprocess.Popen[str]], None]
) -> subprocess.Popen[str]:
    """A process that is ended by `end` as soon as it has told of a step."""
    process = subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    deadline = time.monotonic() + 240
    while not any(row["step"] >= step for row in metrics(run)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    end(process)
    return process


TRAINING = ("--batch-size", 4, "--learning-rate", 1e-3, "--checkpoint-every", 10)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_killed_and_resumed_ends_with_the_weights_of_one_never_stopped(
    model: Path, data: Path, tmp_path: Path, method: str
) -> None:
    shared = ["finetune", "--model", model, "--data", data, "--val", "none", *TRAINING]
    shared += ["--steps", 60, "--dropout", 0.1, "--method", method]
    whole, run = tmp_path / "whole", tmp_path / "killed"
    done = palikit(*shared, "--output", whole)
    assert done.returncode == 0, done.stderr

    process = ended_at(run, 25, [*shared, "--output", run], subprocess.Popen.kill)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    reached = metrics(run)[-1]["step"]
    assert 25 <= reached < 60, "it was killed too late to prove anything"
    done = palikit(*shared, "--output", run, "--resume")
    assert done.returncode == 0, done.stderr

    for file in ("weights.safetensors", "optimizer.safetensors"):
        expected = load_file(whole / "checkpoints" / "step-000060" / file)
        got = load_file(run / "checkpoints" / "step-000060" / file)
        assert expected.keys() == got.keys()
        assert all(torch.equal(expected[name], got[name]) for name in expected)
    losses = [[row["loss"] for row in metrics(each)] for each in (whole, run)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 60


def test_the_result_can_be_used_by_the_command_that_is_printed(
    model: Path, data: Path, tmp_path: Path
) -> None:
    shared = ["finetune", "--model", model, "--data", data, *TRAINING, "--epochs", 2]
    for method in ("full", "lora"):
        run = tmp_path / method
        done = palikit(*shared, "--output", run, "--method", method)
        assert done.returncode == 0, done.stderr
        assert "best: ap " in done.stdout
        use = done.stdout.splitlines()[-1].removeprefix("use it: palikit ").split(" --model ")
        assert use[0] == 'detect photo.jpg "cat ; dog"'
        assert use[1] == str(run / "best")
        photo = data / "9.png"
        asked = palikit("detect", photo, "cat ; dog", "--model", use[1], "--max-new-tokens", 8)
        assert asked.returncode == 0, asked.stderr
        assert list(run.glob("validation/*/*.html"))
        assert "step 4 of 4: loss" in done.stderr


def test_ctrl_c_saves_a_checkpoint_and_says_how_to_go_on(
    model: Path, data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shared = ["finetune", "--model", model, "--data", data, "--val", "none", "--steps", 500]
    arguments = [*shared, *TRAINING, "--checkpoint-every", 1000, "--output", run]
    process = ended_at(run, 3, arguments, lambda each: each.send_signal(signal.SIGINT))
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"--output {run} --resume" in told
    latest = json.loads((run / "latest.json").read_text())
    assert latest["step"] >= 3
    assert (run / latest["checkpoint"] / "weights.safetensors").is_file()


def test_two_runs_do_not_share_a_folder(model: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shared = ["finetune", "--model", model, "--data", data, "--val", "none", "--steps", 5000]
    arguments = [*shared, *TRAINING, "--output", run]
    seen = []

    def try_another(process: subprocess.Popen[str]) -> None:
        seen.append(palikit(*arguments, "--resume"))
        process.kill()

    ended_at(run, 1, arguments, try_another).communicate()
    assert seen[0].returncode == 2
    assert "another process is training" in seen[0].stderr


def test_a_dry_run_shows_and_trains_nothing(model: Path, data: Path, tmp_path: Path) -> None:
    arguments = ["finetune", "--model", model, "--data", data, "--output", tmp_path / "run"]
    done = palikit(*arguments, "--dry-run", "--method", "lora", "--batch-size", 4)
    assert done.returncode == 0, done.stderr
    assert "[<loc0100>] [<loc0100>] [<loc0500>] [<loc0900>] [▁cat] [<eos>]" in done.stdout
    assert "image tower                 0" in done.stdout
    assert "activations" in done.stdout
    assert "20 steps of 4 of 8 examples" in done.stdout
    assert not (tmp_path / "run").exists()


def test_what_was_typed_goes_before_a_recipe(model: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["finetune", "--model", model, "--data", data, "--val", "none", "--output", run]
    done = palikit(*arguments, "--recipe", "own-detect", "--steps", 2, "--batch-size", 2)
    assert done.returncode == 0, done.stderr
    options = json.loads((run / "run.json").read_text())["options"]
    assert (options["method"], options["lora_rank"]) == ("lora", 16)
    assert (options["steps"], options["batch_size"]) == (2, 2)
    assert options["accumulation"] == 2  # of the recipe's 16, what a batch of 2 can be cut into


BAD: tuple[tuple[dict, str], ...] = (
    ({"suffix": ""}, "line 1"),
    ({"image": "gone.png"}, "gone.png"),
    ({"suffix": "dog " * 1024}, "line 1"),
)


@pytest.mark.parametrize(("change", "named"), BAD)
def test_bad_rows_are_told_in_a_sentence_and_nothing_is_trained(
    model: Path, tmp_path: Path, change: dict, named: str
) -> None:
    write_rows(tmp_path / "train.jsonl", range(2), **change)
    arguments = ["finetune", "--model", model, "--data", tmp_path / "train.jsonl"]
    done = palikit(*arguments, "--output", tmp_path / "run", "--max-text-tokens", 128)
    assert done.returncode == 2
    assert named in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run" / "run.json").exists()


def test_an_output_that_cannot_be_written_is_told_before_the_model_is_loaded(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = palikit(
        "finetune", "--model", tmp_path / "none", "--data", data, "--output", tmp_path / "file"
    )
    assert done.returncode == 2
    assert "is a file: expected a folder for the run" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
def test_a_disk_that_fills_up_leaves_the_last_good_checkpoint(
    model: Path, data: Path, tmp_path: Path
) -> None:
    import resource

    run = tmp_path / "run"
    shared = ["finetune", "--model", model, "--data", data, "--val", "none", "--output", run]
    shared += TRAINING
    done = palikit(*shared, "--steps", 20, "--schedule", "constant")
    assert done.returncode == 0, done.stderr
    for name in ("run.json",):  # as if it had been longer from the beginning
        record = json.loads((run / name).read_text())
        record["steps"] = record["options"]["steps"] = 40
        (run / name).write_text(json.dumps(record))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    done = palikit(*shared, "--steps", 40, "--schedule", "constant", "--resume", preexec_fn=limit)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert "step-000030 could not be written" in last
    assert f"the last good one is {run / 'checkpoints' / 'step-000020'}" in last
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["step-000010", "step-000020"]
    load_file(run / "checkpoints" / "step-000020" / "weights.safetensors")
