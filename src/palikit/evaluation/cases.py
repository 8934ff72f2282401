"""Rows of a data set as questions to a model, and what their answers should have been."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal

from PIL.Image import Image

from palikit import tasks
from palikit.data.check_suffix import is_free_prompt, prompt_of
from palikit.data.options import DataTask
from palikit.data.outlines import corners_of, fill_rings
from palikit.data.records import Annotation
from palikit.data.rows import Row
from palikit.evaluation.metrics.objects import TrueObject
from palikit.model.mask_codec import MaskCodec
from palikit.model.mask_coding import with_masks
from palikit.pictures import load_picture
from palikit.request import Inquiry, TaskFor
from palikit.results import Detections, Segments
from palikit.tasks import Task, TaskName
from palikit.vocab import Coordinates, MaskEdges

_TEXT_TASKS: dict[DataTask, TaskName] = {"caption": "caption", "vqa": "answer", "ocr": "ocr"}


@dataclass(frozen=True)
class Case:
    """A row and the task that is asked of the model about it; the prompt is the row's, verbatim."""

    row: Row
    task: Task


@dataclass(frozen=True)
class TruthReader:
    """How suffixes become objects in pixels: as the predictor reads its own answers."""

    coordinates: Coordinates
    mask_codec: MaskCodec | None
    mask_edges: MaskEdges

    def __call__(self, case: Case, width: int, height: int) -> tuple[TrueObject, ...]:
        """What was asked for of the row's exact objects, else the objects of its first suffix.

        Outlines are taken from the suffix too where the row knows exact boxes alone.
        """
        row, task = case.row, case.task
        exact = [each for each in row.objects or () if _is_asked(each, task)]
        needs_masks = task.name != "detect"
        if row.objects is not None and not (
            needs_masks and any(each.mask is None and not each.crowd for each in exact)
        ):
            return tuple(_true_object(each, task, (width, height)) for each in exact)
        result = tasks.parse(task, row.suffixes[0], width, height, coordinates=self.coordinates)
        if isinstance(result, Segments):
            if self.mask_codec is not None:
                result = with_masks(self.mask_codec, result, self.mask_edges)
            return tuple(TrueObject(each.label, each.box, each.mask) for each in result)
        if isinstance(result, Detections):
            return tuple(TrueObject(each.label, each.box) for each in result)
        return ()


def _is_asked(found: Annotation, task: Task) -> bool:
    return task.name == "refer" or found.label in task.labels


def _true_object(found: Annotation, task: Task, size: tuple[int, int]) -> TrueObject:
    mask = found.mask
    if mask is None and task.name != "detect":  # a crowd by its box: all of it is the crowd
        mask = fill_rings([corners_of(found.box)], *size)
    label = task.labels[0] if task.name == "refer" else found.label
    return TrueObject(label, found.box, mask, crowd=found.crowd, area=found.area)


def make_cases(rows: Sequence[Row], task: DataTask) -> tuple[Case, ...]:
    """The question of each row.

    A row of `segment` without a label in its suffix, and whose prompt is no `segment ...`, is a
    referring expression. Where a prompt asks in words of its own, as "detect all classes" does,
    every class of the data set may be answered.
    """
    if task not in ("detect", "segment"):
        return tuple(Case(row, Task(_TEXT_TASKS[task], row.prefix)) for row in rows)
    labels = [_labels(row) for row in rows]
    classes = tuple(dict.fromkeys(each for found in labels for each in found if each))
    asked = [tasks.task_from_prompt(prompt_of(row)) for row in rows]
    free = {
        each.prompt
        for each, found in zip(asked, labels, strict=True)
        if each.name != task or is_free_prompt(each, filter(None, found))
    }
    return tuple(
        Case(row, _object_task(row, task, each, found, classes if each.prompt in free else None))
        for row, each, found in zip(rows, asked, labels, strict=True)
    )


def inquiries_of(cases: Sequence[Case]) -> Iterator[Inquiry]:
    """Questions whose pictures are opened when their turn comes; once for neighbours that share."""
    for _, group in groupby(cases, key=lambda case: case.row.images):
        sharing = list(group)
        images = sharing[0].row.images
        task_fors = tuple(_always(case.task) for case in sharing)
        name = ", ".join(map(str, images))
        yield Inquiry(partial(_opened, images), task_fors, name, len(images))


def _opened(images: tuple[Path, ...]) -> tuple[Image, ...]:
    return tuple(map(load_picture, images))


def _always(task: Task) -> TaskFor:
    return lambda _width, _height: task


def _object_task(
    row: Row,
    task: Literal["detect", "segment"],
    asked: Task,
    labels: tuple[str, ...],
    classes: tuple[str, ...] | None,
) -> Task:
    """The task of one row; `classes` are those of the set where its prompt does not name them."""
    if classes is None:
        return replace(asked, prompt=row.prefix)
    if task == "segment" and asked.name != task and "" in labels:
        return Task("refer", row.prefix, (row.prefix.strip(),))
    return Task(task, row.prefix, classes)


def _labels(row: Row) -> tuple[str, ...]:
    """Labels of the row's suffix, which is what the model was taught to write; "" for none."""
    # The size does not matter for labels, and codes are read over.
    result = tasks.parse(Task("detect", ""), row.suffixes[0], 1, 1)
    return tuple(each.label for each in result) if isinstance(result, Detections) else ()
