"""Reading and writing the few arrays of a mask codec, from files that are not trusted.

`.npz` is a zip archive of NumPy arrays. Each header is checked against the bytes that are really
there before anything is allocated, and nothing is ever unpickled.
"""

import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, from_numpy

from palikit.errors import CheckpointError
from palikit.model.npy_header import read_npy_header

MAX_FILE_BYTES = 2**28
"""Far above any codec, far below what would trouble a machine."""

_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, SafetensorError),
    *(ValueError, EOFError, OSError, RuntimeError),  # RuntimeError: an encrypted archive
)


def read_arrays(path: Path) -> dict[str, Tensor]:
    """All arrays of an `.npz` or `.safetensors` file, by name, in float32.

    Raises:
        CheckpointError: the file is missing, damaged, unreasonably large, or holds no numbers.
    """
    if not path.is_file():
        raise CheckpointError(f"no mask codec at {path}: give the path of vae-oid.npz")
    try:
        _check_size(path.stat().st_size)
        tensors = load_file(path) if path.suffix == ".safetensors" else _read_npz(path)
    except _UNREADABLE as error:
        raise CheckpointError(
            f"{path} cannot be read as a mask codec ({error}): fetch vae-oid.npz again"
        ) from error
    return {name: tensor.float() for name, tensor in tensors.items()}


def write_npz(arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Write arrays of any name; NumPy's own writer takes names as Python arguments."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ValueError(f"it has {size} bytes, a codec at most {MAX_FILE_BYTES}")


def _read_npz(path: Path) -> dict[str, Tensor]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        _check_size(sum(member.file_size for member in members))
        return {
            member.filename.removesuffix(".npy"): from_numpy(_read_npy(archive, member))
            for member in members
        }


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with archive.open(member) as file:
        shape, fortran_order, dtype = read_npy_header(file)
        data = file.read()
    if dtype.kind not in "fiu" or len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{member.filename} has {len(data)} bytes for {dtype} of shape {shape}")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
    return array.astype(np.float32)  # also a copy in this machine's byte order
