"""Files and folders that appear under their name when they are whole, and not before."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from palikit.errors import CheckpointError


@contextmanager
def replacing_file(file: Path, *, needed_bytes: int, overwrite: bool) -> Iterator[Path]:
    """A temporary file beside `file` that takes its name at the end.

    Raises:
        CheckpointError: `file` exists and `overwrite` is not set, or it cannot be written.
    """
    if file.exists() and not overwrite:
        raise CheckpointError(f"{file} exists: choose another name, or overwrite it")
    with _temporary_folder(file, needed_bytes) as folder:
        temporary = folder / file.name
        yield temporary
        temporary.replace(file)


@contextmanager
def replacing_folder(folder: Path, *, needed_bytes: int, overwrite: bool) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its name at the end.

    Only a folder that is empty or holds a checkpoint is ever replaced.

    Raises:
        CheckpointError: `folder` is not empty and `overwrite` is not set, or is no checkpoint, or
            cannot be written.
    """
    is_used = folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    if is_used and not overwrite:
        raise CheckpointError(f"{folder} is not empty: choose another folder, or overwrite it")
    if is_used and not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} is not a checkpoint and is not overwritten")
    with _temporary_folder(folder, needed_bytes) as temporary:
        new = temporary / "new"
        new.mkdir()
        yield new
        if folder.exists():
            # A folder cannot be replaced in one step; for a moment only the name is absent.
            folder.rename(temporary / "old")
        new.rename(folder)


@contextmanager
def _temporary_folder(beside: Path, needed_bytes: int) -> Iterator[Path]:
    """A folder on the same disk, removed with all that is left in it."""
    beside = beside.absolute()
    try:
        beside.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(beside.parent).free
        if free < needed_bytes:
            raise CheckpointError(
                f"{beside} needs {needed_bytes:,} bytes and its disk has {free:,} free: make room "
                "or choose another place"
            )
        folder = Path(tempfile.mkdtemp(prefix=f".{beside.name}.", dir=beside.parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise CheckpointError(
            f"{beside} could not be written ({reason}): "
            "nothing was left behind; make room or choose another place"
        ) from None
