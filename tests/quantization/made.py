"""Small models whose layers can be held in every form, with weights as mild as trained ones."""

from dataclasses import replace
from pathlib import Path

import torch

from palikit.config import PaliGemmaConfig
from palikit.model.paligemma import PaliGemma
from tests import tiny
from tests.parity.oracle import save_tiny

FORMS = ("int8", "int4", "nf4", "fp8")
OWN_FORMS = ("int8", "int4", "fp8")
"""Those that need no bitsandbytes and are computed by PaliKit itself."""

CPU = torch.device("cpu")
INPUTS = tiny.random_inputs([9, 6], [5, 4])


def config(family: str = "paligemma2") -> PaliGemmaConfig:
    """Widths that 4 bits can be grouped in: multiples of 64."""
    made = tiny.config(family)
    text = replace(
        made.text_config, hidden_size=128, intermediate_size=192, num_hidden_layers=2, head_dim=64
    )
    return replace(made, text_config=text)


def model(family: str = "paligemma2", *, seed: int = 0) -> PaliGemma:
    """Random weights; biases and norms differ from zero, so that none can be lost unseen."""
    made = PaliGemma(config(family)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weight in sorted(made.named_parameters()):
            scale = 0.2 if weight.ndim == 1 else 1.5 / weight[0].numel() ** 0.5
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    return made


def save(folder: Path, family: str = "paligemma2", dtype: torch.dtype = torch.float32) -> Path:
    """A float checkpoint of `model` with its tokenizer."""
    return save_tiny(folder, model(family).to(dtype))


@torch.no_grad()
def logits(made: PaliGemma) -> torch.Tensor:
    """Of `INPUTS`."""
    return made(INPUTS)


def relative_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference over the norm of what is expected."""
    return float((got.double() - expected.double()).norm() / expected.double().norm())
