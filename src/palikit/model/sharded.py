"""Tensors that may be cut among processes.

A cut tensor is a `DTensor`. It is known here by what it can do, for the import of its class takes
longer than a single process, which has none, should wait.
"""

from typing import Any

from torch import Tensor


def is_cut(tensor: Tensor) -> bool:
    """Whether a tensor is spread over processes."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """A tensor itself, or gathered where it is cut, which every process must take part in."""
    cut: Any = tensor
    found: Tensor = cut.full_tensor() if is_cut(tensor) else tensor
    return found
