"""Weights as 8-bit floats (e4m3: 4 bits of exponent, 3 of mantissa), with a scale an output.

On CUDA from compute capability 8.9 on, activations are rounded to the same with a scale a token
and multiplied there (`torch._scaled_mm`); elsewhere weights become floats block by block.

Axes: R rows (tokens), K inputs, N outputs.
"""

import torch
from torch import Tensor, nn

from palikit.quantization.int8 import int8_product_reference

FP8 = torch.float8_e4m3fn

LARGEST = torch.finfo(FP8).max
"""448: there is no infinity, what is larger would become not-a-number."""


def quantize_fp8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Float[N, K] -> float8_e4m3fn[N, K] and float32[N], whose product is nearest to the weight."""
    wide = weight.float()
    scale = (wide.abs().amax(dim=1) / LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
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


class Fp8Linear(nn.Module):
    """A linear layer, or several of one input laid one after another, in 8-bit floats.

    Attributes:
        weight: float8_e4m3fn[N, K].
        scale: float32[N].
        bias: float[N] or None.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """[..., K] -> [..., N]."""
        out = fp8_product(x.flatten(0, -2), self.weight, self.scale)
        if self.bias is not None:
            out += self.bias
        return out.reshape(*x.shape[:-1], -1)
