"""The linear layer of quantised weights, one for all forms that PaliKit computes by itself.

Axes: R rows (tokens), K inputs, N outputs.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from palikit.model.activation import gelu

Product: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(float[R, K], weight, scale) -> [R, N] in the dtype of the first."""


class QuantizedLinear(nn.Module):
    """A linear layer, or several of one input laid one after another.

    Attributes:
        weight: as `product` takes it; a buffer, for it is not trained.
        scale: as `product` takes it.
        bias: float[N] or None.
        product: multiplies activations with the two.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(
        self, weight: Tensor, scale: Tensor, bias: Tensor | None, product: Product
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)
        self.product = product

    def forward(self, x: Tensor) -> Tensor:
        """float[..., K] -> [..., N] in the same dtype."""
        out = self.product(x.flatten(0, -2), self.weight, self.scale)
        if self.bias is not None:
            out += self.bias
        return out.reshape(*x.shape[:-1], -1)

    def gated(self, x: Tensor) -> Tensor:
        """gelu(the first half of the outputs) * the second: float[..., K] -> [..., N / 2]."""
        gate, up = self(x).chunk(2, dim=-1)
        out: Tensor = gelu(gate) * up
        return out


def row_scales(weight: Tensor, largest: float) -> Tensor:
    """float32[N, K] -> float32[N]: what the largest of each row is `largest` times of."""
    tiny = torch.finfo(torch.float32).tiny  # a row of zeros is divided by its scale, too
    return (weight.abs().amax(dim=1) / largest).clamp(min=tiny)
