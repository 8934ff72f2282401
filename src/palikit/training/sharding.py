"""A model cut among processes with FSDP2, and put together again.

Every weight is cut along its first axis, whether it learns or not; its gradient and the state of
the optimiser are cut with it. Decoder layers and encoder layers are gathered one at a time, when
they are computed; embedding table, norms and projection belong to the root and are gathered for a
whole step, for they are used outside of their modules' own forward.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from palikit.adapters import adapter_of, merge_adapter
from palikit.adapters.trainable import is_low_rank
from palikit.model.paligemma import PaliGemma
from palikit.model.sharded import whole
from palikit.training.loss import TrainingModel
from palikit.training.precision import cast_weights


def cut(module: TrainingModel, mesh: DeviceMesh, dtype: torch.dtype) -> None:
    """Cut all weights in place, each given its dtype for training and moved to the device before.

    No more than one layer is whole there at a time, and of weights that are parts of a mapped file
    no process ever copies more.
    """
    model = module.model
    for unit in (*model.vision_tower.layers, *model.language_model.layers, module):
        cast_weights((w for w in unit.parameters() if not isinstance(w, DTensor)), dtype)
        fully_shard(unit, mesh=mesh)


def put_together(
    model: PaliGemma, dtype: torch.dtype, device: torch.device, *, keep: bool
) -> PaliGemma | None:
    """A plain copy of a model that was cut, in evaluation mode, its adapters merged.

    Every process must take part. Gathered is one tensor at a time.

    Args:
        model: see `cut`.
        dtype: of the copy.
        device: of the copy.
        keep: whether this process gets it.
    """
    gathered = {}
    for name, weight in _plain_weights(model):
        tensor = whole(weight.detach().to(dtype))
        if keep:
            gathered[name] = tensor.to(device)
    adapter = adapter_of(model) if _has_adapters(model) else None
    if not keep:
        return None
    first: Any = model.language_model.layers[0]
    with torch.device("meta"):
        copy = PaliGemma(model.config, first.self_attn.attention_function)
    copy.load_state_dict(gathered, assign=True)
    if adapter is not None:
        merge_adapter(copy, adapter)
    return copy.eval().requires_grad_(requires_grad=False)


def _plain_weights(model: PaliGemma) -> Iterator[tuple[str, nn.Parameter]]:
    """Weights under the names they have without adapters."""
    for name, weight in model.named_parameters():
        if not is_low_rank(name):
            yield name.replace(".base_layer", ""), weight


def _has_adapters(model: PaliGemma) -> bool:
    return any(is_low_rank(name) for name, _ in model.named_parameters())
