"""What a person asks: pictures in any form, and the task about them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from PIL.Image import Image

from palikit.errors import InputError
from palikit.pictures import PictureSource, describe_source, load_picture
from palikit.tasks import Task
from palikit.video import is_video, load_frames

NUM_FRAMES = 16
"""Frames of a video, as the published video transfers take them: 4096 tokens at 224 px."""


@dataclass(frozen=True)
class Video:
    """Frames of a video or an animation, evenly spaced, as one input."""

    source: PictureSource
    num_frames: int = NUM_FRAMES


class Pictures:
    """Several pictures as one input, in reading order: `Pictures("left.png", "right.png")`."""

    def __init__(self, *sources: PictureSource) -> None:
        if not sources:
            raise InputError("Pictures needs at least one picture")
        self.sources = sources


PictureInput: TypeAlias = PictureSource | Video | Pictures
"""What one question can be about; a path that ends like a video's is taken as a `Video`."""

ManyInputs: TypeAlias = list[PictureInput] | tuple[PictureInput, ...]
"""Several inputs, each to be answered for itself."""


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


def open_pictures(source: PictureInput) -> tuple[Image, ...]:
    """Load what one input stands for; addresses are opened too, being the user's own.

    Raises:
        InputError: as of `load_picture` and `load_frames`.
    """
    if isinstance(source, Pictures):
        return tuple(load_picture(each, allow_urls=True) for each in source.sources)
    if isinstance(source, Video):
        return tuple(load_frames(source.source, source.num_frames, allow_urls=True))
    if is_video(source):
        return tuple(load_frames(source, NUM_FRAMES, allow_urls=True))
    return (load_picture(source, allow_urls=True),)


def describe_input(source: PictureInput) -> str:
    """A name for the record: the path, the address, or what was handed over."""
    if isinstance(source, Pictures):
        return ", ".join(describe_source(each) for each in source.sources)
    return describe_source(source.source if isinstance(source, Video) else source)


def pair_requests(sources: Sequence[PictureInput], task_list: Sequence[Task]) -> Iterator[Request]:
    """One request for each input and task, opened when its turn comes.

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
    if len(sources) == 1:
        pictures, name = open_pictures(sources[0]), describe_input(sources[0])
        yield from (Request(pictures, task, name) for task in task_list)
        return
    every = task_list if len(task_list) > 1 else list(task_list) * len(sources)
    for source, task in zip(sources, every, strict=True):
        yield Request(open_pictures(source), task, describe_input(source))
