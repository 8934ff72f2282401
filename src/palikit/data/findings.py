"""What readers share: collecting what is wrong, finding pictures and measuring them."""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from palikit.data.records import Problem
from palikit.errors import InputError
from palikit.pictures import PICTURE_SUFFIXES, opened
from palikit.results import Box

_ORIENTATION = 0x0112
_ON_ITS_SIDE = range(5, 9)
"""EXIF orientations that exchange width and height (EXIF 2.3, tag 0x0112)."""

_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""Bytes that no text holds: controls but for tab, line ends and escape (ECMA-48)."""

_BEGINNING = 40
"""Characters that a message shows of a text that should be a picture."""

_MAX_NAME = 120
"""Characters of a picture's name that a message shows; some data sets hold whole files there."""


class Findings:
    """The problems of one source, in the order they are met."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def error(self, where: str, what: str, kind: str) -> None:
        """Something that would make training wrong."""
        self.problems.append(Problem(where, what, is_error=True, kind=kind))

    def note(self, where: str, what: str, kind: str) -> None:
        """Something left out or dealt with."""
        self.problems.append(Problem(where, what, is_error=False, kind=kind))

    def picture(
        self, name: str, folders: Sequence[Path], where: str, stated: tuple[int, int] | None = None
    ) -> tuple[Path, int, int] | None:
        """A picture's path and upright size in pixels; None, with the reason noted, without one.

        Args:
            name: as the source has it, relative to one of `folders`, or absolute.
            folders: where to look, in this order.
            where: the place in the source.
            stated: width and height that the source gives, where it does.
        """
        path = self.file(name, folders, where)
        if path is None:
            return None
        try:
            size = upright_size(path)
        except InputError as error:
            self.error(where, picture_fault(path, error), "unreadable picture")
            return None
        if stated is not None and min(stated) > 0 and stated != size:
            self.error(where, _other_size(path, size, stated), "other picture size")
            return None
        return path, *size

    def file(self, name: str, folders: Sequence[Path], where: str) -> Path | None:
        """As `picture`, without opening the file."""
        path = find_picture(name, folders)
        if path is None:
            self.error(
                where,
                f"there is no picture {_short(name)} in {' or '.join(map(str, folders))}: put it "
                "there, or name the folder with --images",
                "missing picture",
            )
        return path


def find_picture(name: str, folders: Sequence[Path]) -> Path | None:
    """The absolute path of a picture; names may use either kind of slash."""
    # As it stands first: elsewhere than on Windows a backslash can be part of a name.
    for spelled in dict.fromkeys((name, name.replace("\\", "/"))):
        for folder in folders:
            path = folder / spelled
            if spelled and _is_file(path):
                return path.absolute()
    return None


def files_in(folder: Path, *patterns: str) -> list[Path]:
    """Files by patterns, in the order of their names, without hidden ones.

    Archives made on macOS hold a file ._a.jpg beside each a.jpg, which is no picture.
    """
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(path for path in found if not path.name.startswith("."))


def pictures_in(folder: Path, pattern: str = "*") -> list[Path]:
    """The picture files right in a folder, or by another pattern; by their endings, in order."""
    found = files_in(folder, pattern) if folder.is_dir() else []
    return [path for path in found if path.suffix.lower() in PICTURE_SUFFIXES]


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels once the EXIF orientation is applied; no pixel is decoded.

    Raises:
        InputError: as of `palikit.pictures.load_picture`.
    """
    width, height = (size := stored_size(path))[:2]
    return (height, width) if size[2] in _ON_ITS_SIDE else (width, height)


def stored_size(path: Path) -> tuple[int, int, int]:
    """Width and height in pixels as stored, and the EXIF orientation, 1 to 8.

    Raises:
        InputError: as of `upright_size`.
    """
    with opened(path) as picture:
        if picture.format == "PNG" and not _has_text_chunks(path):
            return *picture.size, 1
        return *picture.size, _orientation(picture)


def picture_fault(path: Path, error: InputError) -> str:
    """Why a file could not be read as a picture: what the error says, or that the file is text."""
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError:
        return str(error)
    if not head.strip() or _NO_TEXT.search(head):
        return str(error)
    try:
        # A letter may be cut in two at the end of what was read.
        words = " ".join(head.decode("utf-8", "strict" if len(head) < 512 else "ignore").split())
    except UnicodeDecodeError:
        return str(error)
    return (
        f"{path} is not a picture but text, which begins with {words[:_BEGINNING]!r}: put the "
        "picture itself there"
    )


def finite_numbers(values: Any, count: int) -> tuple[float, ...] | None:
    """So many finite numbers, from numbers or their texts; None if it is anything else."""
    if not isinstance(values, list | tuple) or len(values) != count:
        return None
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def shown_box(box: Box) -> str:
    """A box as messages write it: [x1, y1, x2, y2] in pixels."""
    return f"[{', '.join(f'{edge:g}' for edge in box.to_list())}]"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than a name can be
        return False


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}..."


def _other_size(path: Path, size: tuple[int, int], stated: tuple[int, int]) -> str:
    sizes = f"states {stated[0]} x {stated[1]} pixels and {path.name} has {size[0]} x {size[1]}"
    if stated == size[::-1] and stored_size(path)[2] in _ON_ITS_SIDE:
        return (
            f"it {sizes} once turned upright by its EXIF orientation: its labels were drawn on "
            "the picture lying on its side; remove the orientation tag from the picture"
        )
    if stated == size[::-1]:
        return (
            f"it {sizes}: width and height stand in each other's place; exchange them, or give the "
            "picture that was labelled if it lies turned by a quarter"
        )
    return f"it {sizes}: give the picture that was labelled, or correct the labels"


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # as in palikit.pictures: a damaged EXIF block says nothing
        return 1


def _has_text_chunks(path: Path) -> bool:
    """Whether a PNG file can hold an orientation: in an EXIF block, or in one of its texts.

    Pillow decodes a PNG whole to answer, as such chunks may follow the pixels; this skips them.
    Layout of a chunk (PNG, section 5.3): length, big-endian in 4 bytes; type; data; 4 bytes of CRC.
    """
    with path.open("rb") as stream:
        stream.seek(8)
        return any(kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt") for kind in _chunks(stream))


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while len(head := stream.read(8)) == 8:
        yield head[4:]
        stream.seek(int.from_bytes(head[:4], "big") + 4, 1)
