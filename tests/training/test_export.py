"""The finished model of a run takes its place whole, and where it cannot, no step is lost."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from palikit.errors import CheckpointError
from palikit.model.mask_codec import MaskCodec, save_mask_codec
from palikit.training import Origin, export, origin_of
from palikit.training import state as state_module
from palikit.training.run_folder import RunFolder
from tests import tiny
from tests.parity.oracle import save_tiny
from tests.training.test_run_folder import Scored
from tests.training.toy import Killed, kill_after, train, with_options

VALIDATED = with_options(evaluate_every=4, checkpoint_every=9)


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def fail(*_: object, **__: object) -> None:
    raise CheckpointError("best could not be written (No space left on device)")


def validated(run: Path) -> list[int]:
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [row["step"] for row in rows if "validation" in row]


@pytest.mark.parametrize("failing", [fail, full_disk])
def test_a_model_that_cannot_be_written_costs_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as broken:
        broken.setattr(export, "save_checkpoint", failing)
        with pytest.raises(CheckpointError, match=r"No space left on device") as told:
            train(run, VALIDATED, evaluate=Scored(0.5))
    assert str(run / "checkpoints" / "step-000004") in str(told.value)
    assert "run the same command with --resume" in str(told.value)
    assert json.loads((run / "checkpoints/step-000004/state.json").read_text())["validated"] == 0
    result = train(run, VALIDATED, evaluate=Scored(0.5, 0.6), resume=True)
    assert (result.best_step, validated(run)) == (6, [4, 6])


def test_a_last_model_that_cannot_be_written_costs_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(export, "save_checkpoint", fail)
        with pytest.raises(CheckpointError, match=r"learnt is in .*step-000006: .*--resume"):
            train(tmp_path / "run")
    assert train(tmp_path / "run", resume=True).best_step == 6


def test_a_validation_after_a_resumption_stands_in_the_metrics_once(tmp_path: Path) -> None:
    """Also where the process ends again before the next checkpoint."""

    def stop(*_: object) -> None:
        raise Killed

    run = tmp_path / "run"
    with pytest.raises(Killed):
        train(run, VALIDATED, evaluate=stop)
    with pytest.raises(Killed):
        train(run, VALIDATED, evaluate=Scored(0.5), resume=True, on_step=kill_after(5))
    train(run, VALIDATED, evaluate=Scored(0.6), resume=True)
    assert validated(run) == [4, 6]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_model_comes_with_its_codec_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    folder = save_tiny(tmp_path / "model", tiny.model())
    save_mask_codec(MaskCodec(), tmp_path / "vae-oid.npz")
    origin = origin_of(str(folder), mask_codec=str(tmp_path / "vae-oid.npz"))
    options = with_options(method=method)
    copied = shutil.copyfile

    def copy(source: Path, target: Path) -> None:
        if source.name == "vae-oid.npz":
            full_disk()
        copied(source, target)

    with monkeypatch.context() as broken:
        broken.setattr(export.shutil, "copyfile", copy)
        with pytest.raises(CheckpointError, match=r"vae-oid.npz could not be copied \(No space"):
            train(tmp_path / "run", options, origin=origin)
    assert not [path.name for path in (tmp_path / "run").iterdir() if "best" in path.name]
    train(tmp_path / "run", options, origin=origin, resume=True)
    assert (tmp_path / "run" / "best" / "vae-oid.npz").is_file()


@pytest.mark.parametrize("method", ["full", "lora"])
def test_another_mask_codec_takes_the_place_of_the_one_before(tmp_path: Path, method: str) -> None:
    save_mask_codec(MaskCodec(), tmp_path / "first.npz")
    other = shutil.copy(tmp_path / "first.npz", tmp_path / "other.npz")
    Path(other).write_bytes(Path(other).read_bytes() + b"\0")
    options = with_options(method=method, schedule="constant", steps=3)
    train(tmp_path / "run", options, origin=Origin(mask_codec_file=tmp_path / "first.npz"))
    longer = with_options(method=method, schedule="constant", steps=4)
    origin = Origin(mask_codec_file=tmp_path / "other.npz")
    train(tmp_path / "run", longer, origin=origin, resume=True)
    best = tmp_path / "run" / "best" / "mask_codec.npz"
    assert best.read_bytes() == (tmp_path / "other.npz").read_bytes()
    vae = shutil.copy(other, tmp_path / "vae-oid.npz")
    longest = with_options(method=method, schedule="constant", steps=5)
    train(tmp_path / "run", longest, origin=Origin(mask_codec_file=Path(vae)), resume=True)
    assert [path.name for path in best.parent.glob("*.npz")] == ["vae-oid.npz"]


def test_what_says_where_a_run_stands_is_on_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file before it is renamed, the folder after it."""
    done: list[str] = []
    synced, renamed = os.fsync, Path.replace

    def fsync(number: int) -> None:
        done.append(f"flush {Path(f'/proc/self/fd/{number}').readlink().name}")
        synced(number)

    def replace(self: Path, target: Path) -> Path:
        done.append(f"rename {target.name}")
        return renamed(self, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no way to tell an open file's name")
    monkeypatch.setattr(state_module.os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    RunFolder(tmp_path).point("latest", {"step": 1})
    assert done == ["flush .latest.json.tmp", "rename latest.json", f"flush {tmp_path.name}"]
    done.clear()
    whole = state_module.whole_folder(tmp_path / "step-1", needed_bytes=1, last_good=None)
    with whole as folder:
        (folder / "a").write_bytes(b"a")
    assert done == [
        "flush a",
        "flush .step-1.tmp",
        "rename step-1",
        f"flush {tmp_path.name}",
    ]


def test_a_file_system_that_flushes_no_folder_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse(path: object, flags: int, *rest: object, **named: object) -> int:
        if Path(str(path)).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags, *rest, **named)

    monkeypatch.setattr(state_module.os, "open", refuse)
    RunFolder(tmp_path).point("latest", {"step": 1})
    assert RunFolder(tmp_path).read("latest") == {"step": 1}
