"""SigLIP image tower (So400m/14 in every release): a picture becomes a row of patch embeddings.

No class token, no pooling head, no dropout; the projection into the decoder is not part of it.

Axes: U pictures, I patches (image tokens) a picture, D hidden size, N heads, H head size; h, w
picture side in pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from palikit.config import VisionConfig
from palikit.model.activation import gelu
from palikit.model.attention import AttentionFunction, attention
from palikit.model.embedding import embedding


class VisionTower(nn.Module):
    """Patches, learned positions, encoder layers, final norm.

    Attributes:
        checkpoint_layers: as in `gemma.Decoder`.
    """

    def __init__(
        self, config: VisionConfig, attention_function: AttentionFunction = attention
    ) -> None:
        super().__init__()
        D = config.hidden_size
        self.patch_embedding = nn.Conv2d(
            config.num_channels, D, config.patch_size, stride=config.patch_size
        )
        self.position_embedding = embedding(config.num_image_tokens, D)
        self.layers = nn.ModuleList(
            EncoderLayer(config, attention_function) for _ in range(config.num_hidden_layers)
        )
        self.post_layernorm = nn.LayerNorm(D, eps=config.layer_norm_eps)
        self.checkpoint_layers = False

    def forward(self, pixel_values: Tensor) -> Tensor:
        """float[U, 3, h, w] in [-1, 1] -> [U, I, D], patches in raster order."""
        x = self._embed_patches(pixel_values) + self.position_embedding.weight
        for layer in self.layers:
            if self.checkpoint_layers and torch.is_grad_enabled():
                x = checkpoint(layer, x, use_reentrant=False)
            else:
                x = layer(x)
        out: Tensor = self.post_layernorm(x)
        return out

    def _embed_patches(self, pixel_values: Tensor) -> Tensor:
        """[U, 3, h, w] -> [U, I, D].

        Patches do not overlap, so the convolution is a matrix product; on CUDA a convolution of
        float32 would by default be computed in TF32.
        """
        p, convolution = self.patch_embedding.stride[0], self.patch_embedding
        x = pixel_values.unfold(2, p, p).unfold(3, p, p)  # [U, 3, h / p, w / p, p, p]
        x = x.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)  # -> [U, I, 3 * p * p]
        return F.linear(x, convolution.weight.flatten(1), convolution.bias)


class EncoderLayer(nn.Module):
    """Attention and MLP, each normalised before and added after."""

    def __init__(self, config: VisionConfig, attention_function: AttentionFunction) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.self_attn = VisionAttention(config, attention_function)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = VisionMLP(config)

    def forward(self, x: Tensor) -> Tensor:
        """[U, I, D] -> [U, I, D]."""
        x = x + self.self_attn(self.layer_norm1(x))
        out: Tensor = x + self.mlp(self.layer_norm2(x))
        return out


class VisionAttention(nn.Module):
    """Every patch sees every patch of its picture.

    Attributes:
        qkv_proj: one product in the place of three, as `gemma.DecoderAttention.qkv_proj`.
    """

    def __init__(self, config: VisionConfig, attention_function: AttentionFunction) -> None:
        super().__init__()
        D = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.scale = (D // self.num_heads) ** -0.5
        self.attention_function = attention_function
        self.q_proj = nn.Linear(D, D)
        self.k_proj = nn.Linear(D, D)
        self.v_proj = nn.Linear(D, D)
        self.qkv_proj: nn.Module | None = None
        self.out_proj = nn.Linear(D, D)

    def forward(self, x: Tensor) -> Tensor:
        """[U, I, D] -> [U, I, D]."""
        q, k, v = (
            part.reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)  # [U, N, I, H]
            for part in self._project(x)
        )
        x = self.attention_function(q, k, v, None, self.scale, None)
        out: Tensor = self.out_proj(x.transpose(1, 2).flatten(2))
        return out

    def _project(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.qkv_proj is not None:
            joined: Tensor = self.qkv_proj(x)
            return joined.chunk(3, dim=-1)
        return self.q_proj(x), self.k_proj(x), self.v_proj(x)


class VisionMLP(nn.Module):
    """Two layers with tanh-approximated GELU between."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """[U, I, D] -> [U, I, D]."""
        out: Tensor = self.fc2(gelu(self.fc1(x)))
        return out
