"""Anything a person calls a picture -> an upright RGB picture.

The rules, in the order they are applied:

- The size is read from the header and checked before a single pixel is decoded.
- Of an animation or a file of several pages the first frame is taken.
- Everything becomes RGB of 8 bits, transparency laid over white (`palikit.pixels`).
- Colour profiles are not applied: the published checkpoints are used without them.
- The EXIF orientation is applied, and then forgotten, so that loading twice turns once.

A damaged file is refused whole; no half-decoded picture is handed on. No torch here.
"""

import io
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.Image import Transpose

from palikit.errors import InputError, PaliKitError
from palikit.pixels import from_array, to_rgb
from palikit.urls import fetch_url, is_url, short_url

PictureSource: TypeAlias = (
    str | os.PathLike[str] | bytes | BinaryIO | Image.Image | npt.NDArray[Any]
)
"""A path or an address, a file's bytes, an open binary file, a PIL picture or an array of pixels.

Arrays are bool, uint8, uint16 (65535 is white) or float (1.0 is white), of shape [h, w] or
[h, w, 1] (grey), [h, w, 3] (RGB) or [h, w, 4] (RGB and opacity).
"""

DEFAULT_MAX_PIXELS = 178_956_970
"""Where Pillow refuses by default: 1 GiB / 4 / 3 pixels, twice (`PIL.Image.MAX_IMAGE_PIXELS`)."""

MAX_SIDE = 131_072
"""Longest side in pixels, twice what a JPEG file can have. Pillow gathers a row from blocks of
64 KiB by copying it anew for each, so a file of a few bytes that states rows of millions of pixels
would take minutes.
"""

FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "QOI": (".qoi",),
    "PSD": (".psd",),
    "HEIF": (".heic", ".heif"),  # this and the next where a plug-in of Pillow for it is registered
    "JXL": (".jxl",),
    "TGA": (".tga",),  # last: it has no signature of its own
}
"""What a file is tried as, by Pillow's names and in this order, and the endings of such files.

A list of our own because every further parser is one more for a hostile file to reach, and EPS
would start another program. What a file is called does not matter for how it is read.
"""

PICTURE_SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
"""Lower-case endings of the files a scan of a folder takes for pictures."""

_EXPECTED = "expected a path, bytes, an open binary file, a PIL picture or a NumPy array"
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation; 1 is upright (EXIF 2.3, tag 0x0112)."""


def load_picture(
    source: PictureSource,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    allow_urls: bool = False,
) -> Image.Image:
    """One upright picture in mode RGB, by the rules at the head of this file.

    Args:
        source: see `PictureSource`. A PIL picture is taken at its current frame, turned by the
            EXIF orientation it carries, and not modified.
        max_pixels: largest width x height accepted.
        allow_urls: whether addresses (http, https, data) are opened.

    Returns:
        A new picture that shares nothing with the source.

    Raises:
        InputError: nothing there, damaged, not a picture, too large, or an address where none is
            allowed; the message names the source.
    """
    with opened(source, max_pixels=max_pixels, allow_urls=allow_urls) as picture:
        return upright_rgb(picture, describe_source(source))


@contextmanager
def opened(
    source: PictureSource,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    allow_urls: bool = False,
) -> Iterator[Image.Image]:
    """The picture of a source: identified and measured, not decoded; open inside the block.

    Whatever a damaged file makes Pillow raise inside the block comes out as an InputError.
    """
    name = describe_source(source)
    with damage_named(name, "a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF file"), ExitStack() as stack:
        if isinstance(source, Image.Image):
            picture = source
        elif isinstance(source, np.ndarray):
            picture = from_array(source, name)
        else:
            stream = stack.enter_context(binary_stream(source, allow_urls=allow_urls))
            picture = _identified(stream, name)
        check_size(picture.size, name, max_pixels)
        yield picture


def upright_rgb(picture: Image.Image, name: str) -> Image.Image:
    """The current frame of a picture, decoded, in RGB and upright; a copy.

    Raises:
        InputError: deep pixels outside their range; `name` is what the message calls the picture.
        Exception: of many classes, by Pillow, for a damaged file: call it inside `opened`.
    """
    picture.load()
    turn = _UPRIGHT.get(_orientation(picture))
    rgb = to_rgb(picture, name)
    upright = rgb.transpose(turn) if turn is not None else rgb
    upright.info = {}  # its EXIF would turn the picture once more when it is loaded again
    return upright


def check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """Raises InputError unless (width, height) in pixels is neither empty nor too large."""
    width, height = size
    if width < 1 or height < 1:
        raise InputError(f"{name} is {width} x {height} pixels: expected at least 1 x 1")
    if width * height > max_pixels:
        raise InputError(
            f"{name} is {width} x {height} pixels, more than the {max_pixels:,} allowed: "
            "scale it down"
        )
    if max(size) > MAX_SIDE:
        raise InputError(
            f"{name} is {width} x {height} pixels: expected sides of at most {MAX_SIDE:,}; cut it"
        )


def describe_source(source: PictureSource) -> str:
    """What a source is called in messages and records: its path, its address, or its size."""
    if isinstance(source, str):
        return short_url(source) if is_url(source) else source
    if isinstance(source, os.PathLike):
        return os.fsdecode(source)
    if isinstance(source, bytes):
        return f"picture in memory ({len(source)} bytes)"
    if isinstance(source, np.ndarray):
        return f"array of shape {list(source.shape)} and type {source.dtype}"
    if isinstance(source, Image.Image):
        # The file it was opened from; a picture made or changed in memory has no such attribute.
        name = getattr(source, "filename", "")
        return str(name or f"picture in memory ({source.width} x {source.height})")
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "picture in memory"


@contextmanager
def binary_stream(source: PictureSource, *, allow_urls: bool = False) -> Iterator[BinaryIO]:
    """A path, an address or bytes as an open binary file; a file that is open already stays so.

    Raises:
        InputError: no such file, a folder, not readable, an address that may not or cannot be
            opened, or a value that is none of these.
    """
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, str) and is_url(source):
        if not allow_urls:
            raise InputError(
                f"{short_url(source)} is an address, and addresses are not opened here: "
                "download it and give the file, or allow addresses (allow_urls)"
            )
        yield io.BytesIO(fetch_url(source))
    elif isinstance(source, str | os.PathLike):
        with _opened_file(Path(source)) as stream:
            yield stream
    elif isinstance(source, Image.Image | np.ndarray) or not hasattr(source, "seek"):
        is_many = isinstance(source, Iterable) and not isinstance(source, np.ndarray)
        raise InputError(
            f"got {type(source).__name__} for a picture: "
            + ("make it a list of pictures" if is_many else _EXPECTED)
        )
    else:
        yield source


@contextmanager
def damage_named(name: str, expected: str) -> Iterator[None]:
    """Turns whatever a decoder raises inside the block into an InputError that names the source."""
    try:
        yield
    except PaliKitError:
        raise
    except MemoryError as error:
        raise InputError(f"{name} needs more memory than there is: scale it down") from error
    # Decoders raise OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error and more.
    except Exception as error:
        reason = _plain_reason(error)
        raise InputError(
            f"{name} is damaged or cannot be read ({reason}): expected {expected}, whole"
        ) from error


def _plain_reason(error: Exception) -> str:
    """What a decoder means; those that run out of bytes say so in the words of their insides."""
    if isinstance(error, EOFError | struct.error) or "truncated" in str(error).lower():
        return "it ends too early"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _opened_file(path: Path) -> BinaryIO:
    try:
        if not path.exists():
            path = Path(os.path.expanduser(path))  # noqa: PTH111 (Path raises on an unknown user)
        if path.is_dir():
            raise InputError(f"{path} is a folder: expected the file of one picture")
        if path.exists() and not path.is_file():  # reading a pipe or a device may never end
            raise InputError(f"{path} is not a regular file: expected the file of one picture")
        return path.open("rb")
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be opened: {reason}") from error


def _identified(stream: BinaryIO, name: str) -> Image.Image:
    """The picture of a file, with its header read and its pixels not.

    `Image.open` would do, but that its check of the size is a warning below one bound and an error
    without the size above another, and can be set for the whole process only.
    """
    Image.init()
    stream.seek(0)
    start = stream.read(16)
    if not start:
        raise InputError(f"{name} is empty: expected the file of one picture")
    for fmt in FORMATS:
        opener, accepts = Image.OPEN.get(fmt, (None, None))
        if opener is None or not _accepts(accepts, start):
            continue
        stream.seek(0)
        try:
            return opener(stream, "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue  # how Pillow's readers say "not mine", after a look at more than the start
    raise InputError(
        f"{name} is not a picture, or its beginning is damaged: expected a JPEG, PNG, WebP, GIF, "
        "BMP, TIFF or AVIF file"
    )


def _accepts(accepts: Callable[[bytes], bool | str] | None, start: bytes) -> bool:
    """Whether a reader takes a file for its own; one of a few bytes may end before it can say."""
    try:
        return accepts is None or accepts(start) is True
    except (IndexError, struct.error):
        return False


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, upright, where there is none."""
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged EXIF block says nothing, and takes nothing from the pixels
        return 1
