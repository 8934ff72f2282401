"""The folder of a run.

    run.json                  what was run: options, versions, command, fingerprints, device
    metrics.jsonl             a line a step, and one a validation
    tensorboard/              the same as event files
    checkpoints/step-000123/  what a resumed run needs; see `palikit.training.state`
    latest.json, best.json    which checkpoint is the latest; which step made the best model
    best/                     the finished model, or adapter, that can be loaded
    validation/step-000123/   pages of pictures
    tokenizer.json            where the caller named no file of it
    features/                 the kept output of a frozen image tower

`latest.json` and `best.json` are files and no links, which not every file system has.
"""

import errno
import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from palikit.checkpoints.layout import read_json
from palikit.errors import CheckpointError, InputError
from palikit.training.output import (
    BEST_NAME,
    LOCK_NAME,
    RUN_NAME,
    absent_folders,
    check_output,
    remove_empty,
)
from palikit.training.state import replace_text

_CONTENTS = (
    "latest.json",
    "best.json",
    "metrics.jsonl",
    "tensorboard",
    "checkpoints",
    "best",
    "validation",
    "tokenizer.json",
)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


class RunFolder:
    """The folder of one run; its methods write files that appear whole.

    Attributes:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def best(self) -> Path:
        """The finished model or adapter."""
        return self.path / BEST_NAME

    @property
    def tensorboard(self) -> Path:
        """The folder of event files."""
        return self.path / "tensorboard"

    @property
    def metrics(self) -> Path:
        """The file of a line a step."""
        return self.path / "metrics.jsonl"

    def begin(self, record: dict[str, Any]) -> None:
        """Remove what an earlier run left, and write `run.json`."""
        for name in _CONTENTS:
            _remove(self.path / name)
        self.point("run", record)

    def validation(self, step: int) -> Path:
        """Where a validation writes its page; exists."""
        folder = self.path / "validation" / step_name(step)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def checkpoint(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.path / "checkpoints" / step_name(step)

    def latest(self) -> Path | None:
        """The latest checkpoint, None before the first.

        Where a person removed it, it is the newest that is left: all that are there are whole.

        Raises:
            CheckpointError: its folder is gone, and there is no other.
        """
        named = self._named_latest()
        if named is None or named.is_dir():
            return named
        left = self._checkpoints()
        if not left:
            raise CheckpointError(
                f"{self.path / 'latest.json'} names {named}, which is gone, and there is no "
                "other checkpoint: put it back, or begin anew with --overwrite"
            )
        return left[-1]

    def missing(self) -> Path | None:
        """The checkpoint that should be the latest and is gone; None where nothing is."""
        named = self._named_latest()
        return named if named is not None and not named.is_dir() else None

    def point_to_latest(self, step: int) -> None:
        """Make the checkpoint of a step, which is whole, the one to resume from."""
        place = self.checkpoint(step).relative_to(self.path).as_posix()
        self.point("latest", {"checkpoint": place, "step": step})

    def point(self, name: str, content: dict[str, Any]) -> None:
        """Replace `latest.json`, `best.json` or `run.json`."""
        replace_text(self.path / f"{name}.json", json.dumps(content, indent=2) + "\n")

    def read(self, name: str) -> dict[str, Any]:
        """The content that `point` wrote."""
        return read_json(self.path / f"{name}.json")

    def prune(self, keep: int) -> None:
        """Remove all but the latest checkpoints, and what a killed process left half written.

        Of steps after the latest there are some where a person went back to an earlier checkpoint;
        the run is about to write them again.
        """
        folder, latest = self.path / "checkpoints", self.latest()
        for folder_left in folder.glob(".step-*.tmp"):
            shutil.rmtree(folder_left, ignore_errors=True)
        last = step_of(latest) if latest is not None else 0
        there = self._checkpoints()
        past = [each for each in there if step_of(each) <= last]
        for old in {*there} - {*past[-keep:]}:
            shutil.rmtree(old, ignore_errors=True)

    def _named_latest(self) -> Path | None:
        if not (self.path / "latest.json").is_file():
            return None
        return self.path / str(self.read("latest").get("checkpoint"))

    def _checkpoints(self) -> list[Path]:
        """All that are there, the earliest first; other folders are not ours."""
        found = (self.path / "checkpoints").glob("step-*")
        return sorted((each for each in found if _STEP.fullmatch(each.name)), key=step_of)

    def append(self, row: dict[str, Any]) -> None:
        """Add a line to `metrics.jsonl`."""
        with self.metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the lines of `metrics.jsonl` that a resumed run is about to write again."""
        if not self.metrics.is_file():
            return
        lines = [line for line in _whole_lines(self.metrics) if json.loads(line)["step"] <= step]
        replace_text(self.metrics, "".join(lines))


_STEP = re.compile(r"step-\d{6,}")


def step_name(step: int) -> str:
    """step-000123."""
    return f"step-{step:06d}"


def step_of(folder: Path) -> int:
    """123 of step-000123."""
    return int(folder.name.removeprefix("step-"))


@contextmanager
def opened_run(path: Path, *, resume: bool, overwrite: bool) -> Iterator[RunFolder]:
    """The folder of a run, held by this process alone inside the block.

    With `overwrite` an earlier run stays until `RunFolder.begin`; a folder in which none began is
    left as it was found.

    Raises:
        InputError: as `check_output`, or another process is training there.
        CheckpointError: inside the block the disk had no more room.
    """
    check_output(path, resume=resume, overwrite=overwrite)
    absent = absent_folders(path)
    path.mkdir(parents=True, exist_ok=True)
    with (path / LOCK_NAME).open("ab") as stream:
        _lock(stream, path)
        _tidy(path)
        folder = RunFolder(path)
        try:
            yield folder
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            last = folder.latest() or "none, for none was due yet"
            raise CheckpointError(
                f"{path} could not be written ({error.strerror}); the last good checkpoint is "
                f"{last}: make room and run the same command with --resume"
            ) from None
        finally:
            if not (path / RUN_NAME).is_file():
                _leave(path, absent)


def _leave(path: Path, absent: list[Path]) -> None:
    """Remove what opening a folder put there, while it is still held."""
    with suppress(OSError):  # Windows removes no file that is open
        (path / LOCK_NAME).unlink()
    remove_empty(absent)


def _tidy(path: Path) -> None:
    """Clear what a process left that was killed while it wrote `best`; the old one comes back."""
    best = path / "best"
    for old in path.glob(".best.*old"):
        if not best.exists():
            old.replace(best)
    for left in (*path.glob(".best.*"), *path.glob("..best.*")):
        shutil.rmtree(left, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lock(stream: BinaryIO, path: Path) -> None:
    """Hold the folder until the stream is closed or the process ends, however it ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise InputError(
            f"another process is training in {path}: wait for it, or choose another folder"
        ) from None
    except OSError:  # a file system without locks
        return


def _whole_lines(file: Path) -> list[str]:
    """Lines that end, for a killed process may have left half a line."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]
