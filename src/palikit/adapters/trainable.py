"""How many weights learn, part by part: what a person checks before a run."""

from dataclasses import dataclass

from torch import nn

from palikit.model.paligemma import PaliGemma
from palikit.model.towers import TOWERS, Tower, tower_of


@dataclass(frozen=True)
class TowerParameters:
    """Numbers of one part of a model.

    Attributes:
        tower: the part.
        trainable: how many numbers learn.
        adapters: how many are of LoRA layers.
        total: all, LoRA layers included; of a 4-bit weight the numbers it stands for.
    """

    tower: Tower
    trainable: int
    adapters: int
    total: int


@dataclass(frozen=True)
class TrainableParameters:
    """Numbers of a model by part, as data flows; the head is the embedding table."""

    towers: tuple[TowerParameters, ...]

    @property
    def trainable(self) -> int:
        """How many numbers learn."""
        return sum(tower.trainable for tower in self.towers)

    @property
    def total(self) -> int:
        """All, LoRA layers included."""
        return sum(tower.total for tower in self.towers)


def trainable_parameters(model: PaliGemma) -> TrainableParameters:
    """Count what learns; works on the meta device too."""
    counts = {tower: [0, 0, 0] for tower, _ in TOWERS}
    for name, weight in model.named_parameters():
        count, size = counts[tower_of(name)], _numbers_in(weight)
        count[0] += size if weight.requires_grad else 0
        count[1] += size if is_low_rank(name) else 0
        count[2] += size
    return TrainableParameters(tuple(TowerParameters(tower, *counts[tower]) for tower, _ in TOWERS))


def is_low_rank(name: str) -> bool:
    """Whether a parameter is one of a LoRA layer's two, by its name."""
    return ".lora_A." in name or ".lora_B." in name


def _numbers_in(weight: nn.Parameter) -> int:
    state = getattr(weight, "quant_state", None)  # bitsandbytes packs two numbers into a byte
    return weight.numel() if state is None else int(state.shape.numel())
