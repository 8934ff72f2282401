"""Two processes with FSDP2 train as one does, and what they leave any number can go on with."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from palikit.errors import CheckpointError
from palikit.training.parts import row_starts
from palikit.training.shards import SavedTensors, write_whole
from tests import tiny
from tests.e2e.test_finetune import command, metrics, write_rows
from tests.parity.oracle import save_tiny
from tests.training.toy import Killed, kill_after, train
from tests.training.two_processes import LAYERS, LORA, MUON, OPTIONS, VALIDATED, Pairs, falling

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ,
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "NO_COLOR": "1",
    "PYTHONPATH": str(ROOT),
}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
TIMEOUT_S = 400


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [1, 5, 16, 17])
def test_rows_are_cut_as_torch_cuts_them(rows: int, processes: int) -> None:
    starts = row_starts(rows, processes)
    parts = [starts[n + 1] - starts[n] for n in range(processes)]
    chunks = [len(chunk) for chunk in torch.arange(rows).chunk(processes)]
    assert parts == chunks + [0] * (processes - len(chunks))


def cut_by_hand(folder: Path, whole: torch.Tensor, starts: list[int]) -> SavedTensors:
    files = [f"weights-{n}.safetensors" for n in range(len(starts) - 1)]
    for number, file in enumerate(files):
        part = whole[starts[number] : starts[number + 1]].contiguous()
        save_file({"w": part}, folder / file)
    text = json.dumps({"files": files, "rows": {"w": starts}})
    (folder / "weights.json").write_text(text)
    return SavedTensors(folder, "weights")


@pytest.mark.parametrize("processes", [1, 2, 4, 7])
def test_parts_of_three_are_read_by_any_number(tmp_path: Path, processes: int) -> None:
    whole = torch.arange(26.0).reshape(13, 2)
    saved = cut_by_hand(tmp_path, whole, [0, 5, 10, 13])
    starts = row_starts(13, processes)
    parts = [saved.rows("w", slice(starts[n], starts[n + 1])) for n in range(processes)]
    assert torch.equal(torch.cat(parts), whole)
    assert all(part.shape[1] == 2 for part in parts)
    assert torch.equal(saved.whole("w"), whole)
    assert saved.shape("w") == (13, 2)


def test_whole_tensors_are_read_by_any_number(tmp_path: Path) -> None:
    whole = torch.arange(10.0).reshape(5, 2)
    write_whole(tmp_path, "weights", {"w": whole, "step": torch.tensor(3.0)})
    saved = SavedTensors(tmp_path, "weights")
    assert torch.equal(saved.rows("w", slice(3, 5)), whole[3:])
    assert saved.whole("step") == 3
    assert saved.shape("step") == ()


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    cut_by_hand(tmp_path, torch.ones(4, 2), [0, 2, 4])
    (tmp_path / "weights-1.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"weights-1\.safetensors is damaged or missing"):
        SavedTensors(tmp_path, "weights")


# What follows starts processes.


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one process, the same as those of two."""
    out = tmp_path_factory.mktemp("one")
    train(out / "full", OPTIONS)
    train(out / "lora", LORA, lora=LAYERS)
    train(out / "muon", MUON)
    train(out / "pairs", OPTIONS, examples=Pairs())
    train(out / "validated", VALIDATED, evaluate=falling)
    with pytest.raises(Killed):
        train(out / "killed", OPTIONS, on_step=kill_after(5))
    return out


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, one: Path) -> Path:
    """Runs of two processes, and what became of them."""
    out = tmp_path_factory.mktemp("two")
    shutil.copytree(one / "killed", out / "one")
    script = ROOT / "tests" / "training" / "two_processes.py"
    done = subprocess.run(
        [*TORCHRUN, script, out],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


def outcomes(two: Path, name: str) -> list[dict]:
    """Of both processes."""
    return [json.loads((two / f"outcomes-{rank}.json").read_text())[name] for rank in (0, 1)]


def losses(run: Path) -> list[float]:
    return [row["loss"] for row in metrics(run) if "loss" in row]


def learnt(run: Path, step: int) -> dict[str, torch.Tensor]:
    """Weights and the optimiser's state of a checkpoint, whole."""
    folder = run / "checkpoints" / f"step-{step:06d}"
    kinds = [SavedTensors(folder, kind) for kind in ("weights", "optimizer")]
    return {name: saved.whole(name) for saved in kinds for name in saved.names}


def are_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["full", "lora", "muon", "pairs"])
def test_two_processes_have_the_losses_of_one(one: Path, two: Path, name: str) -> None:
    assert {each["ending"] for each in outcomes(two, name)} == {"finished"}
    assert losses(two / name) == pytest.approx(losses(one / name), rel=3e-5)
    assert len(losses(two / name)) == 6
    for figure, tolerance in (("gradient_norm", 1e-3), ("tokens", 0)):
        expected = [row[figure] for row in metrics(one / name)]
        got = [row[figure] for row in metrics(two / name)]
        assert got == pytest.approx(expected, rel=tolerance)


@pytest.mark.e2e
def test_less_memory_or_half_the_digits_change_little(two: Path) -> None:
    assert losses(two / "frugal") == pytest.approx(losses(two / "full"), rel=1e-6)
    assert losses(two / "half") == pytest.approx(losses(two / "full"), rel=0.05)
    assert losses(two / "half") != losses(two / "full")


@pytest.mark.e2e
@pytest.mark.parametrize(("name", "kind"), [("full", "model"), ("lora", "adapter_model")])
def test_the_finished_model_is_that_of_one(one: Path, two: Path, name: str, kind: str) -> None:
    expected, got = (load_file(each / name / "best" / f"{kind}.safetensors") for each in (one, two))
    assert expected.keys() == got.keys()
    for key, value in expected.items():
        assert torch.allclose(got[key], value, rtol=1e-3, atol=2e-4), key


@pytest.mark.e2e
def test_each_process_holds_and_writes_a_part(two: Path) -> None:
    folder = two / "full" / "checkpoints" / "step-000006"
    for kind in ("weights", "optimizer"):
        parts = [load_file(folder / f"{kind}-0000{n}-of-00002.safetensors") for n in (1, 2)]
        sizes = [sum(tensor.numel() for tensor in part.values()) for part in parts]
        assert min(sizes) > 0.9 * max(sizes)
    endings = {path.suffix for path in folder.iterdir()}
    assert endings == {".safetensors", ".json"}


@pytest.mark.e2e
def test_a_resumed_run_ends_with_the_same_weights(two: Path) -> None:
    assert {each["error"] for each in outcomes(two, "killed")} == {"Killed"}
    assert {each["ending"] for each in outcomes(two, "resumed")} == {"finished"}
    assert are_equal(learnt(two / "whole", 6), learnt(two / "killed", 6))
    assert not are_equal(learnt(two / "whole", 3), learnt(two / "whole", 6))
    assert losses(two / "whole") == losses(two / "killed")


@pytest.mark.e2e
def test_two_go_on_where_one_stopped(one: Path, two: Path) -> None:
    assert losses(two / "one") == pytest.approx(losses(one / "full"), rel=1e-5)
    assert len(losses(two / "one")) == 6


@pytest.mark.e2e
def test_one_goes_on_where_two_stopped(one: Path, two: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(two / "left", run)
    train(run, OPTIONS, resume=True)
    assert losses(run) == pytest.approx(losses(one / "full"), rel=1e-5)
    assert len(losses(run)) == 6
    assert (run / "checkpoints" / "step-000006" / "weights.safetensors").is_file()


@pytest.mark.e2e
def test_validation_sees_the_whole_model_and_stops_all(one: Path, two: Path) -> None:
    ended = outcomes(two, "validated")
    assert [(each["ending"], each["step"]) for each in ended] == [("early", 4)] * 2
    runs = [[row["validation"] for row in metrics(each / "validated") if "validation" in row]
            for each in (one, two)]  # fmt: skip
    assert len(runs[0]) == len(runs[1]) == 2
    for expected, got in zip(*runs, strict=True):
        assert got["size"] == pytest.approx(expected["size"], rel=1e-6)
    best = json.loads((two / "validated" / "best.json").read_text())
    assert best["step"] == 2


@pytest.mark.e2e
def test_a_validation_that_fails_leaves_a_checkpoint_and_is_told_by_one(two: Path) -> None:
    first, second = outcomes(two, "failing")
    assert (first["error"], second["error"]) == ("InputError", "FollowedError")
    assert first["message"] == second["message"] == "step-000002 fails"
    assert learnt(two / "failing", 2)


@pytest.mark.e2e
def test_an_example_that_one_cannot_make_leaves_a_checkpoint_of_all(two: Path) -> None:
    first, second = outcomes(two, "damaged")
    assert (first["error"], second["error"]) == ("FollowedError", "InputError")
    assert first["message"] == second["message"] == "photo.png is damaged"
    assert learnt(two / "damaged", 4)


@pytest.mark.e2e
def test_a_model_that_the_first_cannot_write_leaves_a_checkpoint_of_all(two: Path) -> None:
    first, second = outcomes(two, "no model")
    assert (first["error"], second["error"]) == ("CheckpointError", "FollowedError")
    assert "step-000002: run the same command with --resume" in first["message"]
    assert learnt(two / "no-model", 2)


@pytest.mark.e2e
def test_a_signal_to_one_stops_all_at_the_same_step(two: Path) -> None:
    ended = outcomes(two, "stopped")
    assert {each["ending"] for each in ended} == {"interrupted"}
    (step,) = {each["step"] for each in ended}
    assert 2 <= step < 6
    assert learnt(two / "stopped", step)


@pytest.mark.e2e
def test_a_signal_in_a_validation_stops_all_after_its_step(two: Path) -> None:
    ended = outcomes(two, "given up")
    assert {(each.get("ending"), each.get("step")) for each in ended} == {("interrupted", 2)}
    assert learnt(two / "given-up", 2)


@pytest.mark.e2e
def test_an_existing_run_is_refused_by_all(two: Path) -> None:
    first, second = outcomes(two, "exists")
    assert (first["error"], second["error"]) == ("InputError", "FollowedError")
    assert "holds a run" in first["message"]


@pytest.mark.e2e
def test_a_disk_that_is_full_for_one_is_told_by_the_first(two: Path) -> None:
    first, second = outcomes(two, "no room")
    assert (first["error"], second["error"]) == ("CheckpointError", "FollowedError")
    assert "could not be written (No space left on device); there is none" in first["message"]
    assert not list((two / "no-room" / "checkpoints").iterdir())


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["qlora", "adafactor"])
def test_what_cannot_be_sharded_is_refused(two: Path, name: str) -> None:
    for each in outcomes(two, name):
        assert each["error"] == "InputError"
        assert f"{name} works in one process only, and 2 were started" in each["message"]
    assert not (two / "refused").exists()


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """Of a command that trains 40 steps, all but --output."""
    folder = tmp_path_factory.mktemp("files")
    model = save_tiny(folder / "model", tiny.model())
    write_rows(folder / "train.jsonl", range(8))
    write_rows(folder / "val.jsonl", range(8, 10))
    shared = ["finetune", "--model", model, "--data", folder, "--batch-size", 4, "--dropout", 0.1]
    return [*shared, "--learning-rate", 1e-3, "--checkpoint-every", 10, "--steps", 40]


class Torchrun:
    """`palikit` in two processes."""

    def __init__(self, arguments: list[object]) -> None:
        self.process = subprocess.Popen(
            [*TORCHRUN, *command(*arguments)[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )

    def ended(self) -> tuple[int, list[str], str]:
        """Exit code, lines on standard output, and on standard error those of PaliKit."""
        out, told = self.process.communicate(timeout=TIMEOUT_S)
        lines = [line for line in told.splitlines() if "palikit: " in line]
        return self.process.returncode, out.splitlines(), "\n".join(lines)

    def after(self, run: Path, step: int) -> list[int]:
        """Waits for a step; numbers of the two processes."""
        deadline = time.monotonic() + TIMEOUT_S
        while not any(row["step"] >= step for row in metrics(run)):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        number = self.process.pid
        children = Path(f"/proc/{number}/task/{number}/children").read_text()
        return [int(child) for child in children.split()]


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_the_command_is_killed_twice_and_ends_with_the_weights_of_one_never_stopped(
    arguments: list[object], tmp_path: Path
) -> None:
    shared = [*arguments, "--val", "none"]
    whole, run = tmp_path / "whole", tmp_path / "killed"
    code, out, told = Torchrun([*shared, "--output", whole]).ended()
    assert code == 0, told
    assert [line for line in out if line.startswith("use it: ")] == out
    assert told.count("step 40 of 40") == 1

    first = Torchrun([*shared, "--output", run])
    os.kill(first.after(run, 12)[1], signal.SIGKILL)
    code, _, told = first.ended()
    assert code != 0
    assert told.count("error: ") == 1
    assert "one of the 2 processes ended without a word" in told

    second = Torchrun([*shared, "--output", run, "--resume"])
    for number in (second.process.pid, *second.after(run, 22)):
        os.kill(number, signal.SIGKILL)
    second.process.communicate()
    assert metrics(run)[-1]["step"] < 40, "it was killed too late to prove anything"

    code, _, told = Torchrun([*shared, "--output", run, "--resume"]).ended()
    assert code == 0, told
    assert are_equal(learnt(whole, 40), learnt(run, 40))
    assert losses(whole) == losses(run)
    assert all(math.isfinite(loss) for loss in losses(run))


@pytest.mark.e2e
def test_ctrl_c_saves_a_checkpoint_and_says_how_to_go_on(
    arguments: list[object], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = Torchrun([*arguments, "--val", "none", "--output", run, "--steps", 5000])
    process.after(run, 3)
    process.process.send_signal(signal.SIGINT)
    _, _, told = process.ended()
    assert told.count("interrupted after step") == 1
    assert "go on with: torchrun --nproc-per-node 2 -m palikit finetune" in told
    latest = json.loads((run / "latest.json").read_text())
    assert learnt(run, latest["step"])


@pytest.mark.e2e
def test_bad_rows_are_told_once(arguments: list[object], tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", range(2), image="gone.png")
    data = ["--data", tmp_path / "train.jsonl", "--output", tmp_path / "run"]
    code, _, told = Torchrun([*arguments[:3], *data]).ended()
    assert code != 0
    assert told.count("palikit: ") == 1
    assert "gone.png" in told


@pytest.mark.e2e
def test_the_command_validates_and_leaves_a_model_that_can_be_used(
    arguments: list[object], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    code, out, told = Torchrun([*arguments, "--steps", 2, "--output", run]).ended()
    assert code == 0, told
    assert told.count("validation after step 2") == 1
    assert [line.split(" ")[0] for line in out] == ["best:", "use"]
    assert list(run.glob("validation/*/*.html"))
    assert (run / "best" / "README.md").is_file()
    train_again = json.loads((run / "run.json").read_text())
    assert train_again["options"]["steps"] == 2
