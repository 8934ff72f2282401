"""PaliKit runs PaliGemma and PaliGemma 2: captions, answers, text, boxes and masks from pictures.

    import palikit

    predictor = palikit.load("google/paligemma2-3b-mix-448")
    found = predictor.detect("street.jpg", "car ; bicycle")
    for detection in found.result:
        print(detection.label, detection.score, detection.box)
    found.draw().save("street-boxes.png")

Names are resolved on first use, so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palikit import tasks
    from palikit.drawing import draw
    from palikit.errors import (
        CheckpointError,
        ConfigError,
        HubError,
        InputError,
        MissingExtraError,
        PaliKitError,
    )
    from palikit.loading import load
    from palikit.masks import Mask
    from palikit.options import GenerationOptions, LoadOptions
    from palikit.prediction import Prediction
    from palikit.predictor import Predictor
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
    from palikit.tasks import Task, parse, render

__all__ = [
    "Answer",
    "Box",
    "Caption",
    "CheckpointError",
    "ConfigError",
    "Detection",
    "Detections",
    "GenerationOptions",
    "HubError",
    "InputError",
    "LoadOptions",
    "Mask",
    "MissingExtraError",
    "OcrText",
    "PaliKitError",
    "Pictures",
    "Prediction",
    "Predictor",
    "Segment",
    "Segments",
    "Task",
    "TokenScore",
    "Video",
    "draw",
    "load",
    "parse",
    "render",
    "tasks",
]

_MODULES = {
    "drawing": ("draw",),
    "errors": (
        "CheckpointError",
        "ConfigError",
        "HubError",
        "InputError",
        "MissingExtraError",
        "PaliKitError",
    ),
    "loading": ("load",),
    "masks": ("Mask",),
    "options": ("GenerationOptions", "LoadOptions"),
    "prediction": ("Prediction",),
    "predictor": ("Predictor",),
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
    "tasks": ("Task", "parse", "render"),
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
