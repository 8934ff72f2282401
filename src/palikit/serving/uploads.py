"""Pictures as they arrive: base64, data: URIs, uploads and, where allowed, addresses.

Bytes are bounded before they are decoded, pixels before the picture is; both are counted into the
memory that all requests share. Nothing here opens a file, whatever a request names.
"""

import base64
import binascii
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from PIL.Image import Image

from palikit.pictures import opened, upright_rgb
from palikit.serving.problems import Problem, refused
from palikit.serving.remote import Remote
from palikit.urls import is_url

_SIGNATURES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",  # JPEG
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\x00",  # TIFF
    b"MM\x00*",
)
_HEAD = re.compile(r"data:([a-z]+/[a-z0-9.+-]+)?((?:;[^,;]*)*),", re.IGNORECASE)
_BYTES_PER_PIXEL = 4
"""Of a decoded picture: Pillow keeps three colours in four bytes."""


@dataclass(frozen=True)
class Upload:
    """A file of a form.

    Attributes:
        content: its bytes.
        media_type: as the client says; "" for nothing said.
    """

    content: bytes
    media_type: str


Source = str | Upload
"""Base64, a data: URI or an address; or an uploaded file."""


@dataclass(frozen=True)
class PictureLimits:
    """Bounds of the pictures of one request.

    Attributes:
        max_pictures: how many.
        max_pixels: of all together.
        remote: what may be fetched.
    """

    max_pictures: int
    max_pixels: int
    remote: Remote


def check_count(sources: Sequence[Source], limits: PictureLimits) -> None:
    """Raises Problem where there is no picture, or too many."""
    if not sources:
        raise refused("there is no picture: PaliGemma needs at least one", "image")
    if len(sources) > limits.max_pictures:
        raise refused(f"{len(sources)} pictures: at most {limits.max_pictures} are taken", "image")


def open_sources(
    sources: Sequence[Source], limits: PictureLimits, hold: Callable[[int], None]
) -> tuple[Image, ...]:
    """Decoded pictures, upright and RGB; blocks.

    Args:
        sources: of one request.
        limits: checked before a picture is decoded.
        hold: reserves bytes of memory; raises where there are too few.

    Raises:
        Problem: nothing that may be opened, or too large.
        InputError: not a picture, or a damaged one.
    """
    check_count(sources, limits)
    pictures: list[Image] = []
    left = limits.max_pixels
    for number, source in enumerate(sources, start=1):
        name = f"picture {number}" if len(sources) > 1 else "the picture"
        picture = _decoded(_bytes_of(source, name, limits, hold), name, left, hold)
        left -= picture.width * picture.height
        pictures.append(picture)
    return tuple(pictures)


def _bytes_of(
    source: Source, name: str, limits: PictureLimits, hold: Callable[[int], None]
) -> bytes:
    if isinstance(source, Upload):
        _check_media_type(source.media_type, name)
        hold(len(source.content))
        return source.content
    if match := _HEAD.match(source):
        _check_media_type(match[1] or "", name)
        hold(len(source))
        body = source[match.end() :]
        is_base64 = match[2].lower().endswith(";base64")
        return _from_base64(body, name) if is_base64 else unquote_to_bytes(body)
    if source[:5].lower() == "data:":
        raise refused(f"{name} is no data: URI: expected data:image/png;base64,...", "image")
    if is_url(source) or source[:5].lower() == "file:":
        content = limits.remote.fetch(source)
        hold(len(content))
        return content
    hold(len(source))
    return _from_base64(source, name)


def _decoded(content: bytes, name: str, max_pixels: int, hold: Callable[[int], None]) -> Image:
    if not content:
        raise refused(f"{name} is empty: expected the bytes of a picture", "image")
    if not _is_known(content):
        raise refused(
            f"{name} is no picture that is taken here: expected a PNG, JPEG, WebP, GIF, BMP, TIFF "
            "or AVIF file",
            "image",
        )
    with opened(_Named(content, name), max_pixels=max(max_pixels, 0)) as picture:
        hold(picture.width * picture.height * _BYTES_PER_PIXEL)
        return upright_rgb(picture, name)


class _Named(io.BytesIO):
    """Bytes that messages call by a name of ours, never by the client's."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def _is_known(content: bytes) -> bool:
    """Whether a file is of a format that strangers may send: every parser is one more to attack."""
    is_webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    is_avif = content[4:12] in (b"ftypavif", b"ftypavis")
    return is_webp or is_avif or content.startswith(_SIGNATURES)


def _check_media_type(media_type: str, name: str) -> None:
    kind = media_type.partition(";")[0].strip().lower()
    if kind and not kind.startswith("image/") and kind != "application/octet-stream":
        raise Problem(
            415,
            "media_type",
            f"{name} is said to be of another type than image/...: send a picture; of a film, "
            "frames as pictures",
            param="image",
        )


def _from_base64(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise refused(
            f"{name} is not valid base64: send its bytes in base64, or a data: URI", "image"
        ) from None
