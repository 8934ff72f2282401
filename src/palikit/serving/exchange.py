"""One request on its way through the server: who asks, what it holds, what the log will say."""

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import Request
from starlette.types import Scope

from palikit.serving.limits import Budget
from palikit.serving.logs import Line

_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Cancellable(Protocol):
    """A ticket or a task."""

    def cancel(self) -> object:
        """Nobody waits any more."""
        ...


class EndedError(Exception):
    """The request has ended, and nobody waits for what was to be done for it."""


@dataclass
class Exchange:
    """A request and its answer.

    Attributes:
        id: taken from X-Request-ID where it is harmless, else drawn.
        line: what the log will say.
        budget: of memory, that all requests share.
        began: when its head came, of `time.monotonic`.
        received: when its body was there.
        held: bytes taken from the budget.
        place: that it has among those on their way to the queue; cancelled when it is there.
        works: tickets and tasks of this request; cancelled at its end, which those done survive.
    """

    id: str
    line: Line
    budget: Budget
    began: float = field(default_factory=time.monotonic)
    received: float = field(default_factory=time.monotonic)
    held: int = 0
    place: Cancellable | None = None
    works: list[Cancellable] = field(default_factory=list)
    _has_ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, size: int) -> None:
        """Reserve memory until the request ends, from any thread.

        Raises:
            Problem: 429 where there is too little.
            EndedError: it has ended already, so that nobody would give it back.
        """
        with self._lock:
            if self._has_ended:
                raise EndedError
            self.budget.take(size)
            self.held += size

    @contextmanager
    def part(self) -> Iterator[Callable[[int], None]]:
        """A `hold` for a part of the request, whose memory is free when that part ends."""
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            self.hold(size)
            held += size

        try:
            yield hold
        finally:
            with self._lock:
                free = min(held, self.held)  # none is left where the request has ended
                self.budget.give_back(free)
                self.held -= free

    def let_go(self) -> None:
        """The request has ended: nobody waits for its jobs, and its memory is free."""
        if self.place is not None:
            self.place.cancel()
        for work in self.works:
            work.cancel()
        with self._lock:
            self._has_ended = True
            self.budget.give_back(self.held)
            self.held = 0


def begin_exchange(scope: Scope, budget: Budget) -> Exchange:
    """The exchange of a request, which handlers find with `exchange_of`."""
    given = _SAFE_ID.fullmatch(header(scope, b"x-request-id"))
    request_id = given.group().decode() if given else secrets.token_hex(16)
    method = scope["method"] if scope["method"] in _METHODS else "other"
    exchange = Exchange(request_id, Line(request_id, method), budget)
    scope.setdefault("state", {})["exchange"] = exchange
    return exchange


def exchange_of(request: Request) -> Exchange:
    """The exchange that a handler answers."""
    exchange: Exchange = request.state.exchange
    return exchange


def header(scope: Scope, name: bytes) -> bytes:
    """The first header of a name, in lower case; empty without one."""
    return next((value for key, value in scope["headers"] if key == name), b"")
