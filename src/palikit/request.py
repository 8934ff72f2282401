"""What a person asks: pictures in any form, and the task about them."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, TypeAlias

from PIL.Image import Image

from palikit.errors import InputError
from palikit.pictures import PictureSource, describe_source, load_picture
from palikit.tasks import Task
from palikit.video import MAX_FRAMES, MAX_NUM_FRAMES, is_video, load_frames

NUM_FRAMES = 16
"""Frames of a video, as the published video transfers take them: 4096 tokens at 224 px."""


@dataclass(frozen=True)
class Video:
    """Frames of a video or an animation, evenly spaced, as one input.

    Attributes:
        source: a film, or an animated picture; a still picture is one picture.
        num_frames: how many, 1 to 512; a clip of fewer is repeated. None takes every frame, of a
            clip of at most `palikit.video.MAX_FRAMES`.
    """

    source: PictureSource
    num_frames: int | None = NUM_FRAMES

    def __post_init__(self) -> None:
        if self.num_frames is not None and not 1 <= self.num_frames <= MAX_NUM_FRAMES:
            raise InputError(
                f"num_frames is {self.num_frames}: it must be 1 to {MAX_NUM_FRAMES}, or None for "
                "all"
            )


class Pictures:
    """Several pictures as one input, in reading order: `Pictures("left.png", "right.png")`.

    A video among them is its frames, as many as of one by itself.
    """

    def __init__(self, *sources: PictureSource | Video) -> None:
        if not sources:
            raise InputError("Pictures needs at least one picture")
        for each in sources:
            if isinstance(each, list | tuple | Iterator) and not hasattr(each, "read"):
                raise InputError(
                    f"got {type(each).__name__} for one of the pictures: they are given one by "
                    "one, write Pictures(*list)"
                )
        self.sources = sources

    def __repr__(self) -> str:
        return f"Pictures({describe_input(self)})"


PictureInput: TypeAlias = PictureSource | Video | Pictures
"""What one question can be about; a path that ends like a video's is taken as a `Video`."""

ManyInputs: TypeAlias = list[Any] | tuple[Any, ...]
"""Several `PictureInput`, each to be answered for itself.

The elements are not typed: a list is invariant, and `list[str]` or `list[Path]` must pass.
"""


@dataclass(frozen=True)
class Request:
    """One task about one input.

    Attributes:
        pictures: upright RGB; frames of a video count as pictures.
        task: what is asked.
        input: where the pictures came from, for the record.
    """

    pictures: tuple[Image, ...]
    task: Task
    input: str


TaskFor: TypeAlias = Callable[[int, int], Task]
"""The task about a picture of (width, height) in pixels; a region's prompt depends on them."""


@dataclass(frozen=True)
class Inquiry:
    """Questions about one input whose pictures are opened when their turn comes.

    Attributes:
        open: loads the pictures; called once, maybe in another thread. It raises a PaliKitError
            where they cannot be read.
        task_fors: one for each question.
        input: as of `Request`.
        num_pictures: how many there will be, as far as that is known before they are opened.
    """

    open: Callable[[], tuple[Image, ...]]
    task_fors: tuple[TaskFor, ...]
    input: str
    num_pictures: int = 1


def open_pictures(source: PictureInput) -> tuple[Image, ...]:
    """Load what one input stands for; addresses are opened too, being the user's own.

    Raises:
        InputError: as of `load_picture` and `load_frames`.
        MissingExtraError: a video, and PyAV is not installed.
    """
    if isinstance(source, Pictures):
        return tuple(picture for each in source.sources for picture in open_pictures(each))
    if not isinstance(source, Video):
        if not is_video(source):
            return (load_picture(source, allow_urls=True),)
        source = Video(source)
    frames = load_frames(source.source, source.num_frames, allow_urls=True)
    # A still picture comes back as often as asked, as the same object: it is one picture.
    return tuple(frames) if any(frame is not frames[0] for frame in frames) else (frames[0],)


def count_pictures(source: PictureInput) -> int:
    """How many pictures one input may be; nothing is opened."""
    if isinstance(source, Pictures):
        return sum(map(count_pictures, source.sources))
    if isinstance(source, Video):
        return source.num_frames or MAX_FRAMES
    return NUM_FRAMES if is_video(source) else 1


def describe_input(source: PictureInput) -> str:
    """A name for the record: the path, the address, or what was handed over."""
    if isinstance(source, Pictures):
        return ", ".join(describe_input(each) for each in source.sources)
    return describe_source(source.source if isinstance(source, Video) else source)


def pair_inquiries(sources: Sequence[PictureInput], task_list: Sequence[Task]) -> Iterator[Inquiry]:
    """What each input is asked, in order.

    A single input is asked every task, a single task is put to every input; otherwise the two
    lists go in step.

    Raises:
        InputError: the lists differ in length.
    """
    if 1 not in (len(sources), len(task_list)) and len(sources) != len(task_list):
        raise InputError(
            f"{len(sources)} pictures and {len(task_list)} texts: give as many of both, or one of "
            "either"
        )
    # One object may stand for several inputs, and Pillow decodes it, like a file, in no two threads
    # at once; what is opened by name is nobody else's.
    lock = Lock()
    if len(sources) == 1:
        every = [tuple(map(_always, task_list))]
    else:
        in_step = task_list if len(task_list) > 1 else list(task_list) * len(sources)
        every = [(_always(task),) for task in in_step]
    for source, task_fors in zip(sources, every, strict=True):
        opening, name = partial(_open_alone, source, lock), describe_input(source)
        yield Inquiry(opening, task_fors, name, count_pictures(source))


def _open_alone(source: PictureInput, lock: Lock) -> tuple[Image, ...]:
    if isinstance(source, str | os.PathLike | bytes):
        return open_pictures(source)
    with lock:
        return open_pictures(source)


def _always(task: Task) -> TaskFor:
    return lambda _width, _height: task
