"""What a scheduler counts."""

import time
from collections import Counter
from dataclasses import dataclass, field

_WEIGHT = 0.1
"""Of the last interval in the mean that Pace keeps: some twenty jobs are remembered."""

_UNKNOWN_SECONDS = 1.0
"""A job, before any has ended."""

_LEAST_SECONDS = 0.1
"""Nobody is asked to come back sooner."""


@dataclass
class Counts:
    """From a scheduler's start; written by the model's thread, read by any.

    Attributes:
        batches: steps by the rows that took them.
        prompt_tokens: read, image tokens included.
        completion_tokens: written, those of rows that were taken out included.
        prefill_seconds, decode_seconds: of the model at work; the image tower counts as prefill.
        first_tokens: rows that have one.
        first_token_seconds: from `submit` to it, of all these together.
    """

    batches: Counter[int] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    first_tokens: int = 0
    first_token_seconds: float = 0.0


class Pace:
    """How quickly jobs end one after another while there are any: a fading mean."""

    def __init__(self) -> None:
        self._mean: float | None = None
        self._mark = time.monotonic()

    def begin(self) -> None:
        """There is something to do again."""
        self._mark = time.monotonic()

    def ended(self) -> None:
        """A job has ended."""
        now = time.monotonic()
        interval, self._mark = now - self._mark, now
        if self._mean is None:
            self._mean = interval
        self._mean += _WEIGHT * (interval - self._mean)

    def seconds(self, number: int) -> float:
        """By when so many more will have ended, as far as can be told."""
        each = _UNKNOWN_SECONDS if self._mean is None else self._mean
        # A job that has taken longer than the mean already counts for what it has taken.
        first = max(each, time.monotonic() - self._mark)
        return max(_LEAST_SECONDS, first + each * (number - 1))
