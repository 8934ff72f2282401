"""The header of a safetensors file, read without touching the weights.

Layout: 8 bytes with the header's length (little endian), the header as JSON, the data. The library
reads tensors; this reads only what a report needs, and stays useful where a file is cut short.
"""

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
"""What weights may be stored as; integers and 8-bit floats are marks of a quantised model."""

QUANTIZED_DTYPES = {
    "I8": torch.int8,
    "U8": torch.uint8,
    "F8_E4M3": torch.float8_e4m3fn,
}
"""What the parts of a quantised model may be stored as beside these."""

MAX_HEADER_BYTES = 100 * 10**6
"""The limit of the format's own library."""


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies.

    Attributes:
        name: as the file spells it.
        file: the file.
        dtype: the format's name of it, such as BF16.
        shape: its axes.
        start: first byte in the file.
        nbytes: its length.
    """

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    nbytes: int


@dataclass(frozen=True)
class Header:
    """Tensors of one file, and what is wrong with it, if anything."""

    tensors: tuple[StoredTensor, ...]
    problem: str | None = None


def read_header(file: Path) -> Header:
    """Read one file's header; damage is reported, not raised."""
    try:
        return _read_header(file)
    except OSError as error:
        return Header((), f"{file.name} cannot be read ({error.strerror}); see who may read it")


def _read_header(file: Path) -> Header:
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else MAX_HEADER_BYTES + 1
        if length > MAX_HEADER_BYTES:
            return Header((), f"{file.name} is not a safetensors file; fetch it again")
        raw = stream.read(length)
    if len(raw) < length:
        return Header((), f"{file.name} ends inside its header; fetch it again")
    try:
        entries = json.loads(raw)
        entries.pop("__metadata__", None)
        tensors = tuple(_tensor(file, name, entry, 8 + length) for name, entry in entries.items())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Header((), f"{file.name} has a damaged header; fetch it again")
    return Header(tensors, _size_problem(file.name, tensors, size))


def _tensor(file: Path, name: str, entry: dict[str, Any], base: int) -> StoredTensor:
    begin, end = entry["data_offsets"]
    shape = tuple(int(side) for side in entry["shape"])
    dtype = str(entry["dtype"])
    if not 0 <= begin <= end or any(side < 0 for side in shape):
        raise ValueError(name)
    known = DTYPES.get(dtype) or QUANTIZED_DTYPES.get(dtype)
    if known is not None and end - begin != math.prod(shape) * known.itemsize:
        raise ValueError(name)
    return StoredTensor(name, file, dtype, shape, base + begin, end - begin)


def _size_problem(name: str, tensors: tuple[StoredTensor, ...], size: int) -> str | None:
    needed = max((tensor.start + tensor.nbytes for tensor in tensors), default=size)
    if needed > size:
        return f"{name} is cut short: {size:,} of {needed:,} bytes; fetch it again"
    return None
