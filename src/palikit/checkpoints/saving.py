"""Writing the transformers layout: safetensors under the released names, and the files around.

The safetensors format is written here, tensor by tensor: a dtype change then costs one tensor of
memory, where handing a whole shard to the library would cost the shard.
"""

import json
import struct
from pathlib import Path

import torch
from torch import Tensor

from palikit.checkpoints.atomic import replacing_folder
from palikit.checkpoints.names import to_hub
from palikit.checkpoints.safetensors_header import DTYPES, QUANTIZED_DTYPES
from palikit.checkpoints.transformers_files import json_text, write_side_files
from palikit.checkpoints.weights import DTYPE_NAMES, dtype_to_save, weights_to_save
from palikit.errors import CheckpointError
from palikit.model.paligemma import PaliGemma

MAX_SHARD_BYTES = 5 * 10**9
"""The shard size of the released files."""

_FORMAT_NAMES = {dtype: name for name, dtype in {**DTYPES, **QUANTIZED_DTYPES}.items()}

_ALIGNMENT = 64
"""Bytes at a multiple of which the data begin: weights that stay mapped then fill cache lines."""


def save_checkpoint(
    model: PaliGemma,
    directory: Path,
    *,
    tokenizer_file: Path | None,
    dtype: torch.dtype | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    overwrite: bool = False,
) -> None:
    """Write a folder that transformers and PaliKit load.

    Args:
        model: any dtype, any device.
        directory: appears when it is whole; an existing one must be empty.
        tokenizer_file: `tokenizer.json` or SentencePiece `.model` to put beside the weights.
        dtype: float32, float16 or bfloat16; None keeps the model's.
        max_shard_bytes: size at which a new file is begun.
        overwrite: replace the files of an existing checkpoint folder; all others in it are kept.

    Raises:
        CheckpointError: the folder is not empty, the disk is full, the dtype is another one, or
            the model has adapters.
    """
    weights = {to_hub(name): weight for name, weight in weights_to_save(model).items()}
    dtype = dtype_to_save(model, dtype)
    if tokenizer_file is not None and not tokenizer_file.is_file():
        raise CheckpointError(f"{tokenizer_file}: no such tokenizer file")
    total = sum(weight.numel() for weight in weights.values()) * dtype.itemsize
    with replacing_folder(directory, needed_bytes=total, overwrite=overwrite) as folder:
        shards = _shards(weights, dtype, max_shard_bytes)
        for name, shard in shards.items():
            write_safetensors(folder / name, shard, dtype)
        if len(shards) > 1:
            write_index(folder, {name: list(shard) for name, shard in shards.items()}, total)
        write_side_files(folder, model.config, DTYPE_NAMES[dtype], tokenizer_file)


def _shards(
    weights: dict[str, Tensor], dtype: torch.dtype, max_bytes: int
) -> dict[str, dict[str, Tensor]]:
    """Weights in order, a new file begun where the next weight would not fit."""
    groups: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, weight in weights.items():
        nbytes = weight.numel() * dtype.itemsize
        if groups[-1] and filled + nbytes > max_bytes:
            groups.append({})
            filled = 0
        groups[-1][name] = weight
        filled += nbytes
    if len(groups) == 1:
        return {"model.safetensors": groups[0]}
    return {
        f"model-{number:05d}-of-{len(groups):05d}.safetensors": group
        for number, group in enumerate(groups, start=1)
    }


def write_index(folder: Path, shards: dict[str, list[str]], total: int) -> None:
    """The index of weights in several files: file names and the names of weights in each."""
    index = {
        "metadata": {"total_size": total},
        "weight_map": {weight: name for name, weights in shards.items() for weight in weights},
    }
    (folder / "model.safetensors.index.json").write_text(json_text(index), encoding="utf-8")


def write_safetensors(
    file: Path, weights: dict[str, Tensor], dtype: torch.dtype | None = None
) -> None:
    """One file, tensor by tensor, in one dtype or each in its own."""
    # transformers refuses files that do not say who wrote their tensors.
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, weight in weights.items():
        written = dtype or weight.dtype
        end = offset + weight.numel() * written.itemsize
        header[name] = {
            "dtype": _FORMAT_NAMES[written],
            "shape": list(weight.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-(8 + len(raw)) % _ALIGNMENT)
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(raw)) + raw)
        for weight in weights.values():
            block = weight.to("cpu", dtype or weight.dtype).contiguous()
            stream.write(block.reshape(-1).view(torch.uint8).numpy().data)
