"""The header of a NumPy array in a file that is not trusted."""

from typing import IO, Any

import numpy as np
from numpy.lib import format as npy


def read_npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and dtype; the stream then stands at the data.

    Raises:
        ValueError: whatever is wrong with it.
    """
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, is_fortran, dtype = read(stream)
    # NumPy evaluates the header as a Python literal and lets through what tokenizer, parser and
    # dtype raise at damaged ones: TokenError, SyntaxError, IndexError, RecursionError and others.
    except Exception as error:
        raise ValueError(str(error).partition("\n")[0] or type(error).__name__) from None
    if any(side < 0 for side in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, is_fortran, dtype
