"""Files and folders that appear under their name when they are whole, and not before.

What they replace keeps its place until then, stands aside for the change of names alone, and comes
back where that fails. It never stands in a folder that is removed in any case.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from palikit.checkpoints.layout import is_checkpoint_file, is_weight_file
from palikit.errors import CheckpointError


@contextmanager
def replacing_file(
    file: Path, *, companion: Path, needed_bytes: int, overwrite: bool
) -> Iterator[Path]:
    """A temporary folder; what is written there as `file.name` becomes `file` at the end.

    `companion` lies beside `file` and is read with it: it comes along where it was written too, and
    one that was there before goes.

    Raises:
        CheckpointError: `file` or `companion` exists and `overwrite` is not set, or they cannot be
            written.
    """
    for path in (file, companion):
        if path.exists() and not overwrite:
            raise CheckpointError(f"{path} exists: choose another name, or --overwrite it")
    with _temporary_folder(file, needed_bytes) as folder:
        yield folder
        old, new = _aside(folder), folder / companion.name
        _rename_all(
            [
                *([(companion, old)] if companion.exists() else []),
                *([(new, companion)] if new.exists() else []),
                (folder / file.name, file),
            ]
        )
        old.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path, *, needed_bytes: int, overwrite: bool) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its name at the end.

    Only a folder that is empty or holds a checkpoint is ever replaced, and of that only the files
    of the checkpoint: everything else (a mask codec, a README, a thesis) moves into the new folder.

    Raises:
        CheckpointError: `folder` is not empty and `overwrite` is not set, or is no checkpoint, or
            cannot be written.
    """
    folder = folder.resolve()  # a link is written through, not replaced
    names = _names_in(folder)
    if names and not overwrite:
        raise CheckpointError(f"{folder} is not empty: choose another folder, or --overwrite it")
    if names and not ("config.json" in names and any(map(is_weight_file, names))):
        raise CheckpointError(
            f"{folder} is not a checkpoint (config.json and model.safetensors or its shards) and "
            "is not overwritten: choose another folder"
        )
    with _temporary_folder(folder, needed_bytes) as temporary:
        new, old = temporary / "new", _aside(temporary)
        new.mkdir()
        yield new
        kept = [name for name in _names_in(folder) if not is_checkpoint_file(name)]
        # A folder cannot be replaced in one step; for a moment only the name is absent.
        _rename_all(
            [
                *([(folder, old)] if folder.exists() else []),
                *((old / name, new / name) for name in kept),
                (new, folder),
            ]
        )
        shutil.rmtree(old, ignore_errors=True)


def _names_in(folder: Path) -> list[str]:
    """What is in a folder; a file in its place is told as such by its own name."""
    if folder.is_file():
        return [folder.name]
    return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []


def _aside(temporary: Path) -> Path:
    """Where the old one stands for a moment: beside the temporary folder, not in it."""
    return temporary.with_name(f"{temporary.name}.old")


def _rename_all(moves: list[tuple[Path, Path]]) -> None:
    """All moves, or none: before the last is made, a failure undoes those that were made."""
    try:
        for source, target in moves:
            source.replace(target)
    except BaseException:
        if os.path.lexists(moves[-1][0]):
            _undo(moves)
        raise


def _undo(moves: list[tuple[Path, Path]]) -> None:
    for source, target in reversed(moves):
        if os.path.lexists(target) and not os.path.lexists(source):
            try:
                target.replace(source)
            except OSError as error:
                raise CheckpointError(
                    f"{source} could not be put back ({error.strerror}) and stands in {target}: "
                    "rename it"
                ) from None


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
    except (OSError, SafetensorError) as error:  # that of safetensors is no OSError
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else error or type(error).__name__
        raise CheckpointError(
            f"{beside} could not be written ({reason}): "
            "nothing was left behind; make room or choose another place"
        ) from None
