"""Where the drawings of answers go."""

import os
import re
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from palikit.batch import Found, Source, open_source
from palikit.cli.options import RunOptions
from palikit.errors import InputError
from palikit.prediction import Prediction
from palikit.urls import is_url

SAVE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
"""Endings of the picture files that drawings are written to."""

_QUALITY = 95
"""Of JPEG and WebP, in per cent; other formats do not look at it."""
_MAX_STEM = 100
_MAX_UNKNOWN = 5


class Drawings:
    """The drawings of one run, if it makes any; all is checked before the model is loaded.

    An answer is drawn after it is written down. So where a run that goes on finds a file and no
    answer, the file is none of its own, and is not replaced; and what it finds an answer to and no
    file, it draws.

    Args:
        options: of the run.
        found: its inputs.
        earlier: answers of the run that this one goes on with, by `input_key`.

    Attributes:
        missing: inputs with an answer of the earlier run and without a drawing.
        unknown: a few characters of the answers drawn that no font here has.

    Raises:
        InputError: as of `plan_saves`, `keep_inputs` and `check_saves`.
    """

    def __init__(
        self, options: RunOptions, found: Found, earlier: Mapping[str, Prediction[Any]]
    ) -> None:
        self._earlier, self._frames = earlier, options.frames
        self._files: dict[str, Path] = {}
        self.missing: list[Source] = []
        self.unknown = ""
        if options.save is None:
            return
        self._files = plan_saves(options.save, found.sources, many=found.many)
        keep_inputs(self._files.values(), found.sources, "--save")
        answered = [source for source in found.sources if source.key in earlier]
        self.missing = [each for each in answered if not self._files[each.name].exists()]
        todo = [self._files[each.name] for each in found.sources if each.key not in earlier]
        check_saves(
            [*todo, *(self._files[each.name] for each in self.missing)],
            overwrite=options.overwrite,
        )

    def save(self, prediction: Prediction[Any]) -> None:
        """Draw an answer, where the run draws."""
        if prediction.input in self._files:
            save_drawing(prediction, self._files[prediction.input])
            from palikit.drawing import undrawable

            self.unknown = self.unknown or undrawable(prediction.result)[:_MAX_UNKNOWN]

    def save_earlier(self, source: Source) -> None:
        """Draw one of `missing`, whose picture is opened once more."""
        picture = open_source(source, self._frames)[0]
        self.save(replace(self._earlier[source.key], input=source.name, image=picture))


def is_finished(options: RunOptions, found: Found, answered: Collection[str]) -> bool:
    """Whether every input has its answer, by `input_key`, and its drawing where there are some."""
    if found.missing or any(source.key not in answered for source in found.sources):
        return False
    if options.save is None:
        return True
    files = plan_saves(options.save, found.sources, many=found.many).values()
    return all(file.exists() for file in files)


def plan_saves(save: str, sources: Sequence[Source], *, many: bool) -> dict[str, Path]:
    """The file of each source's drawing, by the source's name.

    One input is drawn to the file `save`, or into it where it is a folder or has no ending;
    several go to a folder, as PNG files named after their inputs, numbered where names repeat.

    Raises:
        InputError: a file's name where a folder is needed, an ending that is no picture's, or "-".
    """
    if save == "-":  # elsewhere standard input or output, which carries the answers here
        raise InputError("--save - is no file: give drawings a name, for example --save out.png")
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


def keep_inputs(files: Iterable[Path], sources: Iterable[Source], option: str) -> None:
    """Make sure that an option names no file that is read, under whatever name.

    Raises:
        InputError: a file is one of the inputs.
    """
    parts = (part for source in sources for part in source.parts)
    inputs = {_identity(part) for part in parts if isinstance(part, str) and not is_url(part)}
    for file in files:
        if (found := _identity(file)) is not None and found in inputs:
            raise InputError(f"{file} is one of the inputs: give {option} another name")


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


def _identity(file: str | Path) -> tuple[int, int] | None:
    """What two names of one file have in common; None where there is no such file."""
    try:
        found = os.stat(file)  # noqa: PTH116 (for names that are no paths, too)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


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
