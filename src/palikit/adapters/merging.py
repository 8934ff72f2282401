"""Adapters added into the weights: as fast as the base, and no PEFT is needed to run them.

Sums are made in float32 and rounded once to the dtype of the weights.
"""

import torch
from torch import Tensor, nn

from palikit.adapters.adapter import Adapter, check_fits
from palikit.errors import CheckpointError
from palikit.model.paligemma import PaliGemma


@torch.no_grad()
def merge_adapter(model: PaliGemma, adapter: Adapter) -> None:
    """Add an adapter to a model that has none.

    Only the weights it changes are replaced, one after another; the others may stay mapped to
    their file.

    Args:
        model: float weights of any dtype, on any device.
        adapter: as `read_adapter` gives it.

    Raises:
        CheckpointError: it does not fit the model, or the model is quantised.
    """
    check_fits(adapter, model)
    for layer in adapter.layers:
        name = f"{layer.module}.weight"
        weight = model.get_parameter(name)
        if not weight.is_floating_point():
            raise CheckpointError(
                f"{name} is quantised, and the adapter would be lost in its rounding: merge into "
                "the model in bfloat16 or float32, and quantise the merged one"
            )
        a, b = (half.to(weight.device, torch.float32) for half in (layer.a, layer.b))
        _replace(model, name, weight.float() + adapter.scale(layer) * (b @ a))
    for full in adapter.full:
        _replace(model, full.name, full.value)


def changes_nothing(adapter: Adapter) -> bool:
    """Whether every product is zero, as in an adapter that was saved before it was trained."""
    return not adapter.full and not any(bool(layer.b.any()) for layer in adapter.layers)


def _replace(model: PaliGemma, name: str, value: Tensor) -> None:
    old = model.get_parameter(name)
    new = nn.Parameter(value.to(old.device, old.dtype).contiguous(), old.requires_grad)
    module, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(module), leaf, new)
