"""The folder that a run is to be put in, looked at before anything is loaded. No torch here."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from palikit.errors import InputError

RUN_NAME = "run.json"
LOCK_NAME = ".lock"
BEST_NAME = "best"
FEATURES_NAME = "features"


def check_output(path: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that cannot be used; one that is not there is not left behind either.

    Raises:
        InputError: it is another kind of folder, holds a run that is to be neither resumed nor
            overwritten, or cannot be written.
    """
    if resume and overwrite:
        raise InputError("resume and overwrite exclude each other: give one of them")
    try:
        is_file = path.exists() and not path.is_dir()
        is_run = (path / RUN_NAME).is_file()
        names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path} cannot be read ({reason}): choose another folder") from None
    if is_file:
        raise InputError(f"{path} is a file: expected a folder for the run")
    if is_run and not (resume or overwrite):
        raise InputError(
            f"{path} holds a run: go on with it with --resume, or begin anew with --overwrite"
        )
    # Features are kept before a run begins; of one that then did not, they are there still.
    if not is_run and [name for name in names if name not in (LOCK_NAME, FEATURES_NAME)]:
        raise InputError(f"{path} is not empty and holds no run: choose another folder")
    if resume and not is_run:
        raise InputError(f"{path} holds no run to resume: leave --resume out to begin one")
    absent = absent_folders(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}): choose another folder"
        ) from None
    finally:
        remove_empty(absent)


def refuse_removal(path: Path, named: Iterable[str | Path | None]) -> None:
    """Refuse to overwrite a run with what lies in its own folder.

    Args:
        path: folder of the run that is to be overwritten.
        named: files and folders that the new run needs; others, such as names on the Hub, and None
            are passed over.

    Raises:
        InputError: one of them would be removed.
    """
    there = [Path(name) for name in named if name is not None and Path(name).exists()]
    for name in there:
        if name.resolve().is_relative_to(path.resolve()):
            raise InputError(
                f"{name} is in {path}, which --overwrite removes first: give another folder as "
                "output"
            )


def nearest_folder(path: Path) -> Path:
    """A folder, or where it will be the nearest one above that is there."""
    return next(each for each in (path, *path.absolute().parents) if each.exists())


def absent_folders(path: Path) -> list[Path]:
    """A folder and those above it, as far as they are not there, the deepest first."""
    return [each for each in (path, *path.parents) if not os.path.lexists(each)]


def remove_empty(folders: list[Path]) -> None:
    """Remove folders, the deepest first, as long as they are there and empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def read_record(path: Path) -> dict[str, Any]:
    """The `run.json` of a run, see `palikit.training.run_record`.

    Raises:
        InputError: there is none, or it is damaged.
    """
    file = path / RUN_NAME
    if not file.is_file():
        raise InputError(f"{path} holds no run to resume: leave --resume out to begin one")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}): begin anew with --overwrite") from None
    if not isinstance(record, dict):
        raise InputError(f"{file} is no record of a run: begin anew with --overwrite")
    return record


def is_done(path: Path) -> bool:
    """Whether all steps of a run are done and its finished model has its card."""
    if not (path / BEST_NAME / "README.md").is_file() or not (path / "latest.json").is_file():
        return False
    latest = json.loads((path / "latest.json").read_text(encoding="utf-8"))
    return bool(latest["step"] == read_record(path)["steps"])


def refuse_run_as_model(model: str) -> None:
    """Refuse the folder of a run where its finished model is meant.

    Raises:
        InputError: it is one; the message names the model in it.
    """
    folder = Path(model)
    if not (folder / RUN_NAME).is_file():
        return
    if (folder / BEST_NAME).is_dir():
        raise InputError(
            f"{model} is the folder of a run, and its model is {folder / BEST_NAME}: give that as "
            "the model"
        )
    raise InputError(
        f"{model} is the folder of a run that has no finished model yet: go on with it with "
        f"--resume --output {model}"
    )
