"""Dividing a data set without splits: by shares, drawn with a seed, or by lists of pictures."""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from palikit.data.records import Record
from palikit.data.rows import Row
from palikit.data.split_names import split_name
from palikit.data.text_files import read_text
from palikit.errors import InputError

ItemT = TypeVar("ItemT", Record, Row)

_EXPECTED = (
    "expected shares that sum to 1, as in train=0.8,val=0.1,test=0.1, or lists of pictures, as in "
    "train=train.txt,val=val.txt"
)


def divide(items: Sequence[ItemT], plan: str, seed: int = 0) -> tuple[ItemT, ...]:
    """Give each record or row its split; what stands on one picture goes together.

    Args:
        items: without splits of their own.
        plan: "train=0.8,val=0.2", or with files that name a picture a line, by its file name with
            or without its ending. What no list names is left out.
        seed: of the draw; the same seed and pictures give the same splits.

    Raises:
        InputError: the source has splits, the plan cannot be read, or a list names no picture.
    """
    own = sorted({each.split for each in items if each.split})
    if own:
        raise InputError(
            f"the data set has splits of its own ({', '.join(own)}): leave --split out"
        )
    parts = _parts(plan)
    shares = {split: _share(value) for split, value in parts.items()}
    pictures = sorted({each.images for each in items})
    if all(share is not None for share in shares.values()):
        split_of = _drawn(pictures, {k: v for k, v in shares.items() if v is not None}, seed)
    elif any(share is not None for share in shares.values()):
        raise InputError(f"--split {plan} mixes shares and lists: {_EXPECTED}")
    else:
        split_of = _listed(pictures, parts)
    return tuple(
        replace(each, split=split_of[each.images]) for each in items if each.images in split_of
    )


def _parts(plan: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in plan.split(",")]
    parts = {str(split_name(name.strip())): value.strip() for name, _, value in pairs}
    if len(parts) < len(pairs) or not all(name and value for name, value in parts.items()):
        raise InputError(f"--split {plan} cannot be read: {_EXPECTED}")
    if wrong := [name for name in parts if not name.replace("_", "").replace("-", "").isalnum()]:
        raise InputError(f"--split names {wrong[0]!r}: a split is a word, such as train")
    return parts


def _share(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _drawn(
    pictures: Sequence[tuple[Path, ...]], shares: Mapping[str, float], seed: int
) -> dict[tuple[Path, ...], str]:
    # Written so that a share that is no number is refused too.
    if not (abs(sum(shares.values()) - 1) <= 1e-6 and min(shares.values()) > 0):
        raise InputError(
            f"the shares of --split sum to {sum(shares.values()):g} and the smallest is "
            f"{min(shares.values()):g}: {_EXPECTED}"
        )
    order = np.random.default_rng(seed).permutation(len(pictures))
    ends = np.round(np.cumsum(list(shares.values())) * len(pictures)).astype(int)
    names = [list(shares)[place] for place in np.searchsorted(ends, range(len(pictures)), "right")]
    return {pictures[index]: name for index, name in zip(order, names, strict=True)}


def _listed(
    pictures: Sequence[tuple[Path, ...]], parts: Mapping[str, str]
) -> dict[tuple[Path, ...], str]:
    known: dict[str, set[tuple[Path, ...]]] = defaultdict(set)
    for each in pictures:
        known[each[0].stem].add(each)
        known[each[0].name].add(each)
    split_of: dict[tuple[Path, ...], str] = {}
    for split, file in parts.items():
        for line in read_text(Path(file)).splitlines():
            name = line.strip().replace("\\", "/").rpartition("/")[2]
            if name and split_of.setdefault(_only(known[name], name, file), split) != split:
                raise InputError(f"{name} stands in two lists of --split: remove it from one")
    return split_of


def _only(pictures: Set[tuple[Path, ...]], name: str, file: str) -> tuple[Path, ...]:
    """The one picture of a name in a list."""
    if not pictures:
        raise InputError(f"{file} names {name}, and there is no such picture: remove it")
    if len(pictures) > 1:
        raise InputError(
            f"{file} names {name}, and {len(pictures)} pictures are called so: give each a name of "
            "its own"
        )
    (only,) = pictures
    return only
