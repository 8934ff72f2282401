"""The folder that a command writes a checkpoint into: what is there, and what goes along."""

import shutil
from pathlib import Path

from palikit.errors import InputError
from palikit.options import LoadOptions


def check_destination(target: Path, advice: str) -> None:
    """Before any work.

    Args:
        target: a folder or file to be made.
        advice: what to do where something is there already.

    Raises:
        InputError: there is, or it cannot be looked at.
    """
    try:
        is_taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
    except OSError as error:
        raise InputError(f"{target} cannot be read: {error.strerror or error}") from None
    if is_taken:
        raise InputError(f"{target} exists{advice}")


def check_tokenizer_file(options: LoadOptions) -> Path | None:
    """The tokenizer that was named; raises InputError where it is no file."""
    if options.tokenizer is None:
        return None
    file = Path(options.tokenizer)
    if not file.is_file():
        raise InputError(f"no such file: {file}")
    return file


def take_codec_along(codec: Path | None, folder: Path) -> None:
    """Put a mask codec beside a model; raises InputError where that cannot be done."""
    if codec is None:
        return
    try:
        shutil.copyfile(codec, folder / codec.name)
    except OSError as error:
        raise InputError(
            f"the model is in {folder}, but its mask codec {codec} could not be copied there: "
            f"{error.strerror or error}"
        ) from None
