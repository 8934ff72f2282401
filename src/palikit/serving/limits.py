"""Bounds that all requests share: how often a caller may ask, and how much memory is out."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from palikit.serving.problems import Problem

MAX_CALLERS = 10_000
"""Callers remembered; the one longest silent is forgotten first, and may then ask anew."""

LARGE_BYTES = 2**26
"""Held by requests together: far more than those of usual pictures are."""


class RateLimiter:
    """A bucket of requests for each caller, which fills up steadily.

    Args:
        per_minute: requests in a minute, and at once after a minute's silence; None for any number.
        clock: seconds.
    """

    def __init__(self, per_minute: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, caller: str) -> None:
        """Count a request; raises Problem 429 where it is one too many."""
        if self._per_minute is None:
            return
        now, rate = self._clock(), self._per_minute / 60
        left, seen = self._buckets.pop(caller, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + (now - seen) * rate)
        is_admitted = left >= 1
        self._buckets[caller] = (left - is_admitted, now)
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        if not is_admitted:
            raise Problem(
                429,
                "rate_limit",
                f"more than {self._per_minute} requests a minute: ask again later",
                retry_after=(1 - left) / rate,
            )


class Budget:
    """Bytes that requests in hand hold together; threads may take and give back at once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = self._most = 0
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """Bytes held now."""
        return self._taken

    def take(self, size: int) -> None:
        """Reserve bytes before they are there; raises Problem 429 where they would not fit."""
        with self._lock:
            if self._taken + size > self._size:
                raise Problem(
                    429,
                    "overloaded",
                    "the server holds as many pictures as it may: ask again later",
                    retry_after=1,
                )
            self._taken += size
            self._most = max(self._most, self._taken)

    def give_back(self, size: int) -> None:
        """Bytes that were taken are free again."""
        with self._lock:
            self._taken -= size

    def has_been_large(self) -> bool:
        """Whether all is given back, and was more than LARGE_BYTES; True once for each time."""
        with self._lock:
            if self._taken or self._most <= LARGE_BYTES:
                return False
            self._most = 0
            return True
