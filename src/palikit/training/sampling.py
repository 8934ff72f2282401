"""Which example stands where: a pure function of the seed and the position.

Position p of a run is example p mod batch size of step p div batch size. So a run that is resumed
at a step needs nothing but its number to go on with the same examples, and each of several
processes finds its own part of a batch by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

MAX_SHUFFLED = 10_000_000
"""Longest list that is shuffled as a whole, 80 MB; longer ones are taken in their own order, as
that of a generator of examples, which is random already."""

BLOCK = 1000
"""Positions over which the shares of a mixture are exact."""


@dataclass(frozen=True)
class Place:
    """Where the example of a position is found.

    Attributes:
        part: number of the data set in a mixture, 0 where there is one only.
        index: of the example in it.
        position: how many examples of this data set were taken before.
    """

    part: int
    index: int
    position: int


def place_of(position: int, sizes: tuple[int, ...], shares: tuple[float, ...], seed: int) -> Place:
    """The example at a position of the run.

    Args:
        position: from 0, over all steps.
        sizes: number of examples of each data set.
        shares: weight of each data set; any scale.
        seed: of the run.
    """
    part, own = (0, position) if len(sizes) == 1 else _part_of(position, shares, seed)
    size = sizes[part]
    epoch, offset = divmod(own, size)
    index = offset if size > MAX_SHUFFLED else int(_orders(seed, part, size)(epoch)[offset])
    return Place(part, index, own)


def generator_of(place: Place, seed: int) -> np.random.Generator:
    """The randomness of an example's own choices: which of its texts, in which order."""
    return np.random.default_rng((seed, place.part, place.position))


def _part_of(position: int, shares: tuple[float, ...], seed: int) -> tuple[int, int]:
    """The data set at a position, and how often it came before."""
    block, offset = divmod(position, BLOCK)
    counts = block_counts(shares)
    parts, earlier = _block(seed, block, counts)
    part = int(parts[offset])
    return part, block * counts[part] + int(earlier[offset])


@lru_cache(maxsize=64)
def block_counts(shares: tuple[float, ...]) -> tuple[int, ...]:
    """How many of a block's positions each data set has: largest remainders, and at least one."""
    total = sum(shares)
    exact = [share / total * BLOCK for share in shares]
    counts = [max(1, int(value)) for value in exact]
    while sum(counts) != BLOCK:
        sign = 1 if sum(counts) < BLOCK else -1
        able = [i for i, count in enumerate(counts) if sign > 0 or count > 1]
        counts[max(able, key=lambda i: sign * (exact[i] - counts[i]))] += sign
    return tuple(counts)


@lru_cache(maxsize=8)
def _block(
    seed: int, block: int, counts: tuple[int, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """int64[BLOCK] twice: the data set of each position, and its number within the block."""
    parts = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng((seed, block, 1)).shuffle(parts)
    earlier = np.zeros(BLOCK, dtype=np.int64)
    for part, count in enumerate(counts):
        earlier[parts == part] = np.arange(count)
    return parts, earlier


@lru_cache(maxsize=BLOCK // 2)
def _orders(seed: int, part: int, size: int) -> Callable[[int], npt.NDArray[np.int64]]:
    """The orders of a data set by epoch; two are kept, for workers may be on both sides of an end.

    As many data sets are kept as a mixture may have: one let go would be shuffled for each example.
    """
    return lru_cache(maxsize=2)(partial(_order, seed, part, size))


def _order(seed: int, part: int, size: int, epoch: int) -> npt.NDArray[np.int64]:
    """int64[size]: the order of a data set's examples in one of its epochs."""
    return np.random.default_rng((seed, part, epoch, 2)).permutation(size)
