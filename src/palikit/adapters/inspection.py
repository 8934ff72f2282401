"""What an adapter is, told from its folder alone; its base is not looked at."""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from palikit.adapters.adapter import Adapter
from palikit.adapters.merging import changes_nothing
from palikit.adapters.reading import WEIGHTS_NAME, read_adapter
from palikit.checkpoints.layout import find_tokenizer
from palikit.model.towers import TOWERS, Tower, tower_of

_IN_A_LAYER = ("q", "k", "v", "o", "out", "gate", "up", "down", "fc1", "fc2")
"""Linear layers as data flows; files have them by their names' letters."""

ValueT = TypeVar("ValueT", bound=Hashable)


@dataclass(frozen=True)
class AdaptedTower:
    """What of one part of a model is adapted.

    Attributes:
        tower: the part.
        layers: last names of the adapted linear layers, such as "q_proj", as data flows.
        count: how many layers those are in all.
    """

    tower: Tower
    layers: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class AdapterInspection:
    """An adapter as its files describe it.

    Attributes:
        path: its folder.
        base: the model it was trained on, a path or a name; None where it does not say.
        revision: of the base on the Hub.
        method: "LoRA" or "rsLoRA".
        ranks: all that occur, the commonest first.
        alphas: likewise.
        dropout: share of a layer's input dropped in training.
        towers: the adapted parts.
        trained_whole: names of the weights that take the base's place.
        dtypes: names of the stored dtypes, the commonest first.
        parameter_count: numbers stored, those of `trained_whole` included.
        nbytes: size of the weights' file.
        has_tokenizer: whether a tokenizer lies beside it; else that of the base is used.
        changes_nothing: whether it was saved before it learned.
    """

    path: Path
    base: str | None
    revision: str | None
    method: str
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    dropout: float
    towers: tuple[AdaptedTower, ...]
    trained_whole: tuple[str, ...]
    dtypes: tuple[str, ...]
    parameter_count: int
    nbytes: int
    has_tokenizer: bool
    changes_nothing: bool


def inspect_adapter(folder: Path) -> AdapterInspection:
    """Read an adapter and say what it is.

    Raises:
        CheckpointError: as `read_adapter`.
    """
    adapter = read_adapter(folder)
    tensors = [half for layer in adapter.layers for half in (layer.a, layer.b)]
    tensors += [full.value for full in adapter.full]
    return AdapterInspection(
        path=folder,
        base=adapter.base,
        revision=adapter.revision,
        method="rsLoRA" if adapter.use_rslora else "LoRA",
        ranks=_commonest_first(layer.rank for layer in adapter.layers),
        alphas=_commonest_first(layer.alpha for layer in adapter.layers),
        dropout=adapter.dropout,
        towers=_towers(adapter),
        trained_whole=tuple(full.name for full in adapter.full),
        dtypes=_commonest_first(str(each.dtype).removeprefix("torch.") for each in tensors),
        parameter_count=sum(tensor.numel() for tensor in tensors),
        nbytes=(folder / WEIGHTS_NAME).stat().st_size,
        has_tokenizer=find_tokenizer(folder) is not None,
        changes_nothing=changes_nothing(adapter),
    )


def _towers(adapter: Adapter) -> tuple[AdaptedTower, ...]:
    """Adapted layers by part and last name, both as data flows."""
    names: dict[Tower, list[str]] = {tower: [] for tower, _ in TOWERS}
    for layer in adapter.layers:
        names[tower_of(f"{layer.module}.weight")].append(layer.module.rpartition(".")[2])
    return tuple(
        AdaptedTower(tower, tuple(sorted(set(found), key=_place)), len(found))
        for tower, found in names.items()
        if found
    )


def _place(layer: str) -> int:
    name = layer.removesuffix("_proj")
    return _IN_A_LAYER.index(name) if name in _IN_A_LAYER else len(_IN_A_LAYER)


def _commonest_first(values: Iterable[ValueT]) -> tuple[ValueT, ...]:
    return tuple(value for value, _ in Counter(values).most_common())
