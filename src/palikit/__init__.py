"""PaliKit runs PaliGemma and PaliGemma 2: captions, answers, text, boxes and masks from pictures.

    import palikit

    predictor = palikit.load("google/paligemma2-3b-mix-448")
    found = predictor.detect("street.jpg", "car ; bicycle")
    for detection in found.result:
        print(detection.label, detection.score, detection.box)
    found.draw().save("street-boxes.png")

Names that need PyTorch are resolved on first use, so that importing the package is quick.
"""

from typing import TYPE_CHECKING, Any

from palikit import tasks
from palikit.errors import (
    CheckpointError,
    ConfigError,
    HubError,
    InputError,
    MissingExtraError,
    PaliKitError,
)
from palikit.masks import Mask
from palikit.options import GenerationOptions, LoadOptions
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

if TYPE_CHECKING:
    from palikit.drawing import draw
    from palikit.loading import load
    from palikit.prediction import Prediction
    from palikit.predictor import Predictor
    from palikit.request import Pictures, Video

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

_LAZY = {
    "Pictures": "palikit.request",
    "Prediction": "palikit.prediction",
    "Predictor": "palikit.predictor",
    "Video": "palikit.request",
    "draw": "palikit.drawing",
    "load": "palikit.loading",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("palikit")
    if name not in _LAZY:
        raise AttributeError(f"module 'palikit' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
