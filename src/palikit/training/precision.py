"""Dtypes of a run: what learns is float32, products may be bfloat16, the rest stays as stored."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from palikit.model.paligemma import PaliGemma
from palikit.train_options import Precision


def compute_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """float32 or bfloat16; for "auto" what suits the device."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def cast_weights(weights: Iterable[nn.Parameter], dtype: torch.dtype) -> None:
    """Gives weights their dtype for training, in place.

    What learns becomes float32. What is frozen becomes float32 only where products are in float32,
    too. Quantised weights, which are no floating point numbers, stay. Weights that are parts of a
    mapped file may learn: the mapping is private, so the file is not written.
    """
    for weight in weights:
        if weight.requires_grad or (dtype == torch.float32 and weight.is_floating_point()):
            weight.data = weight.data.float()


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Products in bfloat16 inside the block; nothing for float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)


@contextmanager
def in_dtype(model: PaliGemma, dtype: torch.dtype) -> Iterator[None]:
    """The model in evaluation mode and in one dtype, as it will be saved; put back afterwards."""
    kept: list[tuple[nn.Parameter, torch.Tensor]] = []
    for weight in model.parameters():
        if weight.is_floating_point() and weight.dtype != dtype:
            kept.append((weight, weight.data))
            weight.data = weight.data.to(dtype)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for weight, data in kept:
            weight.data = data
        model.train()
