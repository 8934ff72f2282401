"""The way of an answer from the model's threads to the event loop that asked."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from palikit.prediction import Prediction


class LoopTicket:
    """A `Ticket`: awaited in the event loop it was made in, ended from any thread.

    Attributes:
        is_cancelled: nobody waits any more.
        is_streaming: somebody takes the text piece by piece; until then none need be pushed.
    """

    def __init__(self) -> None:
        self.is_cancelled = False
        self.is_streaming = False
        self._loop = asyncio.get_running_loop()
        self._result: asyncio.Future[Prediction[Any]] = self._loop.create_future()
        self._pieces: deque[str] = deque()
        self._has_news = asyncio.Event()

    async def result(self) -> Prediction[Any]:
        """The whole answer."""
        return await asyncio.shield(self._result)

    async def pieces(self) -> AsyncIterator[str]:
        """The text as it settles; what has not come in pieces comes at the end."""
        self.is_streaming = True
        told = 0
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                told += len(piece)
                yield piece
            if self._result.done():
                break
            self._has_news.clear()
            await self._has_news.wait()
        if rest := (await self.result()).text[told:]:
            yield rest

    def cancel(self) -> None:
        """Nobody waits any more; whoever does gets a CancelledError."""
        self.is_cancelled = True
        self._result.cancel()
        self._has_news.set()

    def push(self, piece: str) -> None:
        """The next characters of the text, which nothing to come takes back."""
        self._pieces.append(piece)
        self._call(self._has_news.set)

    def end(self, outcome: Prediction[Any] | Exception) -> None:
        """The answer, or why there is none."""
        self._call(self._finish, outcome)

    def _finish(self, outcome: Prediction[Any] | Exception) -> None:
        if not self._result.done():
            if isinstance(outcome, Exception):
                self._result.set_exception(outcome)
                self._result.exception()  # seen: nobody has to wait for it
            else:
                self._result.set_result(outcome)
        self._has_news.set()

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop has ended, and with it everyone who waited
            self.is_cancelled = True
