"""The caches that a model keeps from batch to batch, with the steps captured over them."""

from threading import Lock
from weakref import WeakKeyDictionary

import torch

from palikit.model.cache import KVCache, cache_bytes, rounded_up
from palikit.model.decode_graph import Capturer, Lane
from palikit.model.paligemma import PaliGemma
from palikit.model.sharded import is_cut

MAX_LANES = 4
"""Caches that a model keeps between batches; the one used longest ago makes way."""

_MEMORY_SHARE = 8
"""What is kept between batches takes at most one part in this many of a device's memory."""


class Lanes:
    """The caches of one model that no batch is using, the one used last at the end.

    Args:
        max_bytes: the most that caches kept here, and one that is handed out, may take.
        capturer: of the steps of all of them.
    """

    def __init__(self, max_bytes: int, capturer: Capturer) -> None:
        self.max_bytes = max_bytes
        self.capturer = capturer
        self.kept: list[Lane] = []
        self._lock = Lock()

    def take(self, model: PaliGemma, batch_size: int, capacity: int) -> Lane | None:
        """An empty cache for a batch, which nobody else has until it is given back.

        One that is never given back is freed with the batch.

        Returns:
            None where it would take more than `max_bytes`.
        """
        with self._lock:
            lane = self._fitting(model, batch_size, capacity)
            if lane is not None:
                self.kept.remove(lane)
        if lane is None:
            return self._allocated(model, batch_size, rounded_up(capacity))
        lane.begin()
        return lane

    def give_back(self, lane: Lane) -> None:
        """Keep a cache for the next batch of this size."""
        with self._lock:
            self.kept.append(lane)
            self._make_room(0)

    def _fitting(self, model: PaliGemma, batch_size: int, capacity: int) -> Lane | None:
        wanted = (batch_size, model.dtype, model.device)
        fitting = [
            lane
            for lane in self.kept
            if (lane.cache.lengths.shape[0], lane.cache.keys.dtype, lane.cache.keys.device)
            == wanted
            and lane.cache.capacity >= capacity
        ]
        return min(fitting, key=lambda lane: lane.cache.capacity, default=None)

    def _allocated(self, model: PaliGemma, batch_size: int, capacity: int) -> Lane | None:
        config = model.config.text_config
        nbytes = cache_bytes(config, batch_size, capacity, model.dtype)
        if nbytes > self.max_bytes:
            return None
        with self._lock:
            self._make_room(nbytes)
        cache = KVCache.allocate(
            config, batch_size, capacity, dtype=model.dtype, device=model.device
        )
        return Lane(cache, self.capturer)

    def _make_room(self, nbytes: int) -> None:
        total = nbytes + sum(lane.cache.nbytes for lane in self.kept)
        while self.kept and (total > self.max_bytes or len(self.kept) > MAX_LANES):
            total -= self.kept.pop(0).cache.nbytes


_LANES: WeakKeyDictionary[PaliGemma, Lanes] = WeakKeyDictionary()
"""Beside the models, not in them: a model can be copied, a captured step cannot."""


def lanes_of(model: PaliGemma) -> Lanes | None:
    """Where a model's caches are kept; None where the plain step is to run.

    That is off CUDA, in training, under autocast, whose copies of weights do not last, and on
    weights that are cut among processes or spread over devices.
    """
    device = model.device
    if device.type != "cuda" or model.training or torch.is_autocast_enabled("cuda"):
        return None
    if any(is_cut(each) or each.device != device for each in model.language_model.parameters()):
        return None
    if model not in _LANES:
        memory = torch.cuda.get_device_properties(device).total_memory
        _LANES[model] = Lanes(memory // _MEMORY_SHARE, Capturer())
    return _LANES[model]
