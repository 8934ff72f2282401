"""Counting edits fast, where a metric compares long texts or many pairs of short ones."""

from collections.abc import Callable, Hashable, Sequence

from palikit.errors import MissingExtraError

EditCounter = Callable[[Sequence[Hashable], Sequence[Hashable]], int]
"""Levenshtein's distance of two sequences; the slow and plain one is `text.edit_distance`."""


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
