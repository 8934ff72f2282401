"""Keys and values of the tokens seen so far, allocated once.

A token's slot is its position in the sequence, so rows of different lengths share one cache
without gaps. A slot at or past a row's length may hold anything: nobody sees it until the row
grows to it, and then it has been written.

Axes: B batch, C capacity (slots), Q new tokens, K key/value heads, H head size.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from palikit.config import TextConfig

BAND = 256
"""Slots by which caches that are kept, and what is looked at in them, grow: fewer sizes against
fewer slots that nobody has written.
"""


@dataclass(eq=False)
class KVCache:
    """Preallocated cache of one batch.

    Attributes:
        keys, values: [layers, B, K, C, H].
        lengths: int64[B], tokens each row has seen.
        end: no row has seen more tokens than this; kept on the host so that reading it costs no
            wait for the device.
        is_uniform: every row has seen exactly `end` tokens, so a new token sees every slot.
    """

    keys: Tensor
    values: Tensor
    lengths: Tensor
    end: int = 0
    is_uniform: bool = True

    @classmethod
    def allocate(
        cls,
        config: TextConfig,
        batch_size: int,
        capacity: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
        prompt: int = 0,
    ) -> "KVCache":
        """An empty cache for `batch_size` rows of up to `capacity` tokens.

        Args:
            config: of the decoder.
            batch_size: B.
            capacity: C.
            dtype: of keys and values.
            device: where they lie.
            prompt: slots that the first tokens fill, in every row, before anything is looked at.
        """
        shape = _shape(config, batch_size, capacity)
        keys, values = (torch.empty(shape, dtype=dtype, device=device) for _ in range(2))
        # Zeros, not empty memory: a slot nobody has written yet is multiplied by a weight of
        # zero, which turns a stray NaN into a NaN.
        for tensor in (keys, values):
            tensor[:, :, :, prompt:].zero_()
        return cls(
            keys=keys,
            values=values,
            lengths=torch.zeros(batch_size, dtype=torch.int64, device=device),
        )

    @property
    def capacity(self) -> int:
        """Tokens a row can hold."""
        return self.keys.shape[3]

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values."""
        return self.keys.nbytes + self.values.nbytes

    def reset(self) -> None:
        """Empty it for another batch, in the same memory, of which nothing is kept.

        Slots at or past a length are never seen, but a NaN in one of them times a weight of zero
        would be.
        """
        for tensor in (self.keys, self.values, self.lengths):
            tensor.zero_()
        self.end, self.is_uniform = 0, True

    def update(self, layer: int, k: Tensor, v: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Write new keys and values of one layer and return all that may be looked at.

        Args:
            layer: index of the decoder layer.
            k: [B, K, Q, H].
            v: as k.
            slots: int64[B, Q].

        Returns:
            Keys and values [B, K, end, H]; views, not copies.
        """
        if self.is_uniform:  # every row writes the same slots, the last ones
            start = self.end - k.shape[2]
            self.keys[layer, :, :, start : self.end] = k
            self.values[layer, :, :, start : self.end] = v
        else:
            rows = torch.arange(k.shape[0], device=k.device)[:, None]
            # Advanced indices lead: [B, Q, K, H].
            self.keys[layer][rows, :, slots] = k.transpose(1, 2)
            self.values[layer][rows, :, slots] = v.transpose(1, 2)
        return self.keys[layer, :, :, : self.end], self.values[layer, :, :, : self.end]

    def select(self, rows: Tensor) -> "KVCache":
        """A cache of the given rows, in that order; int64[B'], repeats allowed (beams)."""
        return KVCache(
            keys=self.keys.index_select(1, rows),
            values=self.values.index_select(1, rows),
            lengths=self.lengths.index_select(0, rows),
            end=self.end,
            is_uniform=self.is_uniform,
        )


def cache_bytes(config: TextConfig, batch_size: int, capacity: int, dtype: torch.dtype) -> int:
    """Bytes of the keys and values that `KVCache.allocate` would allocate."""
    return 2 * math.prod(_shape(config, batch_size, capacity)) * dtype.itemsize


def rounded_up(slots: int) -> int:
    """To whole bands."""
    return -(-slots // BAND) * BAND


def _shape(config: TextConfig, batch_size: int, capacity: int) -> tuple[int, ...]:
    return (
        config.num_hidden_layers,
        batch_size,
        config.num_key_value_heads,
        capacity,
        config.head_dim,
    )
