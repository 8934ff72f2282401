"""How much memory a run needs, known before it: nothing is computed, shapes alone are followed.

    weights       as they are held: float32 where they learn, else as stored; with products in
                  bfloat16 a copy in it of those that learn
    gradients     4 bytes a number that learns
    optimiser     AdamW 8 bytes a number, in 8 bits 2, Muon 4 a number of the layers' matrices
                  and 8 of others, Adafactor next to none, SGD none
    activations   what the forward pass of one part of a batch keeps for the backward pass,
                  found by running it on the meta device, where tensors have no memory
    logits        one chunk of the head, in float32, and its gradient

Fragments and buffers of the libraries come on top, some tenths of the sum.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from palikit.config import PaliGemmaConfig
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.train_options import LoraOptions, LossOptions, OptimizerName, TrainOptions
from palikit.training.freezing import learning
from palikit.training.optimizers import is_matrix_of_layer
from palikit.training.setup import choose_learning

_OPTIMIZER_BYTES: dict[OptimizerName, float] = {
    "adamw": 8.0,
    "adamw8bit": 2.0 + 8 / 256,  # with two float32 scales a block of 256
    "adafactor": 0.0,
    "muon": 8.0,  # where it is AdamW
    "sgd": 0.0,
}


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by what they are for; see the head of this file."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All together."""
        parts = (self.weights, self.gradients, self.optimizer, self.activations, self.logits)
        return sum(parts)


def estimate_memory(
    config: PaliGemmaConfig,
    options: TrainOptions,
    loss: LossOptions,
    lora: LoraOptions | None,
    *,
    text_tokens: int,
    pictures: int,
    stored: torch.dtype,
    compute: torch.dtype,
) -> MemoryEstimate:
    """What one process needs at its largest.

    Args:
        config: of the model.
        options: of the run, as those that follow.
        loss: of the run.
        lora: of the run.
        text_tokens: length of the longest text in a batch.
        pictures: of each example.
        stored: dtype of the loaded weights.
        compute: dtype of products, float32 or bfloat16.
    """
    model = meta_model(config, options, lora)
    is_4bit = options.method == "qlora"
    weights = learning(model)
    count = sum(weight.numel() for weight in weights.values())
    activations = _activations(model, options, text_tokens, pictures, compute)
    rows = text_tokens * (options.batch_size // options.accumulation)
    chunk = min(loss.max_chunk_mib * 2**20, config.text_config.vocab_size * 4 * rows)
    return MemoryEstimate(
        weights=_weight_bytes(model, stored, compute, is_4bit=is_4bit),
        gradients=4 * count,
        optimizer=optimizer_bytes(weights, options.optimizer),
        activations=activations,
        logits=2 * chunk,
    )


def meta_model(
    config: PaliGemmaConfig, options: TrainOptions, lora: LoraOptions | None
) -> PaliGemma:
    """The model of a run without memory, with its adapters and what learns; a qlora base whole."""
    with torch.device("meta"):
        model = PaliGemma(config, _attention_of_fused_kernels)
    is_4bit = options.method == "qlora"
    choose_learning(model, replace(options, method="lora") if is_4bit else options, lora)
    return model


def optimizer_bytes(weights: Mapping[str, nn.Parameter], optimizer: OptimizerName) -> int:
    """Of the state of an optimiser over some weights; see the head of this file."""
    total = 0.0
    for name, weight in weights.items():
        is_muon = optimizer == "muon" and is_matrix_of_layer(name, weight)
        total += weight.numel() * (4.0 if is_muon else _OPTIMIZER_BYTES[optimizer])
    return int(total)


def _weight_bytes(
    model: PaliGemma, stored: torch.dtype, compute: torch.dtype, *, is_4bit: bool
) -> int:
    frozen = 4 if compute == torch.float32 else stored.itemsize
    total = 0.0
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            size = 4.0 + (0 if compute == torch.float32 else compute.itemsize)
        elif is_4bit and weight.ndim == 2 and "language_model.layers" in name:
            size = 0.5 + 4 / 64  # with a float32 scale a block of 64
        else:
            size = frozen
        total += size * weight.numel()
    return int(total)


def _activations(
    model: PaliGemma, options: TrainOptions, text_tokens: int, pictures: int, compute: torch.dtype
) -> int:
    """Bytes kept for the backward pass by one part of a batch."""
    B = options.batch_size // options.accumulation
    model.to(compute)
    model.train()
    model.language_model.set_dropout(options.dropout)
    weights = {id(weight) for weight in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        # A view keeps the whole of what it is a view of; by the base it is counted once.
        base = tensor._base if tensor._base is not None else tensor
        if id(base) not in weights:
            kept[id(base)] = base
        return tensor

    inputs, embeds = _inputs(model, B, text_tokens, pictures, options)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = model.hidden_states(inputs, embeds)
    total = hidden.nbytes + sum(tensor.nbytes for tensor in kept.values())
    if not options.gradient_checkpointing:
        return total
    vision, text = model.config.vision_config, model.config.text_config
    tokens = B * (pictures * vision.num_image_tokens + text_tokens)
    borders = text.num_hidden_layers * tokens * text.hidden_size
    borders += (
        vision.num_hidden_layers * B * pictures * vision.num_image_tokens * vision.hidden_size
    )
    return borders * compute.itemsize + total // min(
        text.num_hidden_layers, vision.num_hidden_layers
    )


class _FusedKernel(torch.autograd.Function):
    """Keeps for its backward pass what attention does on real devices, and has none."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, is_capped: bool) -> Tensor:  # noqa: FBT001
        """An output of the right shape."""
        out = torch.empty_like(q)
        # Fused kernels keep their output, too; blocks with a cap are computed twice.
        ctx.save_for_backward(*((q, k, v) if is_capped else (q, k, v, out)))
        return out


def _attention_of_fused_kernels(
    q: Tensor, k: Tensor, v: Tensor, limits: Tensor | None, scale: float, softcap: float | None
) -> Tensor:
    """In the place of `attention`, which on the meta device would keep all scores."""
    out: Tensor = _FusedKernel.apply(q, k, v, softcap is not None)  # type: ignore[no-untyped-call]
    return out


def _inputs(
    model: PaliGemma, B: int, T: int, pictures: int, options: TrainOptions
) -> tuple[ModelInputs, Tensor | None]:
    """A batch of full length on the meta device; with kept features, image embeddings too."""
    vision = model.config.vision_config
    side, dtype = vision.image_size, model.dtype
    with torch.device("meta"):
        pixels = torch.zeros(B * pictures, vision.num_channels, side, side)
        features = torch.zeros(
            B * pictures, vision.num_image_tokens, vision.hidden_size, dtype=dtype
        )
        inputs = ModelInputs(
            pixel_values=pixels,
            image_index=torch.zeros(B, pictures, dtype=torch.int64),
            input_ids=torch.zeros(B, T, dtype=torch.int64),
            prefix_lengths=torch.zeros(B, dtype=torch.int64),
            lengths=torch.zeros(B, dtype=torch.int64),
            has_padding=True,
            has_suffix=True,
        )
        if not options.cache_features:
            return inputs, None
        embeds: Tensor = model.multi_modal_projector(features)
        return inputs, embeds
