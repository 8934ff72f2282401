"""A job on its way through the scheduler."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from palikit.errors import PaliKitError
from palikit.generation import Row
from palikit.grammar import ObjectGrammar
from palikit.processor import Prepared
from palikit.serving.jobs import DeadlineError, Job
from palikit.serving.tickets import LoopTicket
from palikit.tokenizer import StreamDecoder


@dataclass(frozen=True, eq=False)
class Ready:
    """A job whose turn may come.

    Attributes:
        prepared: its pixels and prompt.
        digests: of its pictures, as of `palikit.serving.features.digests_of`.
        grammar: the form of its answer.
    """

    prepared: Prepared
    digests: dict[int, bytes]
    grammar: ObjectGrammar | None


class Told:
    """How much of a row's text has been handed on.

    A row that is decoded a second time, after a failure, writes the same text: what has been
    handed on is not handed on again.
    """

    def __init__(self) -> None:
        self._decoder: StreamDecoder | None = None
        self._tokens = self._written = self._told = 0

    def start_again(self) -> None:
        """The row begins anew."""
        self._decoder, self._tokens, self._written = None, 0, 0

    def piece(self, row: Row, new_decoder: Callable[[], StreamDecoder]) -> str:
        """The text that has settled since the last time."""
        self._decoder = self._decoder or new_decoder()
        settled = row.tokens[self._tokens : row.settled()]
        self._tokens += len(settled)
        text = "".join(self._decoder.push(token.id) for token in settled)
        self._written += len(text)
        new = self._written - self._told
        if new <= 0:
            return ""
        self._told = self._written
        return text[-new:]


@dataclass(eq=False)
class Entry:
    """A job in hand, from `submit` to its end.

    Attributes:
        job: what was asked.
        ticket: who waits.
        taken: when, of `time.monotonic`.
        is_preparing: a thread has been told to make it ready.
        ready: what the model needs; None before.
        row: while it runs.
        is_alone: shares no step, having been in a batch that failed.
        has_begun: its first token has been written.
        told: of a stream.
    """

    job: Job
    ticket: LoopTicket
    taken: float = field(default_factory=time.monotonic)
    is_preparing: bool = False
    ready: Ready | None = None
    row: Row | None = None
    is_alone: bool = False
    has_begun: bool = False
    told: Told = field(default_factory=Told)

    @property
    def num_pictures(self) -> int:
        """Of its request; frames of a film count."""
        return len(self.job.request.pictures)

    def reason_to_stop(self, now: float) -> PaliKitError | None:
        """Why nothing more is to be done for it; None where something is."""
        if self.ticket.is_cancelled:
            return DeadlineError("nobody waits for this answer")
        deadline = self.job.deadline
        if deadline is not None and now > deadline:
            return DeadlineError("the answer was not done in time")
        return None
