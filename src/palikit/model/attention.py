"""Attention as PaliGemma does it: the prefix-LM mask, rotary positions, soft-capped scores.

Axes: B batch, Q queries, S keys, N query heads, K key/value heads, G = N / K query heads a
key/value head, H head size.

The mask. Image tokens, <bos>, the prompt and its newline all see each other; a suffix token sees
them and the suffix up to itself; padding, which stands last, is seen by nobody. Every query
therefore sees an unbroken run of keys from the first one, and the mask is one number a query, how
many keys it sees: its *limit*. Two image tokens, a prompt of two and a suffix of two, with one
place of padding:

    key      i i p p s s .        limit
    i, p     1 1 1 1 0 0 0        4        the prefix ends after 4 tokens
    s        1 1 1 1 1 0 0        5
    s        1 1 1 1 1 1 0        6
    .        1 1 1 1 1 1 0        6        nobody reads what padding computes

There is no sliding window, at any length, for either generation of Gemma: the released Gemma 2
configuration carries one that the authors' PaliGemma code never applies.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from palikit.model.fused_attention import FUSED

AttentionFunction: TypeAlias = Callable[
    [Tensor, Tensor, Tensor, Tensor | None, float, float | None], Tensor
]
"""(queries, keys, values, limits, scale, softcap) -> outputs; see `attention_reference`."""

MAX_SCORES = 2**24
"""Scores held at once by the soft-capped path: 64 MB in float32."""


_FEW_QUERIES = 8
_CACHED_BYTES = 2**20


def prefix_limits(prefix_lengths: Tensor, lengths: Tensor, num_image: int, total: int) -> Tensor:
    """How many keys each query of a whole sequence sees.

    Args:
        prefix_lengths: int64[B], text tokens of the prefix.
        lengths: int64[B], text tokens before the padding.
        num_image: image tokens before the text.
        total: length of the padded sequence.

    Returns:
        int64[B, total].
    """
    up_to_itself = torch.arange(1, total + 1, device=lengths.device)
    prefix_end = (num_image + prefix_lengths)[:, None]
    end = (num_image + lengths)[:, None]
    return torch.minimum(torch.maximum(up_to_itself, prefix_end), end)


def attention_reference(
    q: Tensor, k: Tensor, v: Tensor, limits: Tensor | None, scale: float, softcap: float | None
) -> Tensor:
    """Attention written out, holding every score at once: slow, and what the fast path must equal.

    Args:
        q: [B, N, Q, H].
        k: [B, K, S, H].
        v: as k.
        limits: int64[B, Q], keys each query sees; None where all see all.
        scale: factor of the scores.
        softcap: scores become cap * tanh(score / cap) before masking; None for no cap.

    Returns:
        [B, N, Q, H], in the dtype of `v`.
    """
    groups = q.shape[1] // k.shape[1]
    k = k.repeat_interleave(groups, dim=1)
    v = v.repeat_interleave(groups, dim=1)
    scores = (q.float() @ k.float().transpose(-1, -2)) * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if limits is not None:
        visible = torch.arange(k.shape[2], device=k.device) < limits[:, None, :, None]
        scores = scores.masked_fill(~visible, float("-inf"))
    return (scores.softmax(dim=-1) @ v.float()).to(v.dtype)


def attention(
    q: Tensor, k: Tensor, v: Tensor, limits: Tensor | None, scale: float, softcap: float | None
) -> Tensor:
    """The same values as `attention_reference` without a whole score or mask matrix.

    Query heads that share a key head are laid one after another as more queries of that head, so
    keys and values are never repeated. Without a cap PyTorch's fused kernel does the work; with
    one, which that kernel lacks, a compiled kernel does where there is one; elsewhere a block of
    queries is scored at a time, and in training scored again by the backward pass, so that no
    scores are kept.
    """
    B, N, Q, H = q.shape
    K, S = k.shape[1], k.shape[2]
    grouped = q.reshape(B, K, N // K, Q, H)
    if limits is None and softcap is None:
        out = F.scaled_dot_product_attention(grouped.flatten(2, 3), k, v, scale=scale)
        return out.reshape(B, N, Q, H)
    if FUSED.suits(q, k) and (fused := FUSED(q, k, v, limits, scale, softcap)) is not None:
        return fused
    block = max(1, MAX_SCORES // (B * N * S))
    is_kept = softcap is None or not torch.is_grad_enabled()
    attend = _attention_block if is_kept else _attention_block_computed_twice
    outputs = [
        attend(
            grouped[:, :, :, start : start + block],
            k,
            v,
            None if limits is None else limits[:, start : start + block],
            scale,
            softcap,
        )
        for start in range(0, Q, block)
    ]
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=3)).reshape(B, N, Q, H)


def _attention_block(
    q: Tensor, k: Tensor, v: Tensor, limits: Tensor | None, scale: float, softcap: float | None
) -> Tensor:
    """A block of queries [B, K, G, Q, H] against all keys."""
    B, K, G, Q, H = q.shape
    S = k.shape[2]
    rows = q.reshape(B, K, G * Q, H)
    visible = None
    if limits is not None:
        visible = torch.arange(S, device=k.device) < limits[:, None, None, :, None]
    if softcap is None:
        mask = None if visible is None else visible.expand(B, 1, G, Q, S).reshape(B, 1, G * Q, S)
        out = F.scaled_dot_product_attention(rows, k, v, attn_mask=mask, scale=scale)
        return out.reshape(B, K, G, Q, H)
    # Scores leave the product in the model's dtype and are capped and normalised in float32.
    scores = _products(rows, k).float().reshape(B, K, G, Q, S)
    if v.itemsize > 2:
        scores = softcap * torch.tanh(scores * (scale / softcap))
    else:
        # tanh(y) = 2 logistic(2 y) - 1, and of all scores the same may be taken: on a CPU in a
        # sixth of the time, at the cost of digits that half precision has not.
        scores = scores.mul_(2 * scale / softcap).sigmoid_() * (2 * softcap)
    if visible is not None:
        scores = scores.masked_fill(~visible, float("-inf"))
    weights = scores.softmax(dim=-1).to(v.dtype).reshape(B, K, G * Q, S)
    return (weights @ v).reshape(B, K, G, Q, H)


def _products(rows: Tensor, k: Tensor) -> Tensor:
    """Of every query [B, K, R, H] with every key [B, K, S, H] -> [B, K, R, S].

    Keys that no cache of the processor holds are read twice as fast as the left side of a product:
    so they are for the one or two queries of a step.
    """
    is_read_from_memory = k.device.type == "cpu" and k.nbytes >= _CACHED_BYTES
    if is_read_from_memory and rows.shape[2] <= _FEW_QUERIES:
        return (k @ rows.transpose(-1, -2)).transpose(-1, -2)
    return rows @ k.transpose(-1, -2)


def _attention_block_computed_twice(
    q: Tensor, k: Tensor, v: Tensor, limits: Tensor | None, scale: float, softcap: float | None
) -> Tensor:
    """The same, where the backward pass computes the block again instead of keeping its scores."""
    out: Tensor = checkpoint(
        _attention_block,
        *(q, k, v, limits, scale, softcap),
        use_reentrant=False,
        preserve_rng_state=False,
    )
    return out


def rotary_angles(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary positions, as `rotate` takes them.

    Args:
        positions: int64[B, Q], counted from 0 over the whole sequence, image tokens included.
        head_dim: H.
        theta: base of the frequencies.

    Returns:
        Two float32[B, 1, Q, H]: the cosines twice, and the sines with a minus and then without.
    """
    exponents = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32)
    frequencies = 1.0 / (theta ** (exponents / head_dim))
    angles = positions[:, None, :, None].float() * frequencies
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding: element i turns with element i + H / 2, in float32, back in x's dtype."""
    wide = x.float()
    first, second = wide.chunk(2, dim=-1)
    swapped = torch.cat((second, first), dim=-1)
    return torch.addcmul(swapped * sin, wide, cos).to(x.dtype)
