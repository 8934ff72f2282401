"""Weights in 4 bits: 16 evenly spaced levels for every 64 inputs of an output.

A level q in 0 .. 15 stands for (q - 8) * scale + middle. Two neighbours share a byte, the first in
its upper half. On CUDA from compute capability 8.0 on PyTorch's own kernel multiplies with it
(`_weight_int4pack_mm`); processors have none that is faster than 8 bits, so there and on older GPUs
the levels are laid out in 8 bits as they are loaded: the file is half as large, memory and speed
are those of int8.

Axes: R rows (tokens), K inputs, N outputs, G = K / 64 groups.
"""

import torch
from torch import Tensor

from palikit.quantization.int8 import int8_linear, quantize_rows
from palikit.quantization.linear import QuantizedLinear

GROUP = 64
"""Inputs that share a scale and a middle."""

_TILES = 8
"""The layout of CUDA's kernel: K is cut into tiles of 16 * 8."""


def fits_int4(shape: tuple[int, ...]) -> bool:
    """Whether a matrix [N, K] can be cut into whole groups."""
    return shape[1] % GROUP == 0


def quantize_groups(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Float[N, K] -> uint8[N, K / 2] levels, bfloat16[N, G] scales, bfloat16[N, G] middles."""
    groups = weight.float().reshape(len(weight), -1, GROUP)
    low, high = groups.amin(dim=2), groups.amax(dim=2)
    # Levels are chosen for the scale and the middle as they are stored.
    scale = ((high - low) / 15).clamp(min=1e-6).to(torch.bfloat16)
    middle = (low + 8 * scale.float()).to(torch.bfloat16)
    levels = ((groups - middle.float()[..., None]) / scale.float()[..., None]).round_() + 8
    levels = levels.clamp_(0, 15).to(torch.uint8).flatten(1)
    return levels[:, ::2] << 4 | levels[:, 1::2], scale, middle


def dequantize_groups(levels: Tensor, scale: Tensor, middle: Tensor) -> Tensor:
    """The reverse of `quantize_groups`: float32[N, K]."""
    both = torch.stack((levels >> 4, levels & 15), dim=2).flatten(1)
    groups = both.reshape(len(both), -1, GROUP).float() - 8
    return (groups * scale.float()[..., None] + middle.float()[..., None]).flatten(1)


def int4_linear(
    levels: Tensor, scale: Tensor, middle: Tensor, bias: Tensor | None
) -> QuantizedLinear:
    """The layer that holds weights of `quantize_groups` where they are: 4 bits on CUDA, else 8."""
    N, K = levels.shape[0], 2 * levels.shape[1]
    if _has_kernel(levels.device) and K % (16 * _TILES) == 0 and N % 8 == 0:
        packed = torch._convert_weight_to_int4pack(levels, _TILES)
        scale_and_middle = torch.stack((scale.t(), middle.t()), dim=2).contiguous()
        return QuantizedLinear(packed, scale_and_middle, bias, int4_product)
    return int8_linear(*quantize_rows(dequantize_groups(levels, scale, middle)), bias)


def _has_kernel(device: torch.device) -> bool:
    """Whether PyTorch multiplies with 4 bits there: its code is for compute capability 8.0 on."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def int4_product(x: Tensor, packed: Tensor, scale_and_middle: Tensor) -> Tensor:
    """Activations times a matrix in 4 bits, on CUDA.

    Args:
        x: float[R, K]; multiplied in bfloat16, which is all that the kernel takes.
        packed: levels in the layout of the kernel.
        scale_and_middle: bfloat16[G, N, 2].

    Returns:
        [R, N] in the dtype of `x`.
    """
    rows = x.to(torch.bfloat16)
    return torch._weight_int4pack_mm(rows, packed, GROUP, scale_and_middle).to(x.dtype)
