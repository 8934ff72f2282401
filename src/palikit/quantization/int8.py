"""Weights in 8 bits: whole numbers from -127 to 127 and a float32 scale for every output.

On a CPU and on CUDA the activations are rounded to 8 bits too, with a scale for every token, and
the product is one of whole numbers (`torch._int_mm`, which computes on the weights as they lie in
the file). Elsewhere, and without instructions for it, weights become floats block by block.

Axes: R rows (tokens), K inputs, N outputs, V rows of the embedding table, D hidden size.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palikit.compute import has_integer_products
from palikit.model.activation import gelu
from palikit.quantization.linear import QuantizedLinear, row_scales
from palikit.quantization.quicker import Quicker

LEVELS = 127
"""The largest whole number; -128 is left out, so that the grid is the same on both sides."""

_MIDDLE = LEVELS + 1
"""What makes whole numbers of both signs positive ones."""

_WHOLE = 3 * 2**22
"""Added to a float32 of either sign, it rounds to a whole number, to the even one of two."""

_BLOCK = 2**22
"""Weights that are floats at a time, where they are rounded and where products are of floats."""

_GATED_OUTPUTS = 2304
"""Of a gate that become numbers at a time: those of 260 tokens stay in the processor's cache."""

_GATED_ROWS = 32
"""From so many tokens on."""

_ROWS_ONE_BY_ONE = 3
"""Up to so many are multiplied one by one on a CPU."""

_CACHED_WEIGHTS = 2**22
"""That stay in the processor's cache while these rows are multiplied with them."""

_ROWS_OF_A_PART = 132
"""Of so many at most the library gives each thread some outputs; of more it gives each some rows,
and all weights to every thread, which takes long where they share no cache."""

_MOST_PARTS = 3
"""More rows than they hold are multiplied at once: what is gained becomes less."""

_FEWEST_ROWS = 16
"""CUDA's product of whole numbers takes more rows than these; fewer are filled up to twice that."""


def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Float[N, K] -> int8[N, K] and float32[N], the scale by which the largest becomes 127.

    A table of embeddings as float32 would take gigabytes: it is a block of rows at a time.
    """
    rows = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    scale = torch.empty(len(weight), dtype=torch.float32, device=weight.device)
    step = max(1, _BLOCK // weight.shape[1])
    for start in range(0, len(weight), step):
        here = slice(start, start + step)
        wide = weight[here].float()
        scale[here] = row_scales(wide, LEVELS)
        rows[here] = (wide / scale[here, None]).round_()
    return rows, scale


def int8_product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """Activations times a quantised matrix.

    Args:
        x: float[R, K].
        weight: int8[N, K].
        scale: float32[N].

    Returns:
        [R, N] in the dtype of `x`.
    """
    # CUDA's product of whole numbers takes matrices of sides that are multiples of 8 alone.
    fits = x.device.type == "cpu" or not any(side % 8 for side in weight.shape)
    if fits and computes_in_integers(x.device):
        return _integer_product(x, weight, scale)
    return int8_product_reference(x, weight, scale)


class Int8Product:
    """`int8_product` with one matrix, the same bit for bit, and quicker for few rows on a CPU.

    Processors with VNNI multiply positive whole numbers by signed ones. For signed by signed the
    library shifts the former, and to take the shift out again it sums up all weights each time;
    here a row is shifted before, and the sums are kept from the first time on.

    A product of one row runs at the speed of memory, one of two at half of it. So a few rows are
    multiplied one by one with a block of weights that stays in the cache meanwhile.
    """

    def __init__(self) -> None:
        self._kept: tuple[Tensor, Tensor] | None = None
        """The matrix and its shifts, set together: several threads may be here."""

    def __call__(self, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        """As `int8_product`."""
        is_few = len(x) <= _ROWS_ONE_BY_ONE and x.device.type == "cpu"
        if not is_few or not computes_in_integers(x.device) or not _takes_positive_numbers():
            return int8_product(x, weight, scale)
        kept = self._kept
        if kept is None or kept[0] is not weight:
            kept = self._kept = weight, _sums(weight).mul_(_MIDDLE)
        steps = _steps(x.abs().amax(dim=1, keepdim=True))
        # Numbers this large have no fraction left, and their lowest byte is what is wanted.
        shifted = (x * steps).add_(_WHOLE + _MIDDLE).view(torch.int32).to(torch.uint8)
        product = _row_by_row(shifted, weight).sub_(kept[1])
        return product.float().mul_(scale).div_(steps).to(x.dtype)


def _row_by_row(shifted: Tensor, weight: Tensor) -> Tensor:
    """uint8[R, K] and int8[N, K] -> int32[R, N]."""
    if len(shifted) == 1:
        return torch._int_mm(shifted, weight.t())
    product = torch.empty(len(shifted), len(weight), dtype=torch.int32)
    step = max(1, _CACHED_WEIGHTS // weight.shape[1])
    for start in range(0, len(weight), step):
        block = weight[start : start + step].t()
        for r in range(len(shifted)):
            out = product[r : r + 1, start : start + step]
            torch._int_mm(shifted[r : r + 1], block, out=out)
    return product


@cache
def _takes_positive_numbers() -> bool:
    """Whether PyTorch's product takes them, and gets them right."""
    try:
        return bool((_sums(torch.full((16, 64), -LEVELS, dtype=torch.int8)) == -64 * LEVELS).all())
    except RuntimeError:
        return False


def _sums(weight: Tensor) -> Tensor:
    """Of all inputs of each output: int8[N, K] -> int32[1, N]."""
    ones = torch.ones(1, weight.shape[1], dtype=torch.uint8)
    return torch._int_mm(ones, weight.t())


def int8_product_reference(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """The same from weights as floats, a block of outputs at a time; activations are not rounded.

    On an accelerator one block is all of it, for its compiler joins the change of dtype with the
    product.
    """
    step = max(1, _BLOCK // weight.shape[1]) if x.device.type == "cpu" else len(weight)
    blocks = [
        _float_block(x, weight[start : start + step], scale[start : start + step])
        for start in range(0, len(weight), step)
    ]
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=1)


def _float_block(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    if x.dtype == torch.float16:  # sums of products with unscaled weights would not fit into it
        return F.linear(x, weight.to(x.dtype) * scale[:, None].to(x.dtype))
    return F.linear(x, weight.to(x.dtype)) * scale.to(x.dtype)


def computes_in_integers(device: torch.device) -> bool:
    """Whether products on a device are those of whole numbers."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (7, 5)
    return device.type == "cpu" and has_integer_products()


def _integer_product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    rounded, steps = _rounded(x)
    rows = len(rounded)
    if x.device.type == "cuda" and rows <= _FEWEST_ROWS:
        rounded = F.pad(rounded, (0, 0, 0, 2 * _FEWEST_ROWS - rows))
    product = _product(rounded, weight)[:rows]
    return _floats(product, scale, steps).to(x.dtype)


def _product(rounded: Tensor, weight: Tensor) -> Tensor:
    """int8[R, K] and int8[N, K] -> int32[R, N]."""
    can_be_parted = _ROWS_OF_A_PART < len(rounded) <= _MOST_PARTS * _ROWS_OF_A_PART
    if rounded.device.type == "cpu" and can_be_parted:
        return _QUICKER(rounded, weight)
    return _at_once(rounded, weight)


def _at_once(rounded: Tensor, weight: Tensor) -> Tensor:
    return torch._int_mm(rounded, weight.t())


def _in_parts(rounded: Tensor, weight: Tensor) -> Tensor:
    product = torch.empty(len(rounded), len(weight), dtype=torch.int32)
    count = -(-len(rounded) // _ROWS_OF_A_PART)
    for rows, out in zip(rounded.chunk(count), product.chunk(count), strict=True):
        torch._int_mm(rows, weight.t(), out=out)
    return product


def _shapes(rounded: Tensor, weight: Tensor) -> tuple[int, ...]:
    return (*rounded.shape, len(weight))


_QUICKER = Quicker(_at_once, _in_parts, _shapes)


def _rounded(x: Tensor) -> tuple[Tensor, Tensor]:
    """float[R, K] -> int8[R, K], and the steps of each row."""
    steps = _steps(torch.maximum(x.amax(dim=1, keepdim=True), -x.amin(dim=1, keepdim=True)))
    return (x * steps).round_().to(torch.int8), steps


def _steps(largest: Tensor) -> Tensor:
    """Whole numbers a unit, by the largest activation of each row: [R, 1] -> float32[R, 1]."""
    # A row of zeros stays one; any other has a largest element to be 127.
    return largest.float().clamp_(min=1e-30).reciprocal_().mul_(LEVELS)


def _floats(product: Tensor, scale: Tensor, steps: Tensor) -> Tensor:
    """int32[R, N] -> float32[R, N].

    The sums become floats where they lie: another array of their size would cost more time than
    the change.
    """
    return product.view(torch.float32).copy_(product).mul_(scale).div_(steps)


class Int8Linear(QuantizedLinear):
    """Of int8[N, K] weights, float32[N] scales and a float[N] bias."""

    def gated(self, x: Tensor) -> Tensor:
        """The same, without an array of gates and ups of a whole prompt on a CPU."""
        rows = x.flatten(0, -2)
        is_long = rows.device.type == "cpu" and len(rows) >= _GATED_ROWS
        if not is_long or self.bias is not None or not computes_in_integers(x.device):
            return super().gated(x)
        rounded, steps = _rounded(rows)
        width = len(self.weight) // 2
        out = x.new_empty(len(rows), width)
        for start in range(0, width, _GATED_OUTPUTS):
            end = min(start + _GATED_OUTPUTS, width)
            gate, up = (
                _floats(_product(rounded, self.weight[a:b]), self.scale[a:b], steps)
                for a, b in ((start, end), (width + start, width + end))
            )
            torch.mul(gelu(gate), up, out=out[:, start:end])
        return out.reshape(*x.shape[:-1], width)


def int8_linear(weight: Tensor, scale: Tensor, bias: Tensor | None) -> Int8Linear:
    """The layer of these parts."""
    return Int8Linear(weight, scale, bias, Int8Product())


class Int8Table(nn.Module):
    """The table of token embeddings in 8 bits, in the place of `model.embedding.TokenTable`.

    Attributes:
        weight: int8[V, D].
        scale: float32[V].
        dtype: of the rows that are looked up.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, scale: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.dtype = dtype
        self._product = Int8Product()

    def forward(self, ids: Tensor) -> Tensor:
        """int64[...] -> [..., D]."""
        return (self.weight[ids] * self.scale[ids][..., None]).to(self.dtype)

    def scores(self, hidden: Tensor) -> Tensor:
        """As `TokenTable.scores`."""
        out = self._product(hidden.flatten(0, -2), self.weight, self.scale)
        return out.reshape(*hidden.shape[:-1], -1).float()

    def scores_of(self, hidden: Tensor, ids: Tensor | slice) -> Tensor:
        """As `TokenTable.scores_of`."""
        return F.linear(hidden.float(), self.weight[ids].float()) * self.scale[ids]
