"""The room that a run takes on its disk, known before its first step."""

from collections import namedtuple
from pathlib import Path

import pytest
import torch

from palikit.errors import CheckpointError
from palikit.training import disk
from palikit.training.disk import disk_need, free_bytes
from palikit.training.freezing import learning
from palikit.training.memory import meta_model
from tests import tiny
from tests.training.test_run_folder import EACH_STEP, Scored
from tests.training.toy import train, with_options

usage = namedtuple("usage", "free")


def need_of(options, **rest):
    model = meta_model(tiny.config(), options, None)
    known = {"stored": torch.float32, "steps": options.steps, "is_replaced": False}
    return disk_need(model, learning(model), options, **known | rest)


def bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_estimate_is_what_is_written(tmp_path: Path, method: str) -> None:
    options = with_options(method=method)
    need = need_of(options)
    train(tmp_path / "run", options)
    checkpoint = bytes_in(tmp_path / "run" / "checkpoints" / "step-000006")
    assert need.checkpoint == pytest.approx(checkpoint, rel=0.1)
    assert need.model == pytest.approx(bytes_in(tmp_path / "run" / "best"), rel=0.1)


def test_the_next_checkpoint_is_written_before_the_oldest_goes() -> None:
    need = need_of(with_options(checkpoint_every=1, keep=2))
    assert need.checkpoints == 3
    assert need.total == 3 * need.checkpoint + need.model
    need = need_of(with_options(checkpoint_every=9, keep=2), is_replaced=True)
    assert need.checkpoints == 1
    assert need.total == max(need.checkpoint + need.model, 2 * need.model)


def test_a_disk_without_the_room_is_told_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage(2**20))
    steps: list[object] = []
    with pytest.raises(
        CheckpointError,
        match=r"needs 18\.\d MiB, for checkpoints of 7.8 MiB, 2 at once.*has 1\.0 MiB free",
    ):
        train(tmp_path / "run", on_step=steps.append)
    assert not steps
    assert not (tmp_path / "run").exists()


def test_hardly_enough_room_is_remarked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need = need_of(with_options())
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage(need.total + 1))
    told: list[str] = []
    train(tmp_path / "run", on_remark=told.append)
    assert any("which is hardly more" in each for each in told)


def test_what_a_run_has_written_is_no_reason_against_going_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    before = free_bytes(run)
    train(run, with_options(**EACH_STEP), evaluate=Scored(*[0.1] * 6))
    assert free_bytes(run) == pytest.approx(before, abs=64 * 2**20)
