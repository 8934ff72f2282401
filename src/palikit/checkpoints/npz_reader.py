"""Reading the JAX release: one `.npz`, a zip of arrays. Nothing is ever unpickled.

Shapes come from the arrays' own headers, so that a file of another model is refused before any
weight is read. Weights are read layer by layer: memory holds the model and one layer.
"""

import lzma
import math
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from palikit.checkpoints.layout import read_json
from palikit.checkpoints.names import expected_shapes
from palikit.checkpoints.npz_table import (
    NpzArray,
    arrays_in,
    axes_of,
    bind_axes,
    config_from_axes,
    to_model,
)
from palikit.checkpoints.report import Mismatch
from palikit.config import PaliGemmaConfig
from palikit.config_json import config_from_json
from palikit.errors import CheckpointError
from palikit.model.npy_header import read_npy_header

MAX_UNPACKED_RATIO = 20
"""Weights shrink by a tenth or two when packed; a file that states far more is a trap."""

_HARMLESS_BYTES = 10**9
_CHUNK = 2**24
# In front of the names of released files and of trainers' states, of older states; else nothing.
_PREFIXES = ("params/", "opt/target/")
_ENCRYPTED = 1  # a bit of an entry's flags
# RuntimeError is not among them: it is PyTorch's, for a device without room.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError),
    *(ValueError, OverflowError, EOFError, OSError),
)


@dataclass(frozen=True)
class StoredArray:
    """One array of the zip: its entry, sides, dtype, and length of the header before the data."""

    entry: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    header_bytes: int


@dataclass(frozen=True)
class NpzContents:
    """What the headers say.

    Attributes:
        file: the `.npz`.
        config: read from the shapes; None where they are incomplete or contradict each other.
        dtypes: dtypes of the arrays, that of most numbers first.
        arrays: stored arrays by key, without prefix.
        mismatch: missing, unknown and mis-shaped arrays.
    """

    file: Path
    config: PaliGemmaConfig | None
    dtypes: tuple[torch.dtype, ...]
    arrays: dict[str, StoredArray]
    mismatch: Mismatch


def read_contents(file: Path) -> NpzContents:
    """Read all headers and work out the config.

    Raises:
        CheckpointError: not a zip, damaged, or an array that could only be unpickled.
    """
    with _opened(file) as zipped:
        _check_stated_bytes(file, zipped)
        arrays = dict(_stored_array(zipped, entry) for entry in zipped.infolist())
    arrays = _parameters(arrays)
    expected = arrays_in(arrays)
    shapes = {key: array.shape for key, array in arrays.items()}
    sides, mismatch = bind_axes(expected, shapes)
    config = None
    if not (mismatch.missing or mismatch.misshaped):
        has_post_norms = "llm/layers/post_ffw_norm/scale" in arrays
        config = _own_config(file, config_from_axes(sides, has_post_norms=has_post_norms))
    counts: Counter[torch.dtype] = Counter()
    for array in arrays.values():
        counts[array.dtype] += math.prod(array.shape)
    dtypes = tuple(dtype for dtype, _ in counts.most_common())
    return NpzContents(file, config, dtypes, arrays, mismatch)


def read_tensors(
    contents: NpzContents, config: PaliGemmaConfig, dtype: torch.dtype, device: torch.device
) -> Iterator[tuple[str, Tensor]]:
    """The weights by the model's names, one after another.

    Args:
        contents: free of mismatches.
        config: of these contents.
        dtype: of the weights.
        device: where to put them.

    Raises:
        CheckpointError: the data do not match their checksums.
    """
    shapes = expected_shapes(config)
    with _opened(contents.file) as zipped:
        for array in arrays_in(contents.arrays):
            for name, view in _views(zipped, array, contents.arrays[array.key], shapes):
                if not array.is_stacked and view.is_contiguous():
                    yield name, view.to(device=device, dtype=dtype)
                else:
                    yield (
                        name,
                        torch.empty_like(
                            view, device=device, dtype=dtype, memory_format=torch.contiguous_format
                        ).copy_(view),
                    )


def config_beside(file: Path) -> Path:
    """Where a config lies that the arrays alone do not tell: `model.npz`, `model.config.json`."""
    return file.with_suffix(".config.json")


def _views(
    zipped: zipfile.ZipFile,
    array: NpzArray,
    stored: StoredArray,
    shapes: dict[str, tuple[int, ...]],
) -> Iterator[tuple[str, Tensor]]:
    """Weights as views of one buffer, each valid until the next layer is asked for."""
    # One buffer an array: a new one each layer, freed between weights that stay, would tear the
    # heap into holes as large as a quarter of the model.
    count = stored.shape[0] if array.is_stacked else 1
    sides = stored.shape[1:] if array.is_stacked else stored.shape
    with zipped.open(stored.entry) as stream:
        stream.read(stored.header_bytes)
        buffer = torch.empty(math.prod(sides) * stored.dtype.itemsize, dtype=torch.uint8)
        for layer in range(count):
            _fill(buffer, stream)
            block = buffer.view(stored.dtype).reshape(sides)
            parts = (block,) if len(array.names) == 1 else block.unbind()
            for name, part in zip(array.names, parts, strict=True):
                full = name.format(layer)
                yield full, to_model(array.kind, part, shapes[full])


def _fill(buffer: Tensor, stream: IO[bytes]) -> None:
    """The next bytes of an entry; in chunks, since a zip entry cannot read into given memory."""
    view = buffer.numpy().data
    filled = 0
    while filled < len(view):
        chunk = stream.read(min(_CHUNK, len(view) - filled))
        if not chunk:
            raise CheckpointError("an array ends before its last value; fetch the file again")
        view[filled : filled + len(chunk)] = chunk
        filled += len(chunk)


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as zipped:
            yield zipped
    except _UNREADABLE as error:
        raise CheckpointError(
            f"{file} is not a whole .npz file ({error}); fetch it again"
        ) from None


def _check_stated_bytes(file: Path, zipped: zipfile.ZipFile) -> None:
    stated, size = sum(entry.file_size for entry in zipped.infolist()), file.stat().st_size
    if stated > max(_HARMLESS_BYTES, MAX_UNPACKED_RATIO * size):
        raise CheckpointError(
            f"{file} states {stated:,} bytes of arrays in a file of {size:,}: weights do not pack "
            "that well; fetch it again"
        )


def _stored_array(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[str, StoredArray]:
    key = entry.filename.removesuffix(".npy")
    if entry.flag_bits & _ENCRYPTED:
        raise CheckpointError(f"{key} is encrypted: save the file without a password")
    try:
        with zipped.open(entry) as stream:
            shape, is_fortran, numpy_dtype = read_npy_header(stream)
            header_bytes = stream.tell()
    except ValueError as error:
        raise CheckpointError(f"{key} is not an array ({error}); fetch the file again") from None
    dtype = _torch_dtype(key, numpy_dtype)
    if is_fortran and len(shape) > 1:
        raise CheckpointError(f"{key} is stored in Fortran order: save it in C order")
    if entry.file_size != header_bytes + math.prod(shape) * dtype.itemsize:
        raise CheckpointError(f"{key} has another length than its shape says; fetch the file again")
    return key, StoredArray(entry.filename, shape, dtype, header_bytes)


def _torch_dtype(key: str, dtype: np.dtype[np.generic]) -> torch.dtype:
    # NumPy knows no bfloat16: JAX's savers leave it as two bytes without a meaning.
    known = {
        "<f8": torch.float64,
        "<f4": torch.float32,
        "<f2": torch.float16,
        "|V2": torch.bfloat16,
    }
    if dtype.str not in known:
        reason = "which could only be unpickled" if dtype.hasobject else "not floating point"
        raise CheckpointError(f"{key} holds {dtype}, {reason}: this is not a file of weights")
    return known[dtype.str]


def _parameters(arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    for prefix in _PREFIXES:
        inside = {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
        if inside:
            return inside
    return arrays


def _own_config(file: Path, inferred: PaliGemmaConfig) -> PaliGemmaConfig:
    path = config_beside(file)
    if not path.is_file():
        return inferred
    config = config_from_json(read_json(path)).with_vocab_size(inferred.text_config.vocab_size)
    if axes_of(config) != axes_of(inferred):
        raise CheckpointError(f"{path} is not the config of {file.name}: remove one of them")
    return config
