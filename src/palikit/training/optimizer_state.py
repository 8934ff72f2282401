"""The state of an optimiser as named tensors and numbers, and back; no pickle.

A tensor is called "<weight>/<key>", as "language_model.norm.weight/exp_avg".
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from palikit.errors import CheckpointError

_TABLES = ("qmap1", "qmap2")
"""Constant tables of bitsandbytes that all weights share; its `init_state` brings them."""


def state_tensors(
    optimizer: torch.optim.Optimizer, weights: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """The state of every weight that has one; whole numbers become int64[]."""
    return {
        f"{name}/{key}": value.detach() if isinstance(value, Tensor) else torch.tensor(value)
        for name, weight in weights.items()
        for key, value in optimizer.state.get(weight, {}).items()
        if key not in _TABLES and value is not None
    }


def restore_state(
    optimizer: torch.optim.Optimizer,
    weights: Mapping[str, nn.Parameter],
    tensors: Mapping[str, Tensor],
) -> None:
    """Put the state back, each tensor where the optimiser expects it.

    Raises:
        CheckpointError: a tensor of a weight that is not there.
    """
    by_weight: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        weight, _, key = name.rpartition("/")
        by_weight.setdefault(weight, {})[key] = tensor
    if unknown := sorted(by_weight.keys() - weights.keys()):
        raise CheckpointError(
            f"the checkpoint has the optimiser's state of {unknown[0]}, which does not learn here: "
            "resume with the model and options that the run was begun with"
        )
    for group_index, group in enumerate(optimizer.param_groups):
        names = {id(weight): name for name, weight in weights.items()}
        for index, weight in enumerate(group["params"]):
            if saved := by_weight.get(names[id(weight)]):
                _restore(optimizer, group, (group_index, index), weight, saved)


def _restore(
    optimizer: torch.optim.Optimizer,
    group: dict[str, Any],
    place: tuple[int, int],
    weight: nn.Parameter,
    saved: Mapping[str, Tensor],
) -> None:
    if hasattr(optimizer, "init_state"):
        # bitsandbytes: its buffers may be paged between GPU and host, so they are made by itself.
        optimizer.init_state(group, weight, *place)
        state = optimizer.state[weight]
        for key, tensor in saved.items():
            if isinstance(state[key], Tensor):
                state[key].copy_(tensor)
            else:
                state[key] = tensor.item()
        return
    # PyTorch counts steps on the host, except in its fused kernels.
    step_device = weight.device if group.get("fused") else torch.device("cpu")
    optimizer.state[weight] = {
        key: tensor.to(step_device if key == "step" else weight.device, copy=True)
        for key, tensor in saved.items()
    }
