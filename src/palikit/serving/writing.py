"""An answer while it is written: its pieces, cut at stop texts, and what it came to."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from palikit.serving.jobs import Ticket

if TYPE_CHECKING:
    from palikit.prediction import Prediction
    from palikit.results import TokenScore


class StopCutter:
    """Lets text through up to the first stop text.

    What may be the beginning of a stop text is held back until more is known.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.is_stopped = False

    def push(self, piece: str) -> str:
        """The text that is certain with this piece."""
        self._held += piece
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if places:
            self.is_stopped = True
            return self._release(min(places))
        return self._release(len(self._held) - self._open_end())

    def flush(self) -> str:
        """What is left at the end."""
        return "" if self.is_stopped else self._release(len(self._held))

    def _release(self, size: int) -> str:
        text, self._held = self._held[:size], self._held[size:]
        return text

    def _open_end(self) -> int:
        """Characters at the end that a stop text begins with."""
        lengths = (
            size
            for stop in self._stops
            for size in range(min(len(stop) - 1, len(self._held)), 0, -1)
            if self._held.endswith(stop[:size])
        )
        return max(lengths, default=0)


class Writing:
    """One choice of an answer.

    Args:
        ticket: its job.
        stops: texts before which it ends.
        wants_scores: whether the tokens are asked for, for which a stopped text is written on.
        count: tokens of a text.

    Attributes:
        text: so far.
        finish_reason: OpenAI's; "" while it is written.
        tokens: written, the end token included.
        prediction: the whole answer; None where a stop text ended it before.
        scores: of the tokens of `text`.
    """

    def __init__(
        self,
        ticket: Ticket,
        stops: Sequence[str],
        count: Callable[[str], int],
        *,
        wants_scores: bool,
    ) -> None:
        self._ticket = ticket
        self._stops = stops
        self._cutter = StopCutter(stops)
        self._count = count
        self._wants_scores = wants_scores
        self.text = ""
        self.finish_reason = ""
        self.tokens = 0
        self.prediction: Prediction[Any] | None = None
        self.scores: tuple[TokenScore, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the text is all that the model wrote."""
        return not self._cutter.is_stopped

    async def pieces(self) -> AsyncIterator[str]:
        """The text as it settles; afterwards every attribute is known."""
        async for piece in self._ticket.pieces():
            if text := self._cutter.push(piece):
                self.text += text
                yield text
            if self._cutter.is_stopped:
                break
        if rest := self._cutter.flush():
            self.text += rest
            yield rest
        await self._end()

    async def whole(self) -> None:
        """Waits until every attribute is known."""
        if not self._stops:  # nothing to look for on the way
            await self._end()
            self.text = self.prediction.text if self.prediction is not None else ""
            return
        async for _ in self.pieces():
            pass

    async def _end(self) -> None:
        if self._cutter.is_stopped and not self._wants_scores:
            self._ticket.cancel()
            self.finish_reason, self.tokens = "stop", self._count(self.text)
            return
        self.prediction = await self._ticket.result()
        scores = self.prediction.token_scores
        if self._cutter.is_stopped:
            scores = tuple(each for each in scores if each.start < len(self.text))
        self.tokens = len(scores)
        self.finish_reason = "stop"
        if self.is_whole and self.prediction.finish_reason == "length":
            self.finish_reason = "length"
        self.scores = scores
