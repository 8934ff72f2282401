"""Writing the layout of the JAX release, streamed: memory holds the model and one layer."""

import zipfile
from pathlib import Path
from typing import IO

import torch
from numpy.lib import format as npy
from torch import Tensor

from palikit.checkpoints.atomic import replacing_file
from palikit.checkpoints.npz_reader import config_beside
from palikit.checkpoints.npz_table import NpzArray, axes_of, config_from_axes, npz_arrays, to_npz
from palikit.checkpoints.transformers_files import json_text
from palikit.checkpoints.weights import DTYPE_NAMES, dtype_to_save, weights_to_save
from palikit.config_json import config_to_json
from palikit.model.paligemma import PaliGemma

_DESCRIPTIONS = {torch.float32: "<f4", torch.float16: "<f2", torch.bfloat16: "|V2"}


def save_npz(
    model: PaliGemma, file: Path, *, dtype: torch.dtype | None = None, overwrite: bool = False
) -> None:
    """Write a model as big_vision reads it: `params/` names, layers stacked, bfloat16 as V2.

    Rows of the embedding table from `<image>` on are left out: the original has none, and a table
    with them does not fit it. What the arrays cannot tell (query scale and soft caps of a size
    that was never released) goes into `<name>.config.json` beside the file.

    Args:
        model: any dtype, any device.
        file: to be written, ending in `.npz`.
        dtype: float32, float16 or bfloat16; None keeps the model's.
        overwrite: replace an existing file and the `<name>.config.json` beside it.

    Raises:
        CheckpointError: the file or `<name>.config.json` exists, the disk is full, the dtype is
            another one, or the model has adapters.
    """
    weights = weights_to_save(model)
    dtype = dtype_to_save(model, dtype)
    text = model.config.text_config
    config = model.config.with_vocab_size(min(text.vocab_size, model.config.image_token_index))
    sides = axes_of(config)
    total = sum(weight.numel() for weight in weights.values()) * dtype.itemsize
    beside = config_beside(file)
    with replacing_file(file, companion=beside, needed_bytes=total, overwrite=overwrite) as folder:
        with zipfile.ZipFile(folder / file.name, "w", zipfile.ZIP_STORED) as zipped:
            for array in npz_arrays(has_post_norms=text.has_post_norms):
                shape = tuple(sides[axis] for axis in array.axes.split())
                entry = zipfile.ZipInfo(f"params/{array.key}.npy")
                with zipped.open(entry, "w", force_zip64=True) as stream:
                    _write_array(stream, array, shape, weights, dtype)
        if config != config_from_axes(sides, has_post_norms=text.has_post_norms):
            content = json_text(config_to_json(config, DTYPE_NAMES[dtype]))
            (folder / beside.name).write_text(content, encoding="utf-8")


def _write_array(
    stream: IO[bytes],
    array: NpzArray,
    shape: tuple[int, ...],
    weights: dict[str, Tensor],
    dtype: torch.dtype,
) -> None:
    header = {"descr": _DESCRIPTIONS[dtype], "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(stream, header)
    sides = shape[1:] if array.is_stacked else shape
    sides = sides if len(array.names) == 1 else sides[1:]
    for layer in range(shape[0] if array.is_stacked else 1):
        for name in array.names:
            weight = weights[name.format(layer)]
            if array.axes == "V W":
                weight = weight[: shape[0]]
            block = to_npz(array.kind, weight.to("cpu", dtype), sides).contiguous()
            stream.write(block.reshape(-1).view(torch.uint8).numpy().data)
