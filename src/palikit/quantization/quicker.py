"""Of two ways to the same numbers, the one that is quicker at the time."""

from collections import defaultdict
from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Generic, ParamSpec, TypeVar

ArgsP = ParamSpec("ArgsP")
ResultT = TypeVar("ResultT")

_TRIED_EVERY = 16
"""Calls of which one takes the slower way, for it may be the quicker one by now."""


class Quicker(Generic[ArgsP, ResultT]):
    """Two functions that return the same, told apart by the clock.

    Which is quicker can depend on what the processors share, and on a rented machine that changes
    from one second to the next. Several threads may be here: they may only choose worse.

    Args:
        one, other: take the same arguments.
        key: of arguments for which both take as long.
    """

    def __init__(
        self,
        one: Callable[ArgsP, ResultT],
        other: Callable[ArgsP, ResultT],
        key: Callable[ArgsP, Hashable],
    ) -> None:
        self._ways = (one, other)
        self._key = key
        self._seconds: defaultdict[Hashable, list[float]] = defaultdict(lambda: [0.0, 0.0])
        """Of each way, the mean of what it took lately; 0 before it is tried."""
        self._calls: defaultdict[Hashable, int] = defaultdict(int)

    def __call__(self, *args: ArgsP.args, **kwargs: ArgsP.kwargs) -> ResultT:
        """What either returns."""
        key = self._key(*args, **kwargs)
        seconds, self._calls[key] = self._seconds[key], self._calls[key] + 1
        chosen = seconds[1] < seconds[0]
        if self._calls[key] % _TRIED_EVERY == 0:
            chosen = not chosen
        began = perf_counter()
        result = self._ways[chosen](*args, **kwargs)
        taken = perf_counter() - began
        seconds[chosen] = (seconds[chosen] + taken) / 2 if seconds[chosen] else taken
        return result
