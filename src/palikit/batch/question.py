"""What a run asks of every input, and how to tell an answer to it from one to something else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from palikit.errors import InputError
from palikit.prediction import Prediction
from palikit.tasks import Task, TaskName

TaskFor: TypeAlias = Callable[[int, int], Task]
"""The task about a picture of (width, height) in pixels; a region's prompt depends on them."""


@dataclass(frozen=True)
class Question:
    """One question, put to every input.

    Attributes:
        task: the verb.
        task_for: the task for one picture.
        labels: what is looked for, in the order asked; empty for tasks without labels.
    """

    task: TaskName
    task_for: TaskFor
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, task: Task) -> Self:
        """A question that is the same for every picture."""
        return cls(task.name, lambda _width, _height: task, task.labels)

    def is_answered_by(self, prediction: Prediction[Any], model: str) -> bool:
        """Whether a prediction is the answer of `model` to this question."""
        if (prediction.task, prediction.model) != (self.task, model):
            return False
        try:
            return prediction.prompt == self.task_for(prediction.width, prediction.height).prompt
        except InputError:  # a region outside that picture: this question was never put to it
            return False
