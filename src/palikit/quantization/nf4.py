"""Weights in 4 bits (nf4, the normal-float grid of QLoRA) by bitsandbytes.

A linear layer keeps two numbers a byte and a float32 scale for every 64 of them: 0.5625 bytes a
number, or 0.516 where the scales are quantised too. It multiplies in float and lets gradients
through to its input. Embedding table, patch embedding, norms and biases stay as they are.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from palikit.checkpoints.atomic import replacing_file
from palikit.checkpoints.names import from_hub, to_hub
from palikit.checkpoints.tensor_file import write_tensors
from palikit.errors import CheckpointError, MissingExtraError
from palikit.model.paligemma import PaliGemma
from palikit.model.towers import Tower, tower_of

BLOCK = 64
"""Numbers that share a scale."""

BYTES_A_NUMBER = 0.5 + 4 / BLOCK
"""Of a weight whose scales are not quantised too."""

_FIXED_NBYTES = 4 * (16 + 256) + 512
"""The values of nf4 and those of quantised scales, shape and dtype as JSON, in every layer."""

_BASE = ".base_layer"  # what PEFT calls the layer below its own


@dataclass(frozen=True)
class FourBit:
    """What of a model is held in 4 bits.

    Attributes:
        layers: linear layers.
        numbers: weights of these.
        nbytes: bytes they take, scales included.
    """

    layers: int
    numbers: int
    nbytes: int


def quantize_base_nf4(
    model: PaliGemma,
    *,
    towers: Iterable[Tower] = ("decoder",),
    double_quant: bool = False,
    compute_dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> FourBit:
    """Replace the linear layers of some towers by frozen 4-bit ones.

    Layers are converted one after another, each let go before the next: weights that are mapped to
    their file are never all in memory, and the device never holds the float model.

    Args:
        model: changed in place; float weights and no LoRA layers.
        towers: whose linear layers.
        double_quant: quantise the scales too, to 8 bits.
        compute_dtype: what products are computed in; None is the model's dtype.
        device: where the 4-bit weights go; None leaves them where they are.

    Raises:
        MissingExtraError: bitsandbytes is not installed.
        CheckpointError: the model is quantised already or has LoRA layers.
    """
    chosen = tuple(towers)
    names = [name for name, _ in _linears(model, chosen)]
    for name in names:
        if type(model.get_submodule(name)) is not nn.Linear or _BASE in name:
            raise CheckpointError(
                f"{name} is no plain float layer: quantise a model before LoRA layers are put in, "
                "and once"
            )
    for name in names:
        # Nothing but the model may hold a float layer here, or it would outlive its turn.
        dtype = compute_dtype or model.dtype
        model.set_submodule(name, _packed(model, name, dtype, device, nested=double_quant))
    return require_four_bit(model, chosen)


def require_four_bit(model: PaliGemma, towers: Iterable[Tower] = ("decoder",)) -> FourBit:
    """Make sure that the linear layers of these towers are held in 4 bits, LoRA layers aside.

    Raises:
        CheckpointError: one is not, or takes more bytes than 4-bit weights and their scales.
    """
    layers = numbers = nbytes = 0
    for name, linear in _linears(model, tuple(towers)):
        state: Any = getattr(linear.weight, "quant_state", None)
        count = linear.weight.numel() if state is None else int(state.shape.numel())
        held = linear.weight.nbytes + (0 if state is None else _state_nbytes(state))
        most = 0.5 * count + 4 * (count / BLOCK + 1) + _FIXED_NBYTES
        if state is None or linear.weight.dtype != torch.uint8 or held > most:
            raise CheckpointError(
                f"{name} is not held in 4 bits: {count:,} numbers take {held:,} bytes as "
                f"{linear.weight.dtype}; quantise the model first"
            )
        layers, numbers, nbytes = layers + 1, numbers + count, nbytes + held
    return FourBit(layers, numbers, nbytes)


def save_quantized_base(model: PaliGemma, file: Path, *, overwrite: bool = False) -> None:
    """Write all weights but LoRA layers to one safetensors file, 4-bit ones packed.

    Names are the released ones. Beside a packed `.weight` stand `.weight.absmax`,
    `.weight.quant_map` and `.weight.quant_state.bitsandbytes__nf4`, as bitsandbytes names them.

    Raises:
        CheckpointError: the file exists or cannot be written.
    """
    tensors = {
        _stored_name(key.replace(_BASE, "")): tensor
        for key, tensor in model.state_dict().items()
        if ".lora_" not in key
    }
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = file.with_name(f"{file.name}.index.json")  # one of another model would be read with it
    with replacing_file(file, companion=index, needed_bytes=total, overwrite=overwrite) as folder:
        write_tensors(folder / file.name, tensors, {"format": "pt"})


def load_quantized_base(
    model: PaliGemma,
    file: Path | Sequence[Path],
    device: torch.device,
    *,
    compute_dtype: torch.dtype | None = None,
) -> None:
    """Fill a model from a file of `save_quantized_base`, bit by bit.

    Args:
        model: of the same config, plain, best on the meta device; changed in place.
        file: the safetensors file, or all of them.
        device: where the weights go.
        compute_dtype: what products are computed in; None is the dtype of what stays float.

    Raises:
        CheckpointError: the file is damaged or of another model.
        MissingExtraError: bitsandbytes is not installed.
    """
    plain: dict[str, Tensor] = {}
    packed: dict[str, dict[str, Tensor]] = {}
    files = [file] if isinstance(file, Path) else list(file)
    for name, part, tensor in chain.from_iterable(map(_read, files)):
        if part:
            packed.setdefault(name, {})[part] = tensor
        else:
            plain[name] = tensor
    norm = plain.get("language_model.norm.weight")  # never packed; without it the file is refused
    dtype = compute_dtype or (torch.float32 if norm is None else norm.dtype)
    for name, parts in packed.items():
        _set_packed(
            model, name.removesuffix(".weight"), plain.pop(name, None), parts, dtype, device
        )
    placed = {name: tensor.to(device) for name, tensor in plain.items()}
    try:
        missing, unexpected = model.load_state_dict(placed, strict=False, assign=True)
    except RuntimeError as error:  # shapes
        raise CheckpointError(f"{files[0]} is of another model: {error}") from None
    absent = [name for name in missing if name not in packed]
    if absent or unexpected:
        raise CheckpointError(
            f"{files[0]} is of another model: missing {absent[:5]}, unexpected {unexpected[:5]}"
        )


def quiet_bitsandbytes() -> None:
    """On a CPU it advises at every import to install a kernel that PaliKit switches off."""
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def _linears(model: PaliGemma, towers: tuple[Tower, ...]) -> list[tuple[str, nn.Linear]]:
    """Linear layers by name, those below LoRA layers included, LoRA's own two left out."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and ".lora_" not in name and tower_of(f"{name}.") in towers
    ]


def _packed(
    model: PaliGemma,
    name: str,
    dtype: torch.dtype,
    device: torch.device | None,
    *,
    nested: bool,
) -> Any:
    linear: Any = model.get_submodule(name)
    layer = _empty_layer(linear, dtype, nested=nested)
    device = device or linear.weight.device
    parameter = _bitsandbytes().nn.Params4bit(
        linear.weight.detach(), compress_statistics=nested, quant_type="nf4", module=layer
    )
    layer.weight = parameter.to(device)  # quantises
    if linear.bias is not None:
        layer.bias = nn.Parameter(linear.bias.detach().to(device), requires_grad=False)
    return layer


def _empty_layer(linear: nn.Linear, dtype: torch.dtype, *, nested: bool) -> Any:
    layer = _bitsandbytes().nn.Linear4bit(
        linear.in_features,
        linear.out_features,
        bias=linear.bias is not None,
        compute_dtype=dtype,
        compress_statistics=nested,
        quant_type="nf4",
        device="meta",
    )
    # On a CPU with bfloat16 instructions bitsandbytes would repack a weight for good the first time
    # it is used without gradients: its scales rounded, and gradients lost from then on.
    layer.support_avx512bf16_for_cpu = False
    layer.train(linear.training)
    return layer


def _state_nbytes(state: Any) -> int:
    """Bytes of the scales and tables of a packed weight."""
    return sum(part.nbytes for part in state.as_dict(packed=True).values())


def _stored_name(key: str) -> str:
    name, _, part = key.partition(".weight.")
    return f"{to_hub(f'{name}.weight')}.{part}" if part else to_hub(key)


def _read(file: Path) -> Iterator[tuple[str, str, Tensor]]:
    """The model's name of each weight, the name of a part of it or "", and the tensor."""
    try:
        with safe_open(file, framework="pt", device="cpu") as stored:
            for key in stored.keys():  # noqa: SIM118 (no dict)
                name, _, part = key.partition(".weight.")
                own = from_hub(f"{name}.weight" if part else key)
                if own is None:
                    raise CheckpointError(f"{file} holds {key}, which PaliGemma has not")
                yield own, part, stored.get_tensor(key)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}); save it again") from None


def _set_packed(
    model: PaliGemma,
    name: str,
    data: Tensor | None,
    parts: dict[str, Tensor],
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    """Replace a layer by a 4-bit one of stored parts."""
    shape: tuple[int, ...] | None = None
    linear = dict(model.named_modules()).get(name)
    try:
        parameter = _bitsandbytes().nn.Params4bit.from_prequantized(data, parts, device=device)
        shape = tuple(parameter.quant_state.shape)
        is_whole = 2 * parameter.numel() == parameter.quant_state.shape.numel()
    except (AttributeError, AssertionError, KeyError, TypeError, ValueError):
        is_whole = False
    if not isinstance(linear, nn.Linear) or not is_whole or shape != tuple(linear.weight.shape):
        raise CheckpointError(f"{name} is damaged or of another model; quantise the model again")
    layer = _empty_layer(linear, dtype, nested=parameter.compress_statistics)
    layer.weight, parameter.module = parameter, layer
    layer.quant_state = parameter.quant_state
    model.set_submodule(name, layer)


def _bitsandbytes() -> Any:
    quiet_bitsandbytes()
    try:
        import bitsandbytes
    except ImportError:
        raise MissingExtraError("bitsandbytes", "train", "hold weights in 4 bits") from None
    return bitsandbytes
