"""A model over the devices of one machine: whole layers, in their order, as memory allows.

    cuda:0      projection, table, norm, image tower, decoder layers 0 .. i
    cuda:1      decoder layers i + 1 .. j
    cpu         what is left

Tokens go from device to device where one's layers end. Keys and values stay on the first device,
and attention is computed there: of each new token only queries, keys and values travel, never a
cache. With room on the first device for all of it, nothing is spread and nothing is copied.

Axes: B batch, Q new tokens, D hidden size.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from palikit.errors import InputError
from palikit.model.attention import AttentionFunction
from palikit.model.cache import KVCache
from palikit.model.paligemma import PaliGemma

RESERVE = 0.2
"""Share of a device's memory that weights leave to caches and activations."""


@dataclass(frozen=True)
class Room:
    """A device and the bytes of weights it may take."""

    device: torch.device
    nbytes: int


@dataclass(frozen=True)
class Placement:
    """Where the parts of a model go.

    Attributes:
        root: device of all that is not a decoder layer.
        layers: of each decoder layer.
    """

    root: torch.device
    layers: tuple[torch.device, ...]

    @property
    def is_spread(self) -> bool:
        """Whether more than one device is needed."""
        return any(device != self.root for device in self.layers)


def plan(root_bytes: int, layer_bytes: Sequence[int], rooms: Sequence[Room]) -> Placement:
    """Fill devices in their order; a layer that does not fit begins the next device.

    Args:
        root_bytes: of all that is not a decoder layer.
        layer_bytes: of each decoder layer.
        rooms: fastest first.

    Raises:
        InputError: the rooms together are too small.
    """
    sizes, left = [root_bytes, *layer_bytes], [room.nbytes for room in rooms]
    places: list[torch.device] = []
    at = 0
    for size in sizes:
        while at < len(rooms) and left[at] < size:
            at += 1
        if at == len(rooms):
            raise InputError(
                f"the model takes {sum(sizes) / 2**30:.1f} GiB and the devices here have room for "
                f"{sum(room.nbytes for room in rooms) / 2**30:.1f} GiB: choose a smaller model, "
                "or hold its weights in fewer bits with quantize"
            )
        left[at] -= size
        places.append(rooms[at].device)
    return Placement(places[0], tuple(places[1:]))


def rooms_here() -> list[Room]:
    """The GPUs by number, then the CPU."""
    rooms = []
    for number in range(torch.cuda.device_count()):
        free, _ = torch.cuda.mem_get_info(number)
        rooms.append(Room(torch.device("cuda", number), round(free * (1 - RESERVE))))
    return [*rooms, Room(torch.device("cpu"), round(_host_bytes() * (1 - RESERVE)))]


def _host_bytes() -> int:
    """Memory of the machine; where it does not say, what no model exceeds."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return 2**50


def plan_for(model: PaliGemma, rooms: Sequence[Room]) -> Placement:
    """The plan for a model as it is held."""
    layers = [_nbytes(layer) for layer in model.language_model.layers]
    return plan(_nbytes(model) - sum(layers), layers, rooms)


def _nbytes(module: nn.Module) -> int:
    return sum(weight.nbytes for weight in module.parameters())


def spread(model: PaliGemma, placement: Placement) -> None:
    """Move the parts of a model to where they belong, in place, and lead tokens along."""
    layers = list(model.language_model.layers)
    for layer, device in zip(layers, placement.layers, strict=True):
        layer.to(device)
    held = {id(module) for layer in layers for module in layer.modules()}
    for module in model.modules():
        if id(module) in held:
            continue
        for weight in module.parameters(recurse=False):
            weight.data = weight.data.to(placement.root)
    if placement.is_spread:
        for layer, device in zip(layers, placement.layers, strict=True):
            layer.register_forward_pre_hook(_Leading(device))
            attention: Any = layer.get_submodule("self_attn")
            attention.attention_function = _BesideKeys(attention.attention_function)
        layers[-1].register_forward_hook(_Returning(placement.root))


class _Leading:
    """Brings what a layer is given to its device; a cache stays where it is."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __call__(self, _layer: nn.Module, given: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(_moved(each, self._device) for each in given)


class _Returning:
    """Brings what the last layer gives back to where the head is."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __call__(self, _layer: nn.Module, _given: tuple[object, ...], out: Tensor) -> Tensor:
        return out.to(self._device)


class _BesideKeys:
    """Attention where the keys are, whose output goes back to where the queries came from."""

    def __init__(self, attend: AttentionFunction) -> None:
        self._attend = attend

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        limits: Tensor | None,
        scale: float,
        softcap: float | None,
    ) -> Tensor:
        limits = None if limits is None else limits.to(k.device)
        return self._attend(q.to(k.device), k, v, limits, scale, softcap).to(q.device)


class _CacheElsewhere:
    """A cache as a layer on another device sees it."""

    def __init__(self, cache: KVCache) -> None:
        self._cache = cache

    def update(self, layer: int, k: Tensor, v: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """As `KVCache.update`; what it returns is where the cache is."""
        device = self._cache.keys.device
        return self._cache.update(layer, k.to(device), v.to(device), slots.to(device))


def _moved(value: object, device: torch.device) -> object:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        return tuple(_moved(each, device) for each in value)
    return _CacheElsewhere(value) if isinstance(value, KVCache) else value
