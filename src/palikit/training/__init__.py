"""Fine-tuning: batches, loss, optimiser, schedules, the loop and its checkpoints."""

from palikit.training.examples import Examples, Mixture, RowExamples
from palikit.training.loop import finetune
from palikit.training.origin import origin_of
from palikit.training.result import Evaluate, Origin, RunResult, StepFigures

__all__ = [
    "Evaluate",
    "Examples",
    "Mixture",
    "Origin",
    "RowExamples",
    "RunResult",
    "StepFigures",
    "finetune",
    "origin_of",
]
