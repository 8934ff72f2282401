"""Counting edits: slowly with NumPy alone, or fast, for long texts and many pairs of short ones."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from palikit.errors import MissingExtraError

EditCounter = Callable[[Sequence[Hashable], Sequence[Hashable]], int]
"""Levenshtein's distance of two sequences; what `edit_distance` is."""


def edit_distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Levenshtein's distance: least insertions, deletions and substitutions that turn a into b."""
    numbers: dict[Hashable, int] = {}
    first, second = (
        np.array([numbers.setdefault(each, len(numbers)) for each in text], np.int64)
        for text in (a, b)
    )
    places = np.arange(len(second) + 1)
    row = places
    for count, item in enumerate(first, start=1):
        best = np.empty_like(row)
        best[0] = count
        best[1:] = np.minimum(row[1:] + 1, row[:-1] + (second != item))
        # Insertions run along the row: best[j] = min over k <= j of best[k] + (j - k).
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])


def edit_counter(purpose: str) -> EditCounter:
    """The edit distance of rapidfuzz, which compares 64 symbols at once.

    Args:
        purpose: what it is wanted for, completing "rapidfuzz is needed to ...".

    Raises:
        MissingExtraError: rapidfuzz is not installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError:
        raise MissingExtraError("rapidfuzz", "evaluate", purpose) from None
    return Levenshtein.distance
