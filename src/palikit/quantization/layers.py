"""Which layers of a model are held in which form, and how they are put in.

    site      one product: a linear layer, or those of one input that become one (q, k and v; gate
              and up), or the table of embeddings
    parts     the tensors of a quantised matrix; those of several layers are laid one after another

Image tower, projection and table are held in 8 bits whatever the form of the decoder, but for fp8,
whose layers all are; the patch embedding and the norms stay floats.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from palikit.checkpoints.names import EMBEDDING
from palikit.compute import compute_dtype
from palikit.errors import CheckpointError
from palikit.model.gemma import DecoderAttention, DecoderMLP
from palikit.model.paligemma import PaliGemma
from palikit.model.siglip import VisionAttention, VisionMLP
from palikit.options import QuantizedForm
from palikit.quantization.attention import halve_attention
from palikit.quantization.fp8 import fp8_linear, quantize_fp8
from palikit.quantization.int4 import fits_int4, int4_linear, quantize_groups
from palikit.quantization.int8 import Int8Table, int8_linear, quantize_rows
from palikit.quantization.linear import QuantizedLinear
from palikit.quantization.nf4 import quantize_base_nf4

Parts = tuple[Tensor, ...]

_FUSED: tuple[tuple[type[nn.Module], tuple[tuple[str, tuple[str, ...]], ...]], ...] = (
    (DecoderAttention, (("qkv_proj", ("q_proj", "k_proj", "v_proj")), ("o_proj", ("o_proj",)))),
    (DecoderMLP, (("gate_up_proj", ("gate_proj", "up_proj")), ("down_proj", ("down_proj",)))),
    (VisionAttention, (("qkv_proj", ("q_proj", "k_proj", "v_proj")), ("out_proj", ("out_proj",)))),
    (VisionMLP, (("fc1", ("fc1",)), ("fc2", ("fc2",)))),
)


@dataclass(frozen=True)
class Scheme:
    """How a matrix is held.

    Attributes:
        suffixes: of the names of its parts in a file.
        quantize: float[N, K] -> the parts, each with N rows.
        layer: the parts and a bias -> the layer.
    """

    suffixes: tuple[str, ...]
    quantize: Callable[[Tensor], Parts]
    layer: Callable[..., QuantizedLinear]


_ROWS = ("weight", "weight_scale")
_INT8 = Scheme(_ROWS, quantize_rows, int8_linear)
_INT4 = Scheme(("weight", "weight_scale", "weight_middle"), quantize_groups, int4_linear)
_FP8 = Scheme(_ROWS, quantize_fp8, fp8_linear)


@dataclass(frozen=True)
class Site:
    """One product of a model.

    Attributes:
        name: of the layer that computes it.
        members: names of the float layers it stands for, in order.
        shape: N and K of all of them together.
    """

    name: str
    members: tuple[str, ...]
    shape: tuple[int, int]

    @property
    def is_table(self) -> bool:
        """Whether it is the table of embeddings."""
        return f"{self.name}.weight" == EMBEDDING

    def scheme(self, form: QuantizedForm) -> Scheme:
        """How it is held in a form."""
        if self.is_table:
            return _INT8
        if form == "fp8":
            return _FP8
        is_decoder = self.name.startswith("language_model.")
        return _INT4 if form == "int4" and is_decoder and fits_int4(self.shape) else _INT8


def sites(model: PaliGemma) -> Iterator[Site]:
    """Every product of a float model, in the order of its modules."""
    for name, module in model.named_modules():
        for kind, products in _FUSED:
            if isinstance(module, kind):
                for fused, members in products:
                    yield _site(model, f"{name}.{fused}", [f"{name}.{each}" for each in members])
    for name in ("multi_modal_projector", EMBEDDING.removesuffix(".weight")):
        yield _site(model, name, [name])


def quantize(
    model: PaliGemma,
    form: QuantizedForm,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> None:
    """Replace a model's layers by quantised ones, one product after another.

    Args:
        model: float weights, best mapped to their file on the CPU; changed in place.
        form: how weights are to be held.
        dtype: of activations and of what stays float; None is `activation_dtype`.
        device: where the model goes; None leaves it where it is.

    Raises:
        CheckpointError: the model is quantised already or has LoRA layers.
        MissingExtraError: nf4 without bitsandbytes.
    """
    device = device or model.device
    dtype = dtype or activation_dtype(form, model.dtype, device)
    products = list(sites(model))
    if form == "nf4":
        quantize_base_nf4(model, compute_dtype=dtype, device=device)
    else:
        for site in products:
            parts = tuple(part.to(device) for part in parts_of(model, site, form))
            install(model, site, form, parts, bias_of(model, site), dtype)
    finish(model, dtype, device)


def is_quantized(model: PaliGemma) -> bool:
    """Whether a layer of a model is held in fewer bits, in any form."""
    return any(
        isinstance(module, (QuantizedLinear, Int8Table))
        or getattr(getattr(module, "weight", None), "quant_state", None) is not None
        for module in model.modules()
    )


def activation_dtype(form: QuantizedForm, stored: torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype of activations between quantised layers.

    On a CPU float32: there is little of it, and half precision costs time there. nf4, whose
    products are of floats, takes what a float model would; on CUDA nothing stays in float32.
    """
    if device.type == "cpu":
        return compute_dtype(stored, device) if form == "nf4" else torch.float32
    return torch.bfloat16 if stored == torch.float32 else stored


def finish(model: PaliGemma, dtype: torch.dtype, device: torch.device) -> None:
    """Bring what is not quantised to its dtype, and everything to its device."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(device, dtype)
    model.to(device)
    if device.type == "cpu":
        halve_attention(model)


@torch.no_grad()
def parts_of(model: PaliGemma, site: Site, form: QuantizedForm) -> Parts:
    """The float layers of a site, quantised."""
    quantize = site.scheme(form).quantize
    members = [quantize(model.get_parameter(f"{name}.weight").detach()) for name in site.members]
    return joined(members)


def has_bias(model: PaliGemma, site: Site) -> bool:
    """Whether the float layers of a site have biases."""
    layer = model.get_submodule(site.members[0])
    return getattr(layer, "bias", None) is not None


def bias_of(model: PaliGemma, site: Site) -> Tensor | None:
    """The biases of a site's float layers, or None where they have none."""
    found = [getattr(model.get_submodule(name), "bias", None) for name in site.members]
    biases = [bias.detach() for bias in found if bias is not None]
    return torch.cat(biases) if biases else None


def joined(members: list[Parts]) -> Parts:
    """Parts of several matrices laid one after another."""
    return members[0] if len(members) == 1 else tuple(map(torch.cat, zip(*members, strict=True)))


def install(
    model: PaliGemma,
    site: Site,
    form: QuantizedForm,
    parts: Parts,
    bias: Tensor | None,
    dtype: torch.dtype,
) -> None:
    """Put the layer of these parts in the place of a site's float layers."""
    if site.is_table:
        weight, scale = parts
        layer: nn.Module = Int8Table(weight, scale, dtype)
    else:
        layer = site.scheme(form).layer(
            *parts, None if bias is None else bias.to(parts[0].device, dtype)
        )
    parent_name, _, own = site.name.rpartition(".")
    parent = model.get_submodule(parent_name)
    for member in site.members:
        setattr(parent, member.rpartition(".")[2], None)
    setattr(parent, own, layer.eval())


def _site(model: PaliGemma, name: str, members: list[str]) -> Site:
    weights = [_float_weight(model, member) for member in members]
    rows = sum(weight.shape[0] for weight in weights)
    return Site(name, tuple(members), (rows, weights[0].shape[1]))


def _float_weight(model: PaliGemma, name: str) -> Tensor:
    layer = getattr(model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2])
    if type(layer) is not nn.Linear and not isinstance(layer, nn.Embedding):
        raise CheckpointError(
            f"{name} is no plain float layer: quantise a model before LoRA layers are put in, and "
            "once"
        )
    return layer.weight
