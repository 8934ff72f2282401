"""Mirrored and turned copies of pictures with marked objects, their suffixes written anew.

Boxes and outlines are turned in pixels, before they become tokens, and the objects are put into
raster order again. Other prompts are left alone: a caption may say "left". So are pictures with an
object whose label names a side: mirrored, a left shoe is a right one.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from palikit import tasks
from palikit.data.check_objects import objects_of
from palikit.data.check_suffix import is_free_prompt, prompt_of
from palikit.data.records import Annotation
from palikit.data.rows import Encode, Row
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.results import Box, Detection, Detections, Segment, Segments
from palikit.tasks import Task
from palikit.train_options import Augment

Transpose = Image.Transpose


@dataclass(frozen=True)
class _Turn:
    """One of the eight ways to lay a square on itself.

    Attributes:
        picture: the same for a picture, None for none.
        point: where a point goes, in shares of the sides.
    """

    picture: Transpose | None
    point: Callable[[float, float], tuple[float, float]]


_TURNS: dict[Augment, tuple[_Turn, ...]] = {
    "none": (_Turn(None, lambda x, y: (x, y)),),
    "mirror": (
        _Turn(None, lambda x, y: (x, y)),
        _Turn(Transpose.FLIP_LEFT_RIGHT, lambda x, y: (1 - x, y)),
    ),
    "turn": (
        _Turn(None, lambda x, y: (x, y)),
        _Turn(Transpose.FLIP_LEFT_RIGHT, lambda x, y: (1 - x, y)),
        _Turn(Transpose.FLIP_TOP_BOTTOM, lambda x, y: (x, 1 - y)),
        _Turn(Transpose.ROTATE_180, lambda x, y: (1 - x, 1 - y)),
        _Turn(Transpose.TRANSPOSE, lambda x, y: (y, x)),
        _Turn(Transpose.TRANSVERSE, lambda x, y: (1 - y, 1 - x)),
        _Turn(Transpose.ROTATE_90, lambda x, y: (y, 1 - x)),
        _Turn(Transpose.ROTATE_270, lambda x, y: (1 - y, x)),
    ),
}


_SIDES: dict[Augment, str] = {
    "none": r"(?!)",
    "mirror": "left|right",
    "turn": "left|right|top|bottom|upper|lower|horizontal|vertical",
}
"""Words of labels that are not true any more once the picture is changed so."""

_NEW_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


def sided_label(row: Row, augment: Augment) -> str | None:
    """The first label among the objects of a row that names a side, as "left shoe" does.

    A prompt in words of its own counts too. Rows with one come back from `augmented` as they are.
    """
    task = tasks.task_from_prompt(prompt_of(row))
    return _sided(_labels(task, objects_of(row)), augment)


def _labels(task: Task, objects: Iterable[Annotation]) -> list[str]:
    """What is said of a picture: its labels, and the prompt where it is no list of them."""
    labels = [each.label for each in objects]
    return [*labels, task.prompt] if is_free_prompt(task, labels) else labels


def _sided(labels: Iterable[str], augment: Augment) -> str | None:
    # Words may be parted by anything that is no letter, or by a capital: left_shoe, LeftShoe.
    side = re.compile(rf"(?<![a-z])({_SIDES[augment]})(?![a-z])")
    return next((each for each in labels if side.search(_NEW_WORD.sub(" ", each).casefold())), None)


def augmented(
    row: Row,
    picture: Image.Image,
    suffix: str,
    augment: Augment,
    random: np.random.Generator,
    encode: Encode | None = None,
) -> tuple[Image.Image, str]:
    """A picture and its suffix, both turned alike.

    Args:
        row: with a prompt of `detect` or `segment`; anything else comes back as it is, and so does
            a row with a `sided_label`.
        picture: upright RGB.
        suffix: one of the row's.
        augment: which turns there are; each is as likely.
        random: chooses one.
        encode: the mask codec, for outlines.

    Raises:
        InputError: outlines that are not in the row, or no codec for them.
    """
    task = tasks.task_from_prompt(prompt_of(row))
    turns = _TURNS[augment]
    turn = turns[int(random.integers(len(turns)))]
    if turn.picture is None or task.name not in ("detect", "segment") or len(row.images) > 1:
        return picture, suffix
    marked = _objects(row, task, picture, suffix)
    if _sided(_labels(task, marked), augment) is not None:
        return picture, suffix
    objects = [_turned(each, turn, picture) for each in marked]
    if row.order == "random":
        objects = [objects[i] for i in random.permutation(len(objects))]
    else:
        objects.sort(key=lambda each: (each.box.y1, each.box.x1))
    changed = picture.transpose(turn.picture)
    return changed, _rendered(task, objects, changed, encode, row)


def _objects(row: Row, task: Task, picture: Image.Image, suffix: str) -> list[Annotation]:
    """What the suffix tells of, exact where the row knows it exactly."""
    if row.objects is not None:
        # By the suffix: objects may hold classes that the row does not ask for.
        told = tasks.parse(task, suffix, *picture.size)
        labels = [each.label for each in told] if isinstance(told, Detections | Segments) else []
        is_free = is_free_prompt(task, labels)
        targets = [each for each in row.objects if not each.crowd]
        return [each for each in targets if is_free or each.label in task.labels]
    if task.name == "segment":
        raise InputError(
            f'{row.where}: turning an outline needs the outline itself, in "objects" of the row: '
            "convert the data set anew, or leave --augment out"
        )
    found = tasks.parse(task, suffix, *picture.size)
    if not isinstance(found, Detections):
        raise TypeError("detect gives detections")
    return [Annotation(each.label, each.box) for each in found]


def _turned(item: Annotation, turn: _Turn, picture: Image.Image) -> Annotation:
    width, height = picture.size
    box, swaps = item.box, turn.point(1, 0)[0] == turn.point(0, 0)[0]
    new_width, new_height = (height, width) if swaps else (width, height)
    corners = [turn.point(x / width, y / height) for x, y in ((box.x1, box.y1), (box.x2, box.y2))]
    xs, ys = sorted(x for x, _ in corners), sorted(y for _, y in corners)
    mask = item.mask
    if mask is not None and turn.picture is not None:
        mask = Mask.from_array(_turned_array(mask.to_array(), turn.picture))
    turned = Box(xs[0] * new_width, ys[0] * new_height, xs[1] * new_width, ys[1] * new_height)
    return replace(item, box=turned, mask=mask)


def _turned_array(array: npt.NDArray[np.bool_], how: Transpose) -> npt.NDArray[np.bool_]:
    picture = Image.fromarray(array.astype(np.uint8))
    return np.asarray(picture.transpose(how)).astype(bool)


def _rendered(
    task: Task, objects: list[Annotation], picture: Image.Image, encode: Encode | None, row: Row
) -> str:
    width, height = picture.size
    if task.name == "detect":
        boxes = tuple(Detection(each.box, each.label) for each in objects)
        return tasks.render(task, Detections(boxes, width, height))
    if encode is None or any(each.mask is None for each in objects):
        raise InputError(
            f"{row.where}: turning an outline needs the outline and a mask codec: give one with "
            "--mask-codec, or leave --augment out"
        )
    outlined = tuple(
        Segment(each.box, each.label, codes=encode(each.mask, each.box))
        for each in objects
        if each.mask is not None
    )
    return tasks.render(task, Segments(outlined, width, height))
