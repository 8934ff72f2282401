"""Gemma decoder, first and second generation in one: the differences are fields of its config.

Gemma 2 adds a norm after attention and after the MLP, caps on the attention scores and on the
output, and a query scale that is not always that of the head size. Activations stay in the dtype
of the weights; norms, rotary positions, soft caps and softmax are computed in float32.

Axes: B batch, Q new tokens, D hidden size, N query heads, K key/value heads, H head size,
V rows of the embedding table.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from palikit.config import TextConfig
from palikit.model.activation import gelu
from palikit.model.attention import AttentionFunction, attention, rotary_angles, rotate
from palikit.model.cache import KVCache
from palikit.model.embedding import TokenTable


class Decoder(nn.Module):
    """Embedding table, decoder layers, final norm; the table is also the output head.

    Attributes:
        checkpoint_layers: keep only the input of each layer for the backward pass, which computes
            the layer again: less memory, one more forward pass, the same gradients.
    """

    def __init__(
        self, config: TextConfig, attention_function: AttentionFunction = attention
    ) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = TokenTable(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            DecoderLayer(config, index, attention_function)
            for index in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.checkpoint_layers = False

    def set_dropout(self, rate: float) -> None:
        """Drop this share of what attention and MLP add, at least 0 and below 1, in training mode.

        As in big_vision there is none on embeddings and attention weights.
        """
        for module in self.modules():
            if isinstance(module, DecoderLayer):
                module.dropout = rate

    def embed(self, input_ids: Tensor) -> Tensor:
        """int64[B, T] -> [B, T, D]: table rows times sqrt(D)."""
        embeds: Tensor = self.embed_tokens(input_ids)
        # Both references round the factor to the table's dtype first: 59.75 instead of 59.87 for
        # D = 3584 in bfloat16. It stays on the host: a copy to the device could not be captured.
        factor = torch.tensor(self.config.hidden_size**0.5, dtype=embeds.dtype, device="cpu")
        return embeds * factor

    def forward(
        self,
        embeds: Tensor,
        positions: Tensor,
        limits: Tensor | None,
        cache: KVCache | None,
        read: Tensor | None = None,
    ) -> Tensor:
        """New tokens through all layers, without the final norm.

        Args:
            embeds: [B, Q, D].
            positions: int64[B, Q], from 0; also the cache slots.
            limits: int64[B, Q], keys each token sees; None where all see all.
            cache: earlier tokens, to which the new ones are written; None for a whole sequence.
            read: int64[B], the one token of each row whose output is wanted: of the others the
                last layer computes keys and values alone. None for all.

        Returns:
            [B, Q, D], or [B, 1, D] of the tokens to read.
        """
        angles = rotary_angles(positions, self.config.head_dim, self.config.rope_theta)
        x, last = embeds, len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            if self.checkpoint_layers and torch.is_grad_enabled() and cache is None:
                x = checkpoint(layer, x, angles, positions, limits, None, use_reentrant=False)
            else:
                x = layer(x, angles, positions, limits, cache, read if index == last else None)
        return x

    def logits(
        self, hidden: Tensor, ids: Tensor | slice | None = None, *, softcap: bool = True
    ) -> Tensor:
        """Scores of the next token.

        Args:
            hidden: [..., D], after the final norm.
            ids: int64[n] or a slice, the rows of the head to compute; None for all.
            softcap: whether to apply the output cap, where the config has one.

        Returns:
            float32[..., V], of a product in the dtype of the weights; or float32[..., n], of a
            product in float32, which a few rows can afford.
        """
        scores: Tensor = (
            self.embed_tokens.scores(hidden)
            if ids is None
            else self.embed_tokens.scores_of(hidden, ids)
        )
        cap = self.config.final_logit_softcapping
        if softcap and cap is not None:
            scores = cap * torch.tanh(scores / cap)
        return scores


class DecoderLayer(nn.Module):
    """Attention and MLP with their norms.

    The released names are kept, and with them their trap: `post_attention_layernorm` stands
    before the MLP in Gemma 1 and after attention in Gemma 2.

    Attributes:
        dropout: see `Decoder.set_dropout`.
    """

    def __init__(
        self, config: TextConfig, index: int, attention_function: AttentionFunction
    ) -> None:
        super().__init__()
        D, eps = config.hidden_size, config.rms_norm_eps
        self.has_post_norms = config.has_post_norms
        self.dropout = 0.0
        self.self_attn = DecoderAttention(config, index, attention_function)
        self.mlp = DecoderMLP(config)
        self.input_layernorm = RMSNorm(D, eps)
        self.post_attention_layernorm = RMSNorm(D, eps)
        if self.has_post_norms:
            self.pre_feedforward_layernorm = RMSNorm(D, eps)
            self.post_feedforward_layernorm = RMSNorm(D, eps)

    def forward(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor],
        positions: Tensor,
        limits: Tensor | None,
        cache: KVCache | None,
        read: Tensor | None = None,
    ) -> Tensor:
        """[B, Q, D] -> [B, Q, D], or [B, 1, D] of the tokens to read."""
        attended = self.self_attn(self.input_layernorm(x), angles, positions, limits, cache, read)
        if read is not None:
            x = take_tokens(x, read)
        if self.has_post_norms:
            x = x + self._drop(self.post_attention_layernorm(attended))
            mixed = self._drop(self.mlp(self.pre_feedforward_layernorm(x)))
            # big_vision drops before this norm and after the one of attention.
            mixed = self.post_feedforward_layernorm(mixed)
        else:
            x = x + self._drop(attended)
            mixed = self._drop(self.mlp(self.post_attention_layernorm(x)))
        out: Tensor = x + mixed
        return out

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class DecoderAttention(nn.Module):
    """Grouped-query attention with rotary positions.

    Attributes:
        qkv_proj: one product in the place of three, whose layers are None then; see
            `palikit.quantization`.
    """

    def __init__(
        self, config: TextConfig, index: int, attention_function: AttentionFunction
    ) -> None:
        super().__init__()
        D, H = config.hidden_size, config.head_dim
        N, K = config.num_attention_heads, config.num_key_value_heads
        self.index = index
        self.head_dim = H
        self.scale = config.query_pre_attn_scalar**-0.5
        self.softcap = config.attn_logit_softcapping
        self.attention_function = attention_function
        self.widths = [N * H, K * H, K * H]
        self.q_proj = nn.Linear(D, N * H, bias=False)
        self.k_proj = nn.Linear(D, K * H, bias=False)
        self.v_proj = nn.Linear(D, K * H, bias=False)
        self.qkv_proj: nn.Module | None = None
        self.o_proj = nn.Linear(N * H, D, bias=False)

    def forward(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor],
        positions: Tensor,
        limits: Tensor | None,
        cache: KVCache | None,
        read: Tensor | None = None,
    ) -> Tensor:
        """[B, Q, D] -> [B, Q, D], or [B, 1, D] of the tokens to read."""
        q, k, v = (
            part.reshape(*x.shape[:2], -1, self.head_dim).transpose(1, 2)  # [B, heads, Q, H]
            for part in self._project(x)
        )
        q, k = rotate(q, *angles), rotate(k, *angles)
        if cache is not None:
            k, v = cache.update(self.index, k, v, positions)
        if read is not None:
            q = take_tokens(q.transpose(1, 2), read).transpose(1, 2)
            limits = None if limits is None else take_tokens(limits, read)
        x = self.attention_function(q, k, v, limits, self.scale, self.softcap)
        out: Tensor = self.o_proj(x.transpose(1, 2).flatten(2))
        return out

    def _project(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.qkv_proj is not None:
            return torch.split(self.qkv_proj(x), self.widths, dim=-1)
        return self.q_proj(x), self.k_proj(x), self.v_proj(x)


class GatedLayer(Protocol):
    """Gate and up in one; see `palikit.quantization`."""

    def gated(self, x: Tensor) -> Tensor:
        """gelu(gate(x)) * up(x)."""


class DecoderMLP(nn.Module):
    """GeGLU: down(gelu(gate(x)) * up(x)), tanh-approximated GELU.

    Attributes:
        gate_up_proj: one layer in the place of two, which are None then.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        D, hidden = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(D, hidden, bias=False)
        self.up_proj = nn.Linear(D, hidden, bias=False)
        self.gate_up_proj: GatedLayer | None = None
        self.down_proj = nn.Linear(hidden, D, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Q, D] -> [B, Q, D]."""
        if self.gate_up_proj is None:
            hidden = gelu(self.gate_proj(x)) * self.up_proj(x)
        else:
            hidden = self.gate_up_proj.gated(x)
        out: Tensor = self.down_proj(hidden)
        return out


class RMSNorm(nn.Module):
    """x / rms(x) * (1 + weight), in float32; the weight is stored as its distance from one."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        wide = x.float()
        if x.device.type == "cpu" and not torch.is_grad_enabled():
            return self._in_few_passes(wide).to(x.dtype)
        factors = 1.0 + self.weight.float()
        return F.rms_norm(wide, factors.shape, factors, self.eps).to(x.dtype)

    def _in_few_passes(self, x: Tensor) -> Tensor:
        """The same within rounding, without the array of squares that `rms_norm` makes."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        eps = torch.full((), self.eps)
        x = x * torch.addcmul(eps, length, length, value=1 / x.shape[-1]).rsqrt_()
        return torch.addcmul(x, x, self.weight.float())


def take_tokens(x: Tensor, index: Tensor) -> Tensor:
    """One token of each row: [B, Q, ...] at int64[B] -> [B, 1, ...]."""
    rows = torch.arange(x.shape[0], device=x.device)
    return x[rows, index][:, None]
