"""What the files of a quantised checkpoint hold, told from headers, and what of it is wrong.

The tensors that a form consists of follow from the model: of every product one row is quantised,
and all its rows are like it. (The meta device would do without, but for the import of PyTorch's
compiler, which takes longer than to load the model.)
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import torch

from palikit.checkpoints.layout import CheckpointFiles, read_json
from palikit.checkpoints.names import expected_shapes, from_hub, is_computed, to_hub
from palikit.checkpoints.report import Shape, compare
from palikit.checkpoints.safetensors_header import (
    DTYPES,
    QUANTIZED_DTYPES,
    Header,
    StoredTensor,
    read_header,
)
from palikit.checkpoints.safetensors_reader import missing_files
from palikit.config import PaliGemmaConfig
from palikit.config_json import config_from_json
from palikit.model.paligemma import PaliGemma
from palikit.options import QuantizedForm
from palikit.quantization.layers import has_bias, sites

_NF4_PARTS = ("absmax", "quant_map", "quant_state.bitsandbytes__nf4")
"""What stands beside a weight of 4 bits; scales that are quantised too have parts of their own."""

_SHOWN = 5
"""Tensors of a wrong dtype that are told by name."""


@dataclass(frozen=True)
class QuantizedContents:
    """What headers and config say, before any weight is read.

    Attributes:
        config: of the model.
        stored_dtype: of what stays float, and of the float model it was.
        dtypes: of the stored tensors, that of most bytes first.
        nbytes: of all tensors.
        problems: what is missing, damaged or of another model, a sentence each.
    """

    config: PaliGemmaConfig
    stored_dtype: torch.dtype
    dtypes: tuple[torch.dtype, ...]
    nbytes: int
    problems: tuple[str, ...]


def read_quantized_contents(
    files: CheckpointFiles, form: QuantizedForm, headers: Iterable[Header] | None = None
) -> QuantizedContents:
    """Read config and headers.

    Args:
        files: of the checkpoint.
        form: as its config says.
        headers: of the weight files, where they come from elsewhere.

    Raises:
        CheckpointError: there is no config.json.
        ConfigError: it is not PaliGemma's.
    """
    content = read_json(files.directory / "config.json")
    named = content.get("dtype") or content.get("torch_dtype")
    config = config_from_json({**content, "quantization_config": None})
    problems = missing_files(files.missing)
    tensors: dict[str, StoredTensor] = {}
    for header in map(read_header, files.weights) if headers is None else headers:
        problems += [header.problem] if header.problem else []
        tensors |= {each.name: each for each in header.tensors if not is_computed(each.name)}
    if form == "nf4":
        problems += _nf4_problems(tensors, config)
    else:
        problems += _problems(tensors, config, form)
    counts: Counter[torch.dtype] = Counter()
    for tensor in tensors.values():
        if (dtype := _dtype_of(tensor)) is not None:
            counts[dtype] += tensor.nbytes
    return QuantizedContents(
        config,
        getattr(torch, str(named), torch.float32) if named in _FLOATS else torch.float32,
        tuple(dtype for dtype, _ in counts.most_common()),
        sum(tensor.nbytes for tensor in tensors.values()),
        tuple(problems),
    )


_FLOATS = tuple(str(dtype).removeprefix("torch.") for dtype in DTYPES.values())


@dataclass(frozen=True)
class ExpectedTensor:
    """A tensor of a file: its shape, and its dtype where only one will do, else any float."""

    shape: Shape
    dtype: torch.dtype | None = None

    def nbytes(self, float_itemsize: int) -> int:
        """Its length, floats of that many bytes."""
        return prod(self.shape) * (self.dtype.itemsize if self.dtype else float_itemsize)


def expected_tensors(model: PaliGemma, form: QuantizedForm) -> dict[str, ExpectedTensor]:
    """Every tensor of a file by its name there, for all forms but nf4.

    Args:
        model: float layers, on any device; nothing is computed.
        form: of the file.
    """
    found: dict[str, ExpectedTensor] = {}
    members: set[str] = set()
    for site in sites(model):
        members.update(site.members)
        scheme = site.scheme(form)
        rows, inputs = site.shape
        row = scheme.quantize(torch.zeros(1, inputs, device="cpu"))
        for suffix, part in zip(scheme.suffixes, row, strict=True):
            name = to_hub(f"{site.name}.{suffix}")
            found[name] = ExpectedTensor((rows, *part.shape[1:]), part.dtype)
        if has_bias(model, site):
            found[to_hub(f"{site.name}.bias")] = ExpectedTensor(site.shape[:1])
    for name, weight in model.named_parameters():
        if name.rpartition(".")[0] not in members:
            found[to_hub(name)] = ExpectedTensor(tuple(weight.shape))
    return found


def _problems(
    tensors: dict[str, StoredTensor], config: PaliGemmaConfig, form: QuantizedForm
) -> list[str]:
    with torch.device("meta"):
        expected = expected_tensors(PaliGemma(config), form)
    mismatch = compare(
        {name: tensor.shape for name, tensor in tensors.items()},
        {name: tensor.shape for name, tensor in expected.items()},
    )
    wrong = [
        f"{name} is stored as {tensor.dtype}"
        for name, tensor in tensors.items()
        if name in expected and not _fits(_dtype_of(tensor), expected[name].dtype)
    ]
    more = [f"{len(wrong) - _SHOWN} more are of another dtype"] if len(wrong) > _SHOWN else []
    return [*([str(mismatch)] if mismatch else []), *wrong[:_SHOWN], *more]


def _nf4_problems(tensors: dict[str, StoredTensor], config: PaliGemmaConfig) -> list[str]:
    """A weight of 4 bits is one column of bytes, two numbers each, and has its parts beside it."""
    expected = expected_shapes(config)
    shapes: dict[str, Shape] = {}
    unexpected, problems = [], []
    for key, tensor in tensors.items():
        base, _, part = key.partition(".weight.")
        name = from_hub(f"{base}.weight" if part else key)
        if name is None or (part and f"{base}.weight" not in tensors):
            unexpected.append(key)
        elif not part:
            is_packed = tensor.dtype == "U8" and 2 * tensor.nbytes == prod(expected.get(name, ()))
            shapes[name] = expected[name] if is_packed else tensor.shape
            absent = [each for each in _NF4_PARTS if f"{key}.{each}" not in tensors]
            if is_packed and absent:
                problems.append(f"{key} has no {' and no '.join(absent)} beside it")
    mismatch = compare(shapes, expected, unexpected)
    return [*([str(mismatch)] if mismatch else []), *problems]


def _dtype_of(tensor: StoredTensor) -> torch.dtype | None:
    return DTYPES.get(tensor.dtype) or QUANTIZED_DTYPES.get(tensor.dtype)


def _fits(got: torch.dtype | None, expected: torch.dtype | None) -> bool:
    return got in DTYPES.values() if expected is None else got == expected
