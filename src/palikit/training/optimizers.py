"""The optimiser and its groups of weights."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from palikit.errors import InputError, MissingExtraError
from palikit.quantization import quiet_bitsandbytes
from palikit.train_options import TrainOptions

MULTIPLIER = "rate_multiplier"
"""Key of a group of weights under which its factor of the learning rate is kept."""


def build_optimizer(
    weights: dict[str, nn.Parameter], options: TrainOptions
) -> torch.optim.Optimizer:
    """The optimiser over some weights.

    Decay is big_vision's: a weight loses `weight_decay` times the schedule at each step, whatever
    the learning rate and its multiplier. PyTorch multiplies by the group's learning rate, so that
    is divided out.

    Args:
        weights: what learns, by name.
        options: of the run.

    Raises:
        InputError: a multiplier whose expression finds no weight.
        MissingExtraError: bitsandbytes is not there.
    """
    groups = _groups(weights, options)
    if options.optimizer == "muon":
        return MuonAndAdamW(weights, groups, options)
    lr, betas, eps = options.learning_rate, (options.beta1, options.beta2), options.eps
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr)
    if options.optimizer == "adafactor":
        return torch.optim.Adafactor(groups, lr=lr)
    if options.optimizer == "adamw8bit":
        return _adamw8bit(groups, lr, betas, eps, is_paged=next(iter(weights.values())).is_cuda)
    is_fused = all(weight.device.type in ("cpu", "cuda") for weight in weights.values())
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, fused=is_fused or None)


class MuonAndAdamW(torch.optim.Optimizer):
    """Muon for the matrices of the layers, AdamW for tables, vectors and convolutions.

    Muon makes the update of a matrix orthogonal (Jordan et al., 2024), which has no meaning for
    rows that are looked up. Its rate is scaled so that AdamW's suits it. Both keep their state and
    their groups in one place, so that the pair is saved and set like any optimiser.
    """

    def __init__(
        self,
        weights: dict[str, nn.Parameter],
        groups: list[dict[str, Any]],
        options: TrainOptions,
    ) -> None:
        matrices = {id(w) for name, w in weights.items() if is_matrix_of_layer(name, w)}
        lr, betas = options.learning_rate, (options.beta1, options.beta2)
        of_layers = _parts(groups, lambda weight: id(weight) in matrices)
        others = _parts(groups, lambda weight: id(weight) not in matrices)
        self.parts: list[torch.optim.Optimizer] = []
        if of_layers:
            self.parts.append(torch.optim.Muon(of_layers, lr=lr, adjust_lr_fn="match_rms_adamw"))
        if others:
            adamw = torch.optim.AdamW(others, lr=lr, betas=betas, eps=options.eps, fused=True)
            self.parts.append(adamw)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
        self.state = self.parts[0].state
        for part in self.parts:
            part.state = self.state

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every weight."""
        for part in self.parts:
            part.step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: FBT001, FBT002 (PyTorch's)
        """Forget all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none)


def is_matrix_of_layer(name: str, weight: Tensor) -> bool:
    """Whether Muon takes a weight, and not AdamW."""
    return weight.ndim == 2 and ".layers." in name


def _parts(
    groups: list[dict[str, Any]], chosen: Callable[[nn.Parameter], bool]
) -> list[dict[str, Any]]:
    """The same groups with the chosen weights alone; none without any."""
    parts = [{**group, "params": list(filter(chosen, group["params"]))} for group in groups]
    return [part for part in parts if part["params"]]


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next update, each group's by its multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group[MULTIPLIER]


def decays(optimizer: torch.optim.Optimizer) -> bool:
    """Whether any weight loses a share at each step."""
    return any(group["weight_decay"] > 0 for group in optimizer.param_groups)


def _groups(weights: dict[str, nn.Parameter], options: TrainOptions) -> list[dict[str, Any]]:
    """Weights of one multiplier and one decay together, in the order of their names' first."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    unused = {pattern for pattern, _ in options.multipliers}
    for name, weight in weights.items():
        pattern, factor = next(
            (pair for pair in options.multipliers if re.search(pair[0], name)), ("", 1.0)
        )
        unused.discard(pattern)
        decays = weight.ndim > 1 and re.search(options.weight_decay_on, name) is not None
        groups.setdefault((factor, decays), []).append(weight)
    if unused:
        raise InputError(
            f"rate_multipliers has {sorted(unused)[0]!r}, which is found in the name of no weight "
            f"that learns: their names are such as {next(iter(weights))}"
        )
    return [
        {
            "params": params,
            "weight_decay": options.weight_decay / (options.learning_rate * factor) * decays,
            MULTIPLIER: factor,
        }
        for (factor, decays), params in groups.items()
    ]


def _adamw8bit(
    groups: list[dict[str, Any]],
    lr: float,
    betas: tuple[float, float],
    eps: float,
    *,
    is_paged: bool,
) -> torch.optim.Optimizer:
    quiet_bitsandbytes()
    try:
        from bitsandbytes.optim.adamw import AdamW8bit, PagedAdamW8bit
    except ImportError:
        raise MissingExtraError("bitsandbytes", "train", "keep AdamW's state in 8 bits") from None
    made: torch.optim.Optimizer = (PagedAdamW8bit if is_paged else AdamW8bit)(
        groups, lr=lr, betas=betas, eps=eps
    )
    return made
