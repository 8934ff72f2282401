"""What is to be known about picture files: can they be read, how large are they, which are equal.

Files are read by several threads at a time: Pillow's decoders and the hashes work without Python's
lock.
"""

import hashlib
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from palikit.data.findings import picture_fault
from palikit.errors import InputError
from palikit.pictures import opened, upright_rgb

T = TypeVar("T")
R = TypeVar("R")

_MAX_THREADS = 8
_WAITING = 64
"""Pictures handed to the threads ahead of time: few, so that Ctrl-C is obeyed at once."""

_BLOCK = 2**20


@dataclass(frozen=True)
class PictureFacts:
    """One file.

    Attributes:
        stored: width and height in pixels as the file has them; (0, 0) where it cannot be read.
        size: the same after the EXIF orientation, as a person sees it.
        digest: of the upright pixels; equal for equal pictures, whatever else their files hold.
        fault: a sentence, where it is missing or cannot be read.
        is_missing: there is no such file.
    """

    path: Path
    stored: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)
    digest: str = ""
    fault: str = ""
    is_missing: bool = False


def read_pictures(
    paths: Iterable[Path], on_each: Callable[[], None] = lambda: None
) -> dict[Path, PictureFacts]:
    """Decode every file, whole; never raises for what is wrong with one.

    Args:
        paths: of picture files, read once however often they are named.
        on_each: called as each is done, for a progress bar.
    """
    facts = {}
    for found in _in_threads(read_picture, dict.fromkeys(paths)):
        facts[found.path] = found
        on_each()
    return facts


def read_picture(path: Path) -> PictureFacts:
    """Decode one file; never raises for what is wrong with it."""
    if not path.exists():
        return PictureFacts(path, fault=f"no such file: {path}", is_missing=True)
    try:
        with opened(path) as picture:
            stored = picture.size
            upright = upright_rgb(picture, str(path))
    except InputError as error:
        return PictureFacts(path, fault=picture_fault(path, error))
    pixels = hashlib.sha256(upright.tobytes())
    pixels.update(repr(upright.size).encode())
    return PictureFacts(path, stored, upright.size, pixels.hexdigest())


def first_missing(paths: Iterable[Path]) -> Path | None:
    """The first of these files that does not exist."""
    distinct = list(dict.fromkeys(paths))
    exists = _in_threads(_is_file, distinct)
    return next((path for path, there in zip(distinct, exists, strict=True) if not there), None)


def shared_files(paths_of: Mapping[str, Sequence[Path]]) -> Iterator[tuple[Path, str, Path, str]]:
    """Files of equal content in two splits: the one, its split, the other, its split.

    Only files whose number of bytes stands in several splits are read.
    """
    by_size: dict[int, list[tuple[Path, str]]] = defaultdict(list)
    named = [(path, split) for split, paths in paths_of.items() for path in dict.fromkeys(paths)]
    for each, nbytes in _with(_nbytes, named):
        by_size[nbytes].append(each)
    groups = (group for group in by_size.values() if len({split for _, split in group}) > 1)
    seen: dict[str, tuple[Path, str]] = {}
    for (path, split), digest in _with(_digest, [each for group in groups for each in group]):
        first, first_split = seen.setdefault(digest, (path, split))
        if first_split != split:
            yield first, first_split, path, split


def _is_file(path: Path) -> bool:
    return path.is_file()


def _nbytes(path: Path) -> int:
    return path.stat().st_size


def _digest(path: Path) -> str:
    content = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            content.update(block)
    return content.hexdigest()


def _with(
    work: Callable[[Path], R], named: Sequence[tuple[Path, str]]
) -> Iterator[tuple[tuple[Path, str], R]]:
    return zip(named, _in_threads(work, [path for path, _ in named]), strict=True)


def _in_threads(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`map` in threads, in order, with few items under way."""
    rest = iter(items)
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as threads:
        waiting = deque(threads.submit(work, item) for item in islice(rest, _WAITING))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(threads.submit(work, item) for item in islice(rest, 1))
