"""A batch that rows join and leave while it is decoded. Ids only, no text.

One cache holds all rows; a row's place in it is its number among those that run:

    place    0 .. n-1    running
             n ..        free: the prompts that join next are read straight into these

A step computes the first n places, a view of the cache. A row that leaves hands its place to the
last one, whose tokens are copied there, so that no place before n is ever empty. Every row has
options, a grammar, random numbers and a limit of its own.

Steps captured for a device (`palikit.model.decode_graph`) are not used: each knows one number of
rows. The plain step runs everywhere.

Axes: n running rows, D hidden size, C tokens a place can hold.
"""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from palikit.generation import Row, write
from palikit.model.cache import KVCache, cache_bytes, rounded_up
from palikit.model.decode_graph import feed
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma

ItemT = TypeVar("ItemT")


class RunningBatch:
    """Rows being decoded together: they `join`, take each `step` until they end, or `leave` before.

    Args:
        model: in eval mode; runs without gradients.
        max_rows: most rows at a time, 1 or more.
        max_bytes: of keys and values; for a moment twice as many, when the rows move to a cache of
            another shape. A row that needs more runs alone.
    """

    def __init__(self, model: PaliGemma, *, max_rows: int, max_bytes: int) -> None:
        self.model = model
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self.rows: list[Row] = []
        self._seen: list[int] = []
        """Tokens of each row that are in the cache."""
        self._needs: list[int] = []
        """Tokens that each row may come to have."""
        self._dirty: list[int] = []
        """Slots of each place of the cache, free ones too, behind which nobody has written."""
        width = model.config.text_config.hidden_size
        self._hidden = torch.empty(0, width, dtype=model.dtype, device=model.device)
        self._cache: KVCache | None = None

    def has_room(self, count: int, tokens: int) -> bool:
        """Whether so many rows of up to so many tokens each, prompt and answer, may join now."""
        capacity = rounded_up(max([*self._needs, tokens]))
        return len(self.rows) + count <= self._num_places(capacity)

    @torch.inference_mode()
    def join(
        self, inputs: ModelInputs, rows: Sequence[Row], image_embeds: Tensor | None = None
    ) -> None:
        """Read prompts and have their rows run along from the next step.

        Where this raises, the rows that run are as they were.

        Args:
            inputs: the prompts, on the model's device.
            rows: one each, at their start.
            image_embeds: [U, I, D] where the image tower has already run.

        Raises:
            ValueError: there is no room.
        """
        num_image = inputs.image_index.shape[1] * self.model.config.vision_config.num_image_tokens
        seen = [num_image + length for length in inputs.lengths.tolist()]
        needs = [length + row.limit for length, row in zip(seen, rows, strict=True)]
        if not self.has_room(len(rows), max(needs)):
            raise ValueError(f"no room for {len(rows)} rows of {max(needs)} tokens")
        cache = self._cache_for(len(rows), max(needs))
        new = range(len(self.rows), len(self.rows) + len(rows))
        end = num_image + inputs.input_ids.shape[1]
        for place in new:
            self._dirty[place] = max(self._dirty[place], end)
        hidden = self.model.prefill(inputs, _places(cache, new.start, new.stop), image_embeds)
        for place in new:
            self._forget(place, end)
        self._hidden = torch.cat((self._hidden, hidden))
        self.rows += rows
        self._seen += seen
        self._needs += needs

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """Give every row its next token, and those that follow from it.

        Where this raises, no row is of use any more.

        Returns:
            The rows that have ended, and left.
        """
        new = write(self.model, self.rows, self._hidden)
        ended = [row for row in self.rows if row.finish_reason is not None]
        for place in reversed(range(len(new))):
            if not new[place]:
                self._vacate(place)
                _fill_with_last(new, place)
        if self.rows:
            self._feed(new)
        return ended

    @torch.inference_mode()
    def leave(self, rows: Sequence[Row]) -> None:
        """Take rows out between steps, ended or not; those not here are no matter."""
        unwanted = {id(row) for row in rows}
        for place in reversed(range(len(self.rows))):
            if id(self.rows[place]) in unwanted:
                self._vacate(place)

    def _feed(self, new: list[list[int]]) -> None:
        cache = _places(self._made(), 0, len(self.rows))
        cache.end = max(self._seen)
        cache.is_uniform = min(self._seen) == cache.end
        self._hidden = feed(self.model, cache, new)
        width = max(map(len, new))
        for place, seen in enumerate(self._seen):  # padding is written, too
            self._dirty[place] = max(self._dirty[place], min(seen + width, cache.capacity))
        self._seen = [seen + len(ids) for seen, ids in zip(self._seen, new, strict=True)]

    def _vacate(self, place: int) -> None:
        """Give a place to the last row."""
        cache, last = self._made(), len(self.rows) - 1
        if place != last:
            end = self._seen[last]
            for held in (cache.keys, cache.values):
                held[:, place, :, :end] = held[:, last, :, :end]
            self._forget(place, end)
            cache.lengths[place] = cache.lengths[last]
            self._hidden[place] = self._hidden[last]
        self._hidden = self._hidden[:last]
        _fill_with_last(self.rows, place)
        _fill_with_last(self._seen, place)
        _fill_with_last(self._needs, place)

    def _forget(self, place: int, end: int) -> None:
        """Clear what an earlier row left behind the first `end` slots of a place.

        Nobody sees it, but a NaN in it, times a weight of zero, is a NaN.
        """
        cache, dirty = self._made(), self._dirty[place]
        if end < dirty:
            cache.keys[:, place, :, end:dirty] = 0
            cache.values[:, place, :, end:dirty] = 0
        self._dirty[place] = end

    def _cache_for(self, count: int, tokens: int) -> KVCache:
        """The cache, with free places for more rows; where it is too small, a larger one."""
        capacity, cache = rounded_up(max([*self._needs, tokens])), self._cache
        total, running = len(self.rows) + count, len(self.rows)
        if cache is not None and cache.capacity >= capacity and len(cache.lengths) >= total:
            return cache
        if not running:
            cache = self._cache = None  # its memory may serve for the next one
        made = KVCache.allocate(
            self.model.config.text_config,
            # Twice as many as before at least, so that moving is rare; few where rows are long.
            min(self._num_places(capacity), 1 << (total - 1).bit_length()),
            capacity,
            dtype=self.model.dtype,
            device=self.model.device,
        )
        self._dirty = [0] * len(made.lengths)
        if cache is not None:
            end = max(self._seen)
            self._dirty[:running] = [end] * running
            made.keys[:, :running, :, :end] = cache.keys[:, :running, :, :end]
            made.values[:, :running, :, :end] = cache.values[:, :running, :, :end]
            made.lengths[:running] = cache.lengths[:running]
        self._cache = made
        return made

    def _num_places(self, capacity: int) -> int:
        """Most places of a cache of so many tokens each: always one."""
        config = self.model.config.text_config
        return max(
            1,
            min(
                self.max_rows, self.max_bytes // cache_bytes(config, 1, capacity, self.model.dtype)
            ),
        )

    def _made(self) -> KVCache:
        if self._cache is None:
            raise AssertionError("rows run without a cache")
        return self._cache


def _places(cache: KVCache, start: int, end: int) -> KVCache:
    """Some rows of a cache, in its memory."""
    return KVCache(cache.keys[:, start:end], cache.values[:, start:end], cache.lengths[start:end])


def _fill_with_last(items: list[ItemT], place: int) -> None:
    """The last item in the place of another."""
    items[place] = items[-1]
    items.pop()
