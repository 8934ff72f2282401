"""The public names: complete, sorted, documented, and free of PyTorch until it is needed."""

import inspect
import subprocess
import sys
from dataclasses import fields

import palikit
from palikit.options import LoadOptions

PUBLIC = [
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


def test_the_public_names_are_these() -> None:
    assert palikit.__all__ == PUBLIC == sorted(PUBLIC, key=lambda name: (name.islower(), name))


def test_every_public_name_resolves_and_is_documented() -> None:
    for name in palikit.__all__:
        assert inspect.getdoc(getattr(palikit, name)), name


def test_dir_lists_the_public_names() -> None:
    assert set(palikit.__all__) <= set(dir(palikit))


def test_the_keywords_of_load_are_the_fields_of_its_options() -> None:
    keywords = {
        name: parameter.default
        for name, parameter in inspect.signature(palikit.load).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert keywords == {field.name: field.default for field in fields(LoadOptions)}


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = (
        "import sys, palikit; print([m for m in sys.modules if m.split('.')[0] in "
        "('torch', 'transformers', 'PIL', 'rich', 'tokenizers', 'numpy')]); "
        "import palikit.tasks, palikit.options; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False"]
