"""Where the drawings of answers go."""

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

from palikit.batch import Source
from palikit.errors import InputError
from palikit.prediction import Prediction

SAVE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
"""Endings of the picture files that drawings are written to."""

_QUALITY = 95
"""Of JPEG and WebP, in per cent; other formats do not look at it."""
_MAX_STEM = 100


def plan_saves(save: str, sources: Sequence[Source], *, many: bool) -> dict[str, Path]:
    """The file of each source's drawing, by the source's name.

    One input is drawn to the file `save`, or into it where it is a folder or has no ending;
    several go to a folder, as PNG files named after their inputs, numbered where names repeat.

    Raises:
        InputError: a file's name where a folder is needed, or an ending that is no picture's.
    """
    suffix = PurePath(save).suffix.lower()
    folder = Path(save)
    if not many and suffix and not save.endswith(("/", os.sep)) and not folder.is_dir():
        if suffix not in SAVE_SUFFIXES:
            raise InputError(
                f"--save {save} does not end like a picture file: use one of "
                f"{', '.join(SAVE_SUFFIXES)}"
            )
        return {source.name: folder for source in sources}
    if suffix in SAVE_SUFFIXES and not folder.is_dir():
        raise InputError(
            f"--save {save} is one picture and there is a list of inputs: name a folder"
        )
    names = _unique(_stem(source) for source in sources)
    return {
        source.name: folder / f"{name}.png" for source, name in zip(sources, names, strict=True)
    }


def check_saves(files: Iterable[Path], *, overwrite: bool) -> None:
    """Make sure, before any work is done, that the files can be written; their folder is created.

    Raises:
        InputError: one exists and may not be overwritten, or its folder cannot be written to.
    """
    folders = set()
    for file in files:
        if file.exists() and not overwrite:
            raise InputError(f"{file} exists: give --save another name, or --overwrite it")
        if file.is_dir():
            raise InputError(f"{file} is a folder: give --save another name")
        folders.add(file.parent)
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise InputError(f"--save: cannot write to {folder}: {error.strerror}") from error


def save_drawing(prediction: Prediction[Any], file: Path) -> None:
    """Draw an answer to a file, which appears when it is whole.

    Raises:
        InputError: the file cannot be written.
    """
    temporary = file.with_name(f".{file.stem}.{os.getpid()}{file.suffix}")
    try:
        prediction.draw().save(temporary, quality=_QUALITY)
        temporary.replace(file)
    except (OSError, ValueError) as error:  # ValueError: larger than the format can hold
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{file} cannot be written: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _stem(source: Source) -> str:
    """A file name for a source: what its path or address ends with, without what paths forbid."""
    last = PurePath(source.name.split("?")[0].replace("\\", "/")).stem
    return re.sub(r"[^\w.-]+", "_", last)[:_MAX_STEM].strip("._-") or "picture"


def _unique(names: Iterable[str]) -> list[str]:
    """Numbers names that repeat; case is no difference, as it is none on some file systems."""
    taken: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.casefold())
        unique.append(candidate)
    return unique
