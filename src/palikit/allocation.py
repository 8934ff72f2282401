"""How the C library keeps memory that is freed: GNU's on Linux; elsewhere nothing is done."""

import platform
from collections.abc import Callable
from typing import cast

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Numbers of options in GNU's malloc.h."""


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for the next layer.

    By default blocks of some size go back to the system at once, and every page of the next one is
    fetched anew: activations of a whole prompt are such blocks.
    """
    # Some releases take no more than the second. Where none is taken the default is the better
    # one: it follows what is freed until either of these options is set.
    if any(_set_option(_MMAP_THRESHOLD, size) for size in (2**30, 2**25)):
        _set_option(_TRIM_THRESHOLD, 2**31 - 1)


def share_one_heap() -> None:
    """Have threads that begin after this allocate from one heap.

    By default each has one of its own, whose free end `return_freed_memory` cannot reach: a thread
    that has decoded a large picture would keep its size for ever.
    """
    _set_option(_ARENA_MAX, 1)


def return_freed_memory() -> None:
    """Give the system what `keep_freed_memory` has kept: after work that seldom comes; blocks."""
    trim = _of_c_library("malloc_trim")
    if trim is not None:
        trim(0)


def _set_option(option: int, value: int) -> bool:
    """Whether the C library has taken it."""
    set_option = _of_c_library("mallopt")
    return set_option is not None and set_option(option, value) == 1


def _of_c_library(name: str) -> Callable[..., object] | None:
    """A function of GNU's C library; None elsewhere."""
    if platform.system() != "Linux":
        return None
    import ctypes

    try:
        return cast("Callable[..., object]", getattr(ctypes.CDLL(None), name))
    except (AttributeError, OSError):  # another C library
        return None
