"""What a person should know about a run beside its answers, a line each."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from palikit.batch import Found, Question, Source
from palikit.cli.options import RunOptions
from palikit.options import LoadOptions
from palikit.prediction import Prediction
from palikit.records import Layout
from palikit.results import Objects
from palikit.video import is_video

if TYPE_CHECKING:
    from palikit.predictor import Predictor

_MAX_PROBLEMS = 5
"""Problems of one answer that are told; a model that has lost its way makes dozens."""

_LARGE = 10**9
"""Parameters from which a model on a CPU is slow enough to be told of int8."""


def remarks_before(options: RunOptions, found: Found) -> Iterator[str]:
    """What the arguments come to, where that may not be what was meant."""
    if found.repeated:
        count = len(found.repeated)
        which = "1 input was" if count == 1 else f"{count} inputs were"
        yield f"{which} named more than once and asked about once: {found.repeated[0]}" + (
            "" if count == 1 else ", ..."
        )
    if options.save is not None and any(_has_several(each, options) for each in found.sources):
        yield "of several pictures or frames, the first is drawn, and boxes are in its pixels"


def remarks_on_model(predictor: "Predictor", options: LoadOptions) -> Iterator[str]:
    """What is good to know of how a model is held, on a CPU."""
    found = list(_on_floats(predictor, options)) if predictor.model.device.type == "cpu" else []
    if not found:
        return
    from palikit.quantization import is_quantized  # its layers, where there is something to say

    if not is_quantized(predictor.model):
        yield from found


def _on_floats(predictor: "Predictor", options: LoadOptions) -> Iterator[str]:
    model = predictor.model
    stored, held = predictor.stored_dtype, model.dtype
    if options.dtype == "auto" and stored is not None and held.itemsize > stored.itemsize:
        yield (
            f"this processor is slow in {_name(stored)}, so that the weights are held in "
            f"{_name(held)}, in twice the memory; --dtype {_name(stored)} keeps them as they are"
        )
    from palikit.compute import has_integer_products

    is_large = sum(weight.numel() for weight in model.parameters()) > _LARGE
    if is_large and has_integer_products():
        yield "on a CPU, --quantize int8 makes a model of this size several times faster"


def remarks_on(answer: Prediction[Any], question: Question, layout: Layout) -> Iterator[str]:
    """What an answer's format does not say of it."""
    if question.reaches_out_of(answer.width, answer.height):
        yield (
            f"--box reaches out of the picture of {answer.width} x {answer.height}: only the part "
            "inside was asked about"
        )
    if layout.format not in ("text", "csv") or not isinstance(answer.result, Objects):
        return
    problems = answer.result.problems
    yield from problems[:_MAX_PROBLEMS]
    if len(problems) > _MAX_PROBLEMS:
        yield f"and {len(problems) - _MAX_PROBLEMS} more, which --format json shows"


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _has_several(source: Source, options: RunOptions) -> bool:
    if len(source.parts) > 1 or options.frames not in (None, 1):
        return True
    return options.frames is None and any(map(is_video, source.parts))
