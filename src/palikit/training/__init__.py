"""Fine-tuning: batches, loss, optimiser, schedules, the loop and its checkpoints.

Names are resolved on first use: what is wrong with a folder is told before torch is imported.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palikit.processor import Query
    from palikit.training.examples import Examples, Mixture, RowExamples
    from palikit.training.loop import finetune
    from palikit.training.origin import origin_of
    from palikit.training.result import Evaluate, Origin, RunResult, StepFigures

__all__ = [
    "Evaluate",
    "Examples",
    "Mixture",
    "Origin",
    "Query",
    "RowExamples",
    "RunResult",
    "StepFigures",
    "finetune",
    "origin_of",
]

_MODULES = {
    "palikit.processor": ("Query",),
    "palikit.training.examples": ("Examples", "Mixture", "RowExamples"),
    "palikit.training.loop": ("finetune",),
    "palikit.training.origin": ("origin_of",),
    "palikit.training.result": ("Evaluate", "Origin", "RunResult", "StepFigures"),
}
"""Where each public name lives."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for module, names in _MODULES.items():
        if name in names:
            value = getattr(import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'palikit.training' has no attribute {name!r}")
