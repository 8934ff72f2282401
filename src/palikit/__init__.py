"""PaliKit runs and fine-tunes PaliGemma and PaliGemma 2: text, boxes and masks from pictures.

    import palikit

    predictor = palikit.load("google/paligemma2-3b-mix-448")
    found = predictor.detect("street.jpg", "car ; bicycle")
    for detection in found.result:
        print(detection.label, detection.score, detection.box)
    found.draw().save("street-boxes.png")

How to train one is in docs/fine-tuning.md; metrics are in `palikit.evaluation`, adapters in
`palikit.adapters`.

Names are resolved on first use, so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palikit import tasks
    from palikit.data.options import RenderOptions
    from palikit.data.rows import Row, load_rows
    from palikit.drawing import draw
    from palikit.errors import (
        CheckpointError,
        ConfigError,
        HubError,
        InputError,
        MissingExtraError,
        PaliKitError,
    )
    from palikit.evaluation.evaluate import evaluate
    from palikit.evaluation.report import Report
    from palikit.evaluation.validation import make_validation
    from palikit.loading import load
    from palikit.masks import Mask
    from palikit.options import GenerationOptions, LoadOptions
    from palikit.prediction import Prediction
    from palikit.predictor import Predictor
    from palikit.quantizing import quantize_checkpoint
    from palikit.request import Pictures, Video
    from palikit.results import (
        Answer,
        Box,
        Caption,
        Detection,
        Detections,
        OcrText,
        Segment,
        Segments,
        TokenScore,
    )
    from palikit.scores import Scores
    from palikit.tasks import Task, parse, render
    from palikit.train_options import LoraOptions, LossOptions, TrainOptions
    from palikit.training import Examples, Mixture, Query, RowExamples, finetune, origin_of

__all__ = [
    "Answer",
    "Box",
    "Caption",
    "CheckpointError",
    "ConfigError",
    "Detection",
    "Detections",
    "Examples",
    "GenerationOptions",
    "HubError",
    "InputError",
    "LoadOptions",
    "LoraOptions",
    "LossOptions",
    "Mask",
    "MissingExtraError",
    "Mixture",
    "OcrText",
    "PaliKitError",
    "Pictures",
    "Prediction",
    "Predictor",
    "Query",
    "RenderOptions",
    "Report",
    "Row",
    "RowExamples",
    "Scores",
    "Segment",
    "Segments",
    "Task",
    "TokenScore",
    "TrainOptions",
    "Video",
    "draw",
    "evaluate",
    "finetune",
    "load",
    "load_rows",
    "make_validation",
    "origin_of",
    "parse",
    "quantize_checkpoint",
    "render",
    "tasks",
]

_MODULES = {
    "data.options": ("RenderOptions",),
    "data.rows": ("Row", "load_rows"),
    "drawing": ("draw",),
    "errors": (
        "CheckpointError",
        "ConfigError",
        "HubError",
        "InputError",
        "MissingExtraError",
        "PaliKitError",
    ),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.report": ("Report",),
    "evaluation.validation": ("make_validation",),
    "loading": ("load",),
    "masks": ("Mask",),
    "options": ("GenerationOptions", "LoadOptions"),
    "prediction": ("Prediction",),
    "predictor": ("Predictor",),
    "quantizing": ("quantize_checkpoint",),
    "request": ("Pictures", "Video"),
    "results": (
        "Answer",
        "Box",
        "Caption",
        "Detection",
        "Detections",
        "OcrText",
        "Segment",
        "Segments",
        "TokenScore",
    ),
    "scores": ("Scores",),
    "tasks": ("Task", "parse", "render"),
    "train_options": ("LoraOptions", "LossOptions", "TrainOptions"),
    "training": ("Examples", "Mixture", "Query", "RowExamples", "finetune", "origin_of"),
}
"""Where each public name lives."""


def __getattr__(name: str) -> Any:
    from importlib import import_module
    from importlib.metadata import version

    if name == "__version__":
        return version("palikit")
    if name == "tasks":
        return import_module("palikit.tasks")
    for module, names in _MODULES.items():
        if name in names:
            value = getattr(import_module(f"palikit.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'palikit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
