"""Weights as 8-bit floats (e4m3: 4 bits of exponent, 3 of mantissa), with a scale an output.

On CUDA from compute capability 8.9 on, activations are rounded to the same with a scale a token
and multiplied there (`torch._scaled_mm`); elsewhere weights become floats block by block.

Axes: R rows (tokens), K inputs, N outputs.
"""

import torch
from torch import Tensor

from palikit.quantization.int8 import int8_product_reference
from palikit.quantization.linear import QuantizedLinear, row_scales

FP8 = torch.float8_e4m3fn

LARGEST = torch.finfo(FP8).max
"""448: there is no infinity, what is larger would become not-a-number."""


def quantize_fp8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Float[N, K] -> float8_e4m3fn[N, K] and float32[N], by which the largest becomes 448."""
    wide = weight.float()
    scale = row_scales(wide, LARGEST)
    return (wide / scale[:, None]).clamp_(-LARGEST, LARGEST).to(FP8), scale


def fp8_product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """Activations float[R, K] times a quantised matrix: [R, N] in the dtype of `x`."""
    if not _has_fp8_product(x.device, weight):
        return int8_product_reference(x, weight, scale)
    largest = x.float().abs().amax(dim=1, keepdim=True)
    steps = largest.clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
    out: Tensor = torch._scaled_mm(
        (x / steps).clamp(-LARGEST, LARGEST).to(FP8),
        weight.t(),
        scale_a=steps,
        scale_b=scale[None],
        out_dtype=torch.bfloat16,
    )
    return out.to(x.dtype)


def _has_fp8_product(device: torch.device, weight: Tensor) -> bool:
    if device.type != "cuda" or any(side % 16 for side in weight.shape):
        return False
    return torch.cuda.get_device_capability(device) >= (8, 9)


def fp8_linear(weight: Tensor, scale: Tensor, bias: Tensor | None) -> QuantizedLinear:
    """The layer of float8_e4m3fn[N, K] weights, float32[N] scales and a float[N] bias."""
    return QuantizedLinear(weight, scale, bias, fp8_product)
