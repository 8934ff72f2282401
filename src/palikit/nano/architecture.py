"""The shape of nano, and where its weights begin."""

import math

import torch
from torch import Tensor

from palikit.config import PaliGemmaConfig, TextConfig, VisionConfig
from palikit.model.paligemma import PaliGemma
from palikit.vocab import NUM_LOC, Vocabulary

IMAGE_SIZE = 160
PATCH_SIZE = 16
WIDTH = 256

LOCATION_WAVES = 16
"""Numbers in which a coordinate is coded at first; see `location_waves`."""

COPYING_LAYER = 2
"""The decoder's layer that begins with copying boxes; those before it find the object."""


def nano_config(vocabulary: Vocabulary) -> PaliGemmaConfig:
    """A PaliGemma 2 for pictures of 160 px: 100 image tokens, about 7 million parameters."""
    return PaliGemmaConfig(
        vision_config=vision_config(),
        text_config=TextConfig(
            model_type="gemma2",
            vocab_size=-(-(vocabulary.image_id + 1) // 64) * 64,
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=64,
            query_pre_attn_scalar=64.0,
            attn_logit_softcapping=None,  # scores of so small a model do not grow large
            final_logit_softcapping=30.0,
        ),
        image_token_index=vocabulary.image_id,
        pad_token_id=vocabulary.pad_id,
        bos_token_id=vocabulary.bos_id,
        eos_token_id=vocabulary.eos_id,
    )


def vision_config() -> VisionConfig:
    """The image tower's part of it."""
    return VisionConfig(
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=6,
        num_attention_heads=4,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
    )


def small_attention(
    q: Tensor, k: Tensor, v: Tensor, limits: Tensor | None, scale: float, softcap: float | None
) -> Tensor:
    """Attention over a hundred or two keys: whole matrices are faster to train than fused kernels.

    Arguments and values as those of `palikit.model.attention.attention`.
    """
    B, N, Q, H = q.shape
    K, S = k.shape[1], k.shape[2]
    scores = (q * scale).reshape(B, K, N // K * Q, H) @ k.transpose(-1, -2)
    scores = scores.reshape(B, K, N // K, Q, S)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if limits is not None:
        visible = torch.arange(S, device=q.device) < limits[:, None, None, :, None]
        scores = scores.masked_fill(~visible, float("-inf"))
    weights = scores.softmax(dim=-1).to(v.dtype)
    return (weights.reshape(B, K, N // K * Q, S) @ v).reshape(B, N, Q, H)


def start_weights(model: PaliGemma, vocabulary: Vocabulary, seed: int = 0) -> None:
    """Random weights in which positions and location tokens are waves of their coordinate.

    A neighbour of the right location token is thereby nearly right from the first step on.
    """
    generator = torch.Generator().manual_seed(seed)
    layers = model.config.text_config.num_hidden_layers
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
            if weight.ndim < 2:
                continue
            fan_in = weight[0].numel()
            scale = 0.02 if "embed" in name else fan_in**-0.5
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                scale /= math.sqrt(2 * layers)
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
        tower = model.vision_tower.position_embedding.weight
        tower.copy_(0.3 * grid_waves(round(tower.shape[0] ** 0.5), tower.shape[1]))
        table = model.language_model.embed_tokens.weight
        locations = table[vocabulary.loc_start : vocabulary.loc_start + NUM_LOC]
        locations *= 0.5
        codes = location_waves(torch.linspace(0, 1, NUM_LOC))
        locations[:, : 4 * LOCATION_WAVES] = 0.07 * codes.repeat(1, 4)


def start_copying_boxes(model: PaliGemma, weight: Tensor, bias: Tensor) -> None:
    """Give the decoder a way for boxes from the start: all it has to learn is where to look.

    The hidden state begins with four blocks, one an edge, in which the tower's reading of a patch's
    box and the location tokens have the same waves. In one layer each of the four heads copies the
    block of one edge, so that attending to an object with head i says its edge i.

    Args:
        model: after `start_weights`.
        weight: float32[64, D], the reading of the waves of left, top, right, bottom from the
            tower's tokens.
        bias: float32[64], of the same.
    """
    block, text = LOCATION_WAVES, model.config.text_config
    layer = f"language_model.layers.{COPYING_LAYER}.self_attn."
    with torch.no_grad():
        values = model.get_parameter(f"{layer}v_proj.weight")
        outputs = model.get_parameter(f"{layer}o_proj.weight")
        model.multi_modal_projector.weight[: 4 * block] = weight
        model.multi_modal_projector.bias[: 4 * block] = bias
        for edge in range(4):
            # Values have one head for two of the queries' heads, each with its half of the blocks.
            value = edge * text.num_key_value_heads // 4 * text.head_dim + edge * block
            head = edge * text.head_dim + edge * block
            wave = slice(edge * block, (edge + 1) * block)
            values[value : value + block] = 0
            values[value : value + block, wave] = torch.eye(block)
            outputs[wave] = 0
            outputs[wave, head : head + block] = torch.eye(block)


def location_waves(places: Tensor) -> Tensor:
    """What a coordinate in 0 .. 1 begins as, in the tower's features and among the tokens.

    The same code on both sides makes saying where something is a matter of copying. Half a turn to
    16 turns a side: the shortest wave is 64 location tokens long.

    Args:
        places: float[...].

    Returns:
        float[..., 16].
    """
    return waves(places, LOCATION_WAVES, octaves=5.0)


def waves(places: Tensor, size: int, octaves: float) -> Tensor:
    """Sines and cosines of places in 0 .. 1, the frequencies evenly spaced in octaves.

    Returns:
        float[..., size], the slowest wave half a turn a side, the fastest 2^octaves times that.
    """
    frequencies = math.pi * 2 ** torch.linspace(0, octaves, size // 2)
    angles = places[..., None] * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


def grid_waves(side: int, size: int) -> Tensor:
    """Waves of row and column for the cells of a square grid: float32[side * side, size]."""
    places = (torch.arange(side) + 0.5) / side
    rows = waves(places, size // 2, octaves=3.0)[:, None].expand(side, side, -1)
    columns = waves(places, size // 2, octaves=3.0)[None].expand(side, side, -1)
    return torch.cat((rows, columns), dim=-1).reshape(side * side, size)
