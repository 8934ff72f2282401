"""The obvious scheduler: one job after another, alone in its batch, in one thread.

What a faster scheduler answers is to be what this one does.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from palikit.errors import PaliKitError
from palikit.generation import Decoding
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.prediction import Prediction
from palikit.predictor import Predictor
from palikit.processor import Query
from palikit.serving.jobs import (
    DeadlineError,
    DrainingError,
    Job,
    ModelFailedError,
    OverloadedError,
    Stats,
)

_POLL_SECONDS = 0.02
_END = None
"""After the last piece of a ticket."""


class DirectTicket:
    """A job and the way its answer takes back to the event loop."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.is_cancelled = False
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._result: asyncio.Future[Prediction[Any]] = self._loop.create_future()

    async def result(self) -> Prediction[Any]:
        """The whole answer."""
        return await asyncio.shield(self._result)

    async def pieces(self) -> AsyncIterator[str]:
        """The text as it settles."""
        while (piece := await self._pieces.get()) is not _END:
            yield piece
        await self.result()

    def cancel(self) -> None:
        """Nobody waits any more."""
        self.is_cancelled = True
        self._result.cancel()

    def push(self, piece: str) -> None:
        """Text from the model's thread."""
        self._call(self._pieces.put_nowait, piece)

    def end(self, outcome: Prediction[Any] | Exception) -> None:
        """The answer, or why there is none, from the model's thread."""
        self._call(self._finish, outcome)

    def _finish(self, outcome: Prediction[Any] | Exception) -> None:
        if not self._result.done():
            if isinstance(outcome, Exception):
                self._result.set_exception(outcome)
                self._result.exception()  # whoever waits still gets it; nobody need
            else:
                self._result.set_result(outcome)
        self._pieces.put_nowait(_END)

    def _call(self, function: Any, argument: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, argument)
        except RuntimeError:  # the loop has ended, and with it everyone who waited
            self.is_cancelled = True


class DirectScheduler:
    """Answers jobs in their order.

    Args:
        predictor: the model.
        name: what clients call it.
        max_queue: jobs that may wait.
    """

    def __init__(self, predictor: Predictor, *, name: str, max_queue: int = 64) -> None:
        self._predictor = predictor
        self._name = name
        self._max_queue = max_queue
        self._waiting: deque[DirectTicket] = deque()
        self._changed = threading.Condition()
        self._running = 0
        self._is_draining = False
        self._steps = self._prompt_tokens = self._completion_tokens = 0
        self._prefill_seconds = self._decode_seconds = 0.0
        threading.Thread(target=self._work, name="model", daemon=True).start()

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._name

    @property
    def image_size(self) -> int:
        """Side of its pictures in pixels."""
        return self._predictor.processor.image_size

    @property
    def has_masks(self) -> bool:
        """Whether segments come with outlines."""
        return self._predictor.mask_codec is not None

    def submit(self, job: Job) -> DirectTicket:
        """Put a job behind the others."""
        with self._changed:
            self.check_room(0)
            ticket = DirectTicket(job)
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def check_room(self, coming: int) -> None:
        """See whether a job could be taken after `coming` others; raises what `submit` would."""
        with self._changed:
            if self._is_draining:
                raise DrainingError("the server is stopping")
            self._waiting = deque(each for each in self._waiting if not each.is_cancelled)
            if len(self._waiting) + coming >= self._max_queue:
                raise OverloadedError(
                    f"{self._max_queue} requests wait already: ask again later", retry_after=1.0
                )

    def stats(self) -> Stats:
        """How things are."""
        return Stats(
            queue_depth=sum(not each.is_cancelled for each in self._waiting.copy()),
            running=self._running,
            batches=((1, self._steps),),
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            prefill_seconds=self._prefill_seconds,
            decode_seconds=self._decode_seconds,
        )

    async def drain(self, timeout: float) -> bool:
        """Finish what was taken."""
        self._is_draining = True
        deadline = time.monotonic() + timeout
        while (self._waiting or self._running) and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        return not (self._waiting or self._running)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                self._running = 1
                ticket = self._waiting.popleft()
            ticket.end(self._outcome(ticket))
            self._running = 0

    def _outcome(self, ticket: DirectTicket) -> Prediction[Any] | Exception:
        try:
            return self._answer(ticket)
        except PaliKitError as error:
            return error
        except Exception as error:
            failed = ModelFailedError("the model failed on this request")
            failed.__cause__ = error
            return failed

    def _answer(self, ticket: DirectTicket) -> Prediction[Any]:
        job, predictor = ticket.job, self._predictor
        engine, task = predictor.engine, job.request.task
        _check_deadline(ticket)
        began = time.monotonic()
        query = Query(job.request.pictures, task.prompt, allow_special=task.allow_special)
        inputs = predictor.processor([query]).to(predictor.model.device)
        decoding = Decoding(predictor.model, inputs, job.options, [engine.grammar(task)])
        self._prefill_seconds += time.monotonic() - began
        self._prompt_tokens += _num_tokens(inputs, predictor.model)
        row, sent, decoder = decoding.rows[0], 0, predictor.processor.tokenizer.decoder()
        while not decoding.is_done:
            _check_deadline(ticket)
            began = time.monotonic()
            decoding.step()
            self._decode_seconds += time.monotonic() - began
            self._steps += 1
            for token in row.tokens[sent : row.settled()]:
                if piece := decoder.push(token.id):
                    ticket.push(piece)
            sent = max(sent, row.settled())
        if rest := decoder.flush():
            ticket.push(rest)
        self._completion_tokens += len(row.tokens)
        return engine.read(job.request, row.result())


def _check_deadline(ticket: DirectTicket) -> None:
    if ticket.is_cancelled:
        raise DeadlineError("nobody waits for this answer")
    deadline = ticket.job.deadline
    if deadline is not None and time.monotonic() > deadline:
        raise DeadlineError("the answer was not done in time")


def _num_tokens(inputs: ModelInputs, model: PaliGemma) -> int:
    """Of the one prompt of a batch and its pictures."""
    num_image = inputs.image_index.shape[1] * model.config.vision_config.num_image_tokens
    return num_image + int(inputs.lengths[0])
