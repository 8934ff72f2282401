"""Frames of a clip -> upright RGB pictures, evenly spaced over it.

Animated GIF, WebP, PNG and AVIF files are read by Pillow, films by PyAV (the extra `video`). A
still picture is a clip of one frame. No torch here.

The video transfers published for PaliGemma take 8 or 16 frames from the first one on, every k-th,
with k chosen for each data set so that its clips are covered, and repeat a short clip's frames from
the start. Here k follows from the clip's length.
"""

import os
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image
from PIL.Image import Transpose

from palikit.errors import InputError, MissingExtraError
from palikit.pictures import (
    DEFAULT_MAX_PIXELS,
    PictureSource,
    binary_stream,
    check_size,
    damage_named,
    describe_source,
    opened,
    upright_rgb,
)
from palikit.urls import is_url

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream

MAX_FRAMES = 64
"""Frames returned where no number is asked for; above it the choice is the caller's."""

MAX_NUM_FRAMES = 512
"""Most frames that can be asked for: more image tokens than any position the decoder knows."""

MAX_SCANNED = 216_000
"""Frames a clip may have: two hours at 30 a second. All before the last one wanted are decoded."""

CONTAINERS = {
    "mov": (".mp4", ".m4v", ".mov", ".3gp"),
    "matroska": (".mkv", ".webm"),
    "avi": (".avi",),
    "mpeg": (".mpg", ".mpeg"),
    "mpegts": (".ts", ".mts", ".m2ts"),
    "asf": (".wmv",),
    "flv": (".flv",),
    "ogg": (".ogv",),
}
"""What a film is tried as, by FFmpeg's names, and the endings of such files.

FFmpeg would read play lists too, whatever a file is called, and open what they name, which may be
any other file of this machine.
"""

VIDEO_SUFFIXES = frozenset(suffix for suffixes in CONTAINERS.values() for suffix in suffixes)
"""Lower-case endings of the files that are read as films."""

_ANIMATED = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
"""Formats whose frames follow each other in time; pages, layers and gain maps do not."""

_QUARTERS = {1: Transpose.ROTATE_90, 2: Transpose.ROTATE_180, 3: Transpose.ROTATE_270}
"""Quarter turns against the clock, which is how FFmpeg states a film's rotation."""

_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1")


def load_frames(
    source: PictureSource,
    num_frames: int | None,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_frames: int = MAX_FRAMES,
    allow_urls: bool = False,
    choose: Callable[[int], Sequence[int]] | None = None,
) -> list[Image.Image]:
    """Frames of a film or an animated picture, chosen by `frame_indices`.

    Frames that are not wanted are decoded and let go; only the wanted ones are held.

    Args:
        source: as `load_picture` takes it, or a film. Which of the two a path is, its ending says;
            which of the two bytes are, their beginning.
        num_frames: how many; None for every frame.
        max_pixels: largest width x height of a frame.
        max_frames: most frames that None may stand for.
        allow_urls: whether addresses are opened.
        choose: takes frames by another rule than `frame_indices`: the number that there are ->
            the indices wanted.

    Returns:
        Upright RGB pictures in order; where a short clip is repeated, the same objects again.

    Raises:
        InputError: no such file, damaged, no frame in it, too large, too long, or more frames than
            `max_frames`.
        MissingExtraError: a film, and PyAV is not installed.
    """
    name, choice = describe_source(source), _Choice(num_frames, max_frames, choose)
    if is_video(source):
        with (
            binary_stream(source, allow_urls=allow_urls) as stream,
            damage_named(name, "an MP4, MOV, MKV, WebM or AVI file"),
        ):
            return _film_frames(stream, name, choice, max_pixels)
    with opened(source, max_pixels=max_pixels, allow_urls=allow_urls) as picture:
        return _animation_frames(picture, name, choice, max_pixels)


def frame_indices(total: int, num_frames: int) -> list[int]:
    """Which of `total` frames stand for a clip: `floor(i * total / num_frames)`.

    The first frame is always taken and the others are evenly spaced. A clip of fewer frames than
    wanted gives all of them, over and over from the start: `i mod total`.
    """
    if total < 1 or num_frames < 1:
        raise InputError(f"cannot take {num_frames} of {total} frames: expected 1 or more of each")
    if total < num_frames:
        return [i % total for i in range(num_frames)]
    return [i * total // num_frames for i in range(num_frames)]


def is_video(source: PictureSource) -> bool:
    """Whether a path or an address ends, or bytes or an open file begin, as a film does."""
    if isinstance(source, str) and is_url(source):
        return source[:11].lower() == "data:video/" or _has_video_suffix(source.split("?")[0])
    if isinstance(source, str | os.PathLike):
        return _has_video_suffix(os.fspath(source))
    if isinstance(source, bytes):
        return _begins_as_video(source[:16])
    if isinstance(source, Image.Image | np.ndarray) or not hasattr(source, "seek"):
        return False
    source.seek(0)
    return _begins_as_video(source.read(16))


def _has_video_suffix(path: str) -> bool:
    return PurePath(path).suffix.lower() in VIDEO_SUFFIXES


def _begins_as_video(start: bytes) -> bool:
    """By the signatures of MP4 and MOV, Matroska and WebM, AVI, MPEG and Ogg."""
    if start[4:8] == b"ftyp":
        return not start[8:12].startswith(_PICTURE_BRANDS)
    if start[:4] == b"RIFF":
        return start[8:12] == b"AVI "
    return start.startswith((b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"OggS"))


@dataclass(frozen=True)
class _Choice:
    """Which frames are wanted; see `load_frames`."""

    num_frames: int | None
    max_frames: int
    choose: Callable[[int], Sequence[int]] | None = None

    def indices(self, total: int, name: str) -> Sequence[int]:
        """The indices wanted of a clip of `total` frames."""
        if total > MAX_SCANNED:
            raise InputError(f"{name} has more than {MAX_SCANNED:,} frames: cut it first")
        if total < 1:
            raise InputError(f"{name} has no frame that can be decoded: expected one at least")
        if self.choose is not None:
            return self.choose(total)
        if self.num_frames is not None:
            return frame_indices(total, self.num_frames)
        if total > self.max_frames:
            raise InputError(
                f"{name} has {total} frames, more than the {self.max_frames} that are taken "
                "without being asked for: say how many (num_frames, or --frames)"
            )
        return list(range(total))


def _animation_frames(
    picture: Image.Image, name: str, choice: _Choice, max_pixels: int
) -> list[Image.Image]:
    animated = picture.format in _ANIMATED and getattr(picture, "is_animated", False)
    picked = choice.indices(getattr(picture, "n_frames", 1) if animated else 1, name)
    if not animated:
        return [upright_rgb(picture, name)] * len(picked)
    before, frames = picture.tell(), {}
    try:
        for index in sorted(set(picked)):
            picture.seek(index)
            check_size(picture.size, name, max_pixels)  # a later frame of a GIF can be larger
            frames[index] = upright_rgb(picture, name)
    finally:
        picture.seek(before)  # the picture may be the caller's
    return [frames[index] for index in picked]


def _film_frames(
    stream: BinaryIO, name: str, choice: _Choice, max_pixels: int
) -> list[Image.Image]:
    if _ends_inside_a_box(stream):
        raise InputError(f"{name} is cut short: expected a whole film; fetch or copy it again")
    total = _stated_frames(stream, name) or _scan(stream, name, set(), max_pixels)[1]
    picked = choice.indices(total, name)
    frames, seen = _scan(stream, name, set(picked), max_pixels)
    if len(frames) < len(set(picked)):  # fewer frames than it states: the count made on the way
        picked = choice.indices(seen, name)
        frames, _ = _scan(stream, name, set(picked), max_pixels)
    return [frames[index] for index in picked]


def _ends_inside_a_box(stream: BinaryIO) -> bool:
    """Whether an MP4 or MOV file lacks its end; FFmpeg shows such a film as far as it goes.

    The file is a row of boxes: 4 bytes of size, 4 of kind, and 8 of size where the first are 1; a
    size of 0 goes to the end (ISO/IEC 14496-12, 4.2).
    """
    end, at = stream.seek(0, os.SEEK_END), 0
    for _ in range(MAX_SCANNED):
        stream.seek(at)
        head = stream.read(16)
        kind, size = head[4:8], int.from_bytes(head[:4], "big")
        size = int.from_bytes(head[8:], "big") if size == 1 else size
        at += size
        if size < 8 or at >= end:
            break
    # Bytes that some programs append are no box, and other containers have none of these kinds.
    return at > end and kind in {b"mdat", b"moov", b"moof"}


def _stated_frames(stream: BinaryIO, name: str) -> int:
    """The number of frames in the container's header; 0 where it has none that is credible."""
    with _film(stream, name) as (track, _):
        return track.frames if track.frames <= MAX_SCANNED else 0


def _scan(
    stream: BinaryIO, name: str, wanted: Set[int], max_pixels: int
) -> tuple[dict[int, Image.Image], int]:
    """Decodes up to the last frame wanted, or to the end where none is.

    Returns:
        The frames wanted by index, as far as the film has them, and the number decoded.
    """
    frames: dict[int, Image.Image] = {}
    seen, stop = 0, max(wanted, default=MAX_SCANNED) + 1
    with _film(stream, name) as (track, decoded):
        # Before the first frame, because a decoder takes its memory then; 0 is "not stated".
        check_size((track.width or 1, track.height or 1), name, max_pixels)
        for frame in decoded:
            check_size((frame.width, frame.height), name, max_pixels)
            if seen in wanted:
                frames[seen] = _upright_frame(frame, name)
            seen += 1
            if seen == stop:
                break
    return frames, seen


@contextmanager
def _film(stream: BinaryIO, name: str) -> Iterator[tuple["VideoStream", Iterator["VideoFrame"]]]:
    """The picture track of a film from its start, and the frames of it as they are decoded."""
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video", "read video files") from error
    stream.seek(0)
    with av.open(stream, "r", options={"format_whitelist": ",".join(CONTAINERS)}) as container:
        track = container.streams.best("video")
        if not isinstance(track, av.VideoStream):
            raise InputError(f"{name} has no picture track: expected a film")
        track.thread_type = "AUTO"
        yield track, container.decode(track)


def _upright_frame(frame: "VideoFrame", name: str) -> Image.Image:
    if frame.is_corrupt:
        raise InputError(f"{name} is damaged: a frame at {frame.time} s cannot be decoded whole")
    picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
    turn = _QUARTERS.get(round(frame.rotation / 90) % 4)
    return picture.transpose(turn) if turn is not None else picture
