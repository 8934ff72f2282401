"""What stands between those who ask and the one thread that owns the model.

The HTTP app hands over a `Job` and gets a `Ticket`; how jobs share the model is the scheduler's
business alone, so that the app can be tested, and replicas built, with any scheduler.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from palikit.errors import PaliKitError
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.request import Request


@dataclass(frozen=True)
class Job:
    """One request to the model.

    Attributes:
        id: the request's, shown in logs and headers.
        request: pictures and task.
        options: how this text alone is generated, whoever shares the batch.
        deadline: of `time.monotonic`, after which it is given up; None for never.
    """

    id: str
    request: Request
    options: GenerationOptions
    deadline: float | None


class OverloadedError(PaliKitError):
    """The bounded queue is full.

    Args:
        message: one sentence.
        retry_after: seconds after which it is worth asking again.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineError(PaliKitError):
    """The job was not done in time."""


class DrainingError(PaliKitError):
    """The server is about to stop: what runs is finished, nothing new is taken."""


class ModelFailedError(PaliKitError):
    """The model raised on this job; the server goes on."""


class Ticket(Protocol):
    """What a submitted job comes to; awaited in the event loop that submitted it."""

    async def result(self) -> Prediction[Any]:
        """The whole answer.

        Raises:
            DeadlineError, ModelFailedError: see there.
            InputError: the request cannot be answered by this model.
        """
        ...

    def pieces(self) -> AsyncIterator[str]:
        """The text as it settles, as `Predictor.stream` cuts it; raises what `result` does."""
        ...

    def cancel(self) -> None:
        """Nobody waits any more: the row leaves at the next step, and the ticket never ends."""
        ...


@dataclass(frozen=True)
class Stats:
    """A scheduler at one moment; all but the first two count from its start.

    Attributes:
        queue_depth: jobs that wait.
        running: rows that are being generated.
        batches: how many times a batch of each size took a step: pairs of size and number.
        image_cache_hits, image_cache_misses: pictures whose features were at hand, or were not.
        image_cache_bytes: held now.
        prompt_tokens: fed, image tokens included.
        completion_tokens: written.
        prefill_seconds, decode_seconds: of the model at work.
        first_tokens: jobs whose first token has been written.
        first_token_seconds: from `submit` to it, of all these together.
    """

    queue_depth: int = 0
    running: int = 0
    batches: tuple[tuple[int, int], ...] = ()
    image_cache_hits: int = 0
    image_cache_misses: int = 0
    image_cache_bytes: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    first_tokens: int = 0
    first_token_seconds: float = 0.0


class SchedulerLike(Protocol):
    """Owner of the model."""

    @property
    def model(self) -> str:
        """Name of the model."""
        ...

    @property
    def image_size(self) -> int:
        """Side of its pictures in pixels."""
        ...

    @property
    def has_masks(self) -> bool:
        """Whether segments come with outlines."""
        ...

    def submit(self, job: Job) -> Ticket:
        """Take a job; never blocks.

        Raises:
            OverloadedError: the queue is full.
            DrainingError: nothing new is taken.
        """
        ...

    def check_room(self, coming: int) -> None:
        """See whether a job could be taken after `coming` others; cheap, and takes nothing.

        Raises:
            OverloadedError, DrainingError: as `submit` would.
        """
        ...

    def stats(self) -> Stats:
        """How things are; cheap."""
        ...

    async def drain(self, timeout: float) -> bool:
        """Take nothing new and finish what was taken.

        Args:
            timeout: seconds.

        Returns:
            Whether everything was finished in time.
        """
        ...
