"""One request on its way through the server: who asks, what it holds, what the log will say."""

import re
import secrets
import time
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

    def hold(self, size: int) -> None:
        """Reserve memory until the request ends; raises Problem 429 where there is too little."""
        self.budget.take(size)
        self.held += size

    def let_go(self) -> None:
        """The request has ended: nobody waits for its jobs, and its memory is free."""
        if self.place is not None:
            self.place.cancel()
        for work in self.works:
            work.cancel()
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
