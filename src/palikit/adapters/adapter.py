"""An adapter as a value: what its files hold, in the model's own names.

Axes: r rank, D in-features, F out-features of the adapted layer.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from palikit.checkpoints.report import Mismatch, compare
from palikit.errors import CheckpointError
from palikit.model.paligemma import PaliGemma


@dataclass(frozen=True, eq=False)
class LowRank:
    """What is added to one linear layer: scale * b @ a.

    Attributes:
        module: the layer's name in `PaliGemma`.
        a: [r, D], what PEFT calls lora_A.
        b: [F, r], what PEFT calls lora_B.
        alpha: lora_alpha of this layer.
    """

    module: str
    a: Tensor
    b: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """The number of rows of `a`."""
        return self.a.shape[0]


@dataclass(frozen=True, eq=False)
class FullWeight:
    """A weight that was trained whole and takes the base's place.

    Attributes:
        name: of the parameter in `PaliGemma`.
    """

    name: str
    value: Tensor


@dataclass(frozen=True, eq=False)
class Adapter:
    """A LoRA adapter.

    Attributes:
        layers: the adapted linear layers.
        full: weights trained whole.
        use_rslora: whether the scale is alpha / sqrt(r) in place of alpha / r.
        dropout: share of a layer's input dropped in training.
        base: the model it was trained on, a path or a name on the Hub; None where unknown.
        revision: of the base on the Hub.
        path: where it was read; None for one taken from a model.
    """

    layers: tuple[LowRank, ...]
    full: tuple[FullWeight, ...]
    use_rslora: bool
    dropout: float
    base: str | None = None
    revision: str | None = None
    path: Path | None = None

    def scale(self, layer: LowRank) -> float:
        """The factor of b @ a."""
        return layer.alpha / (math.sqrt(layer.rank) if self.use_rslora else layer.rank)


def check_fits(adapter: Adapter, model: PaliGemma) -> None:
    """Every weight of the adapter must have its place in the model.

    Raises:
        CheckpointError: names the model has not, or other shapes, all told at once.
    """
    expected = {name: _shape(weight) for name, weight in model.named_parameters()}
    stored = {full.name: tuple(full.value.shape) for full in adapter.full}
    for layer in adapter.layers:
        stored[f"{layer.module}.weight"] = (layer.b.shape[0], layer.a.shape[1])
    found = compare(stored, expected)
    mismatch = Mismatch(unexpected=found.unexpected, misshaped=found.misshaped)
    if mismatch:
        trained_on = f", it was trained on {adapter.base}" if adapter.base else ""
        raise CheckpointError(
            f"the adapter{f' {adapter.path}' if adapter.path else ''} does not fit the model"
            f"{trained_on}: {mismatch}; give the model it was trained on"
        )


def _shape(weight: Tensor) -> tuple[int, ...]:
    state = getattr(weight, "quant_state", None)  # a 4-bit weight is one column of bytes
    return tuple(weight.shape if state is None else state.shape)
