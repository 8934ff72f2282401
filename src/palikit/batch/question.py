"""What a run asks of every input, and how to tell an answer to it from one to something else."""

from dataclasses import dataclass
from typing import Any, Self

from palikit.errors import InputError
from palikit.prediction import Prediction
from palikit.request import TaskFor
from palikit.results import Box
from palikit.tasks import Task, TaskName, grounded_caption
from palikit.vocab import Coordinates


@dataclass(frozen=True)
class Question:
    """One question, put to every input.

    Attributes:
        task: the verb.
        task_for: the task for one picture.
        labels: what is looked for, in the order asked; empty for tasks without labels.
        region: what it is about, in pixels of each picture; None for all of it.
        asked: what tells it from other questions of the same task: the prompt, or the region.
    """

    task: TaskName
    task_for: TaskFor
    labels: tuple[str, ...] = ()
    region: Box | None = None
    asked: str = ""

    @classmethod
    def of(cls, task: Task) -> Self:
        """A question that is the same for every picture."""
        return cls(task.name, lambda _width, _height: task, task.labels, asked=task.prompt)

    @classmethod
    def about(cls, region: Box, coordinates: Coordinates) -> Self:
        """What is in a region, whose prompt depends on the size of the picture."""
        return cls(
            "caption",
            lambda width, height: grounded_caption(region, width, height, coordinates),
            region=region,
            asked=str(region.to_list()),
        )

    def reaches_out_of(self, width: int, height: int) -> bool:
        """Whether a part of the region lies outside a picture of this size."""
        box = self.region
        return box is not None and (min(box.x1, box.y1) < 0 or box.x2 > width or box.y2 > height)

    def is_answered_by(self, prediction: Prediction[Any], model: str) -> bool:
        """Whether a prediction is the answer of `model` to this question."""
        if (prediction.task, prediction.model) != (self.task, model):
            return False
        try:
            return prediction.prompt == self.task_for(prediction.width, prediction.height).prompt
        except InputError:  # a region outside that picture: this question was never put to it
            return False
