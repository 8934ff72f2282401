"""The weights of a model as they are about to be written."""

import torch
from torch import Tensor

from palikit.checkpoints.names import expected_shapes
from palikit.checkpoints.report import compare
from palikit.errors import CheckpointError
from palikit.model.paligemma import PaliGemma

DTYPE_NAMES = {
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}
"""Dtypes that checkpoints are written in, by the names config.json uses."""


def weights_to_save(model: PaliGemma) -> dict[str, Tensor]:
    """The model's weights by name, detached.

    Raises:
        CheckpointError: the weights are not those of a plain model: adapters or quantised layers.
    """
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    if mismatch := compare(shapes, expected_shapes(model.config)):
        raise CheckpointError(
            f"this model cannot be saved as a plain checkpoint, {mismatch}: merge its adapters "
            "first, and save models before they are quantised"
        )
    return weights


def dtype_to_save(model: PaliGemma, dtype: torch.dtype | None) -> torch.dtype:
    """The dtype asked for, or the model's own.

    Raises:
        CheckpointError: checkpoints are not written in it.
    """
    chosen = dtype or model.dtype
    if chosen not in DTYPE_NAMES:
        raise CheckpointError(
            f"checkpoints are not written in {chosen}: choose {', '.join(DTYPE_NAMES.values())}"
        )
    return chosen
