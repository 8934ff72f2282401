"""From what a person types to inputs: files, folders, globs, addresses, standard input."""

import glob
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

from PIL.Image import Image

from palikit.errors import InputError, PaliKitError
from palikit.pictures import PICTURE_SUFFIXES, describe_source
from palikit.request import Pictures, Video, count_pictures, open_pictures
from palikit.urls import is_url
from palikit.video import VIDEO_SUFFIXES

STDIN = "-"
"""Stands for the bytes of a picture on standard input."""

_SCHEMES = ("http:", "https:", "data:")


@dataclass(frozen=True)
class Source:
    """One input.

    Attributes:
        name: what it is called in records; no two sources of a run share one.
        parts: paths, addresses or a file's bytes; several where they are one input together.
    """

    name: str
    parts: tuple[str | bytes, ...]

    @property
    def key(self) -> str:
        """What this input is known again by; see `input_key`."""
        return input_key(self.name)


@dataclass(frozen=True)
class Failure:
    """An input that has no answer, and why."""

    name: str
    error: PaliKitError


@dataclass(frozen=True)
class Found:
    """What the arguments stand for.

    Attributes:
        sources: in the order of the arguments, folders in the order of their names.
        missing: arguments among several that stand for nothing.
        many: whether a list was meant: several arguments, a folder or a glob, however many
            sources it came to.
        repeated: names of inputs that were named again and are asked once.
    """

    sources: tuple[Source, ...]
    missing: tuple[Failure, ...]
    many: bool
    repeated: tuple[str, ...] = ()


def input_key(name: str) -> str:
    """What two names of one input have in common: the absolute path; other names are their own."""
    if name == STDIN or is_url(name):
        return name
    return os.path.normcase(os.path.abspath(name))  # noqa: PTH100 (Path keeps ..)


def discover(
    inputs: Sequence[str],
    *,
    together: bool = False,
    passed_over: str | None = None,
    read_stdin: Callable[[], bytes],
) -> Found:
    """Find what the arguments stand for, without opening any of it.

    What several arguments stand for is one input; of the pictures of one question, none is left
    out, because the same picture twice is another question.

    Folders are searched to any depth for files that end as pictures and videos do; names that
    begin with a dot are passed over. Globs are expanded here where the shell has not done it.

    Args:
        inputs: paths, addresses (http, https, data), folders, globs, or "-".
        together: all that is found is one input.
        passed_over: a folder whose pictures are none of the inputs, because the run puts its own
            there; it can still be named itself.
        read_stdin: called once for "-".

    Raises:
        InputError: nothing to be found where one input was given or all are one; an empty folder;
            an empty argument; an address of another scheme; nothing on standard input.
    """
    if not inputs:
        raise InputError("no input: give pictures, videos, folders or addresses")
    if "" in inputs:
        raise InputError("an input is empty: give a picture, a video, a folder or an address")
    many = not together and (len(inputs) > 1 or not _is_one(inputs[0]))
    read_stdin = cache(read_stdin)  # it can be read once, and named twice
    parts: list[str | bytes] = []
    missing: list[Failure] = []
    for word in inputs:
        try:
            parts += _expanded(word, read_stdin, passed_over)
        except _NotFoundError as error:
            if together or len(inputs) == 1:
                raise InputError(str(error)) from None
            missing.append(Failure(word, InputError(str(error))))
    if together:
        return Found((Source(", ".join(map(_name, parts)), tuple(parts)),), (), many=False)
    single: dict[str, str | bytes] = {}  # by identity: ./a.png and a.png are one picture
    repeated = [part for part in parts if single.setdefault(_identity(part), part) is not part]
    return Found(tuple(_named(single.values())), tuple(missing), many, tuple(map(_name, repeated)))


def open_source(source: Source, frames: int | None = None) -> tuple[Image, ...]:
    """The pictures of one input, upright and RGB, in order.

    Args:
        source: the input.
        frames: pictures taken of a video or an animation, evenly spaced; 0 takes all, None 16 of a
            video and the first of an animation. A still picture is one picture in any case.

    Raises:
        InputError: as of `open_pictures`.
        MissingExtraError: a video, and PyAV is not installed.
    """
    return open_pictures(_input_of(source, frames))


def count_source(source: Source, frames: int | None = None) -> int:
    """How many pictures `open_source` may give; nothing is opened."""
    return count_pictures(_input_of(source, frames))


def _input_of(source: Source, frames: int | None) -> Pictures:
    parts = [_StandardInput(part) if isinstance(part, bytes) else part for part in source.parts]
    if frames is None:
        return Pictures(*parts)
    return Pictures(*(Video(part, frames or None) for part in parts))


def has_known_suffix(path: str) -> bool:
    """Whether a file is called like a picture or a video."""
    suffix = PurePath(path).suffix.lower()
    return suffix in PICTURE_SUFFIXES or suffix in VIDEO_SUFFIXES


class _StandardInput(io.BytesIO):
    """What was read there, as messages are to call it."""

    name = "standard input"


class _NotFoundError(Exception):
    """An argument stands for nothing."""


def _is_one(word: str) -> bool:
    """Whether an argument means one input rather than a list."""
    if word == STDIN or is_url(word):
        return True
    return not os.path.isdir(word) and (os.path.exists(word) or not glob.has_magic(word))  # noqa: PTH110, PTH112 (os.path answers no to names no file can have, where Path raises)


def _expanded(
    word: str, read_stdin: Callable[[], bytes], passed_over: str | None
) -> list[str | bytes]:
    if word == STDIN:
        return [_checked_stdin(read_stdin())]
    if is_url(word):
        if not word.lower().startswith(_SCHEMES):
            raise InputError(f"{word} cannot be fetched: expected an http or https address")
        return [word]
    if os.path.isdir(word):  # noqa: PTH112 (as in _is_one)
        return _in_folder(word, passed_over)
    if os.path.lexists(word):
        return [word]
    if not glob.has_magic(word):
        raise _NotFoundError(f"no such file or folder: {word}")
    matches = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 (a pattern may be absolute)
    found = [part for match in matches for part in _matched(match, passed_over)]
    if not found:
        raise _NotFoundError(f"no picture or video matches {word}")
    return found


def _matched(path: str, passed_over: str | None) -> list[str | bytes]:
    """A file that a glob names, whatever it is called, or the pictures of a folder it names."""
    if Path(path).is_dir():
        return [] if _is_same(path, passed_over) else _in_folder(path, passed_over, is_given=False)
    return [] if _is_same(str(Path(path).parent), passed_over) else [path]


def _in_folder(folder: str, passed_over: str | None, *, is_given: bool = True) -> list[str | bytes]:
    found = []
    for parent, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = [
            name
            for name in folders
            if not (name.startswith(".") or _is_same(_joined(parent, name), passed_over))
        ]
        names = (name for name in files if has_known_suffix(name) and not name.startswith("."))
        found += [_joined(parent, name) for name in names]
    if not found and is_given:
        raise InputError(f"{folder} holds no picture or video: name a folder with some, or files")
    return [*sorted(found, key=lambda path: PurePath(path).parts)]


def _joined(folder: str, name: str) -> str:
    """Joined as text, because Path would drop a leading ./ that the person wrote."""
    return f"{folder.rstrip(os.sep)}{os.sep}{name}"


def _is_same(folder: str, other: str | None) -> bool:
    return other is not None and _identity(folder) == _identity(other)


def _unreadable(error: OSError) -> None:
    raise InputError(f"the folder {error.filename} cannot be read: {error.strerror}") from error


def _checked_stdin(data: bytes) -> bytes:
    if not data:
        raise InputError("standard input is empty: - expects the bytes of a picture there")
    return data


def _identity(part: str | bytes) -> str:
    return STDIN if isinstance(part, bytes) else input_key(part)


def _name(part: str | bytes) -> str:
    return STDIN if isinstance(part, bytes) else describe_source(part)


def _named(parts: Iterable[str | bytes]) -> Iterator[Source]:
    """Sources with a name each; data addresses of one length are called alike, so are numbered."""
    taken: dict[str, int] = {}
    for part in parts:
        name = _name(part)
        taken[name] = taken.get(name, 0) + 1
        yield Source(name if taken[name] == 1 else f"{name} #{taken[name]}", (part,))
