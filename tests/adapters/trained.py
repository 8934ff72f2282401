"""Tiny models with LoRA layers that have learned something."""

import torch

from palikit.adapters import add_lora
from palikit.adapters.trainable import is_low_rank
from palikit.model.paligemma import PaliGemma
from palikit.train_options import LoraOptions
from tests import tiny

RELEASE = LoraOptions(lora_image_tower="q,k,v")
"""The recipe of the release post."""

EVERYTHING = LoraOptions(
    lora_rank=3,
    lora_alpha=5.0,
    lora_image_tower="q,k,v,out,fc1,fc2",
    lora_projector="full",
    use_rslora=True,
)


def trained(
    family: str = "paligemma2", options: LoraOptions = RELEASE, *, seed: int = 1
) -> PaliGemma:
    """A tiny model with LoRA layers of random weights, large enough to change every answer."""
    model = tiny.model(family)
    add_lora(model, options)
    learn(model, seed)
    return model.eval()


def learn(model: PaliGemma, seed: int = 1) -> None:
    """What stands for training: whatever requires a gradient gets new values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                scale = 0.1 if is_low_rank(name) else 0.3
                noise = torch.randn(weight.shape, generator=generator) * scale
                weight.add_(noise.to(weight.dtype))
