"""What the routes share: the model once it is loaded, the bounds, and the way a question takes."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from palikit.options import GenerationOptions, ServeOptions
from palikit.prediction import Prediction
from palikit.request import Request
from palikit.serving.backend import Backend
from palikit.serving.exchange import Exchange
from palikit.serving.jobs import DeadlineError, DrainingError, Job, Stats, Ticket
from palikit.serving.keys import ApiKeys
from palikit.serving.limits import Budget
from palikit.serving.metrics import Metrics
from palikit.serving.problems import Problem, refused
from palikit.serving.remote import Remote, Trusted
from palikit.serving.uploads import PictureLimits, Source, check_count, open_sources
from palikit.tasks import Task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T")

_DRAIN_SECONDS = 0.01
_DECODERS = 4
"""Threads that decode pictures; more would take the processor from the model."""


class _Place:
    """One of those that come."""

    def __init__(self, coming: set["_Place"]) -> None:
        self._coming = coming
        coming.add(self)

    def cancel(self) -> None:
        """It comes no more; may be called again."""
        self._coming.discard(self)


@dataclass(frozen=True)
class Question:
    """A question that has passed every check.

    Attributes:
        request: pictures and task.
        options: how its text is generated.
        prompt_tokens: those of pictures included.
    """

    request: Request
    options: GenerationOptions
    prompt_tokens: int


@dataclass
class Service:
    """A server's parts and its state.

    Attributes:
        options: bounds.
        keys: who may ask.
        label_studio_token: sent to `options.label_studio_url`.
        backend: the model; None until it is loaded.
        is_draining: SIGTERM has come.
        failure: why the model could not be loaded.
    """

    options: ServeOptions
    keys: ApiKeys = field(default_factory=ApiKeys)
    label_studio_token: str | None = field(default=None, repr=False)
    backend: Backend | None = None
    is_draining: bool = False
    failure: Exception | None = None

    def __post_init__(self) -> None:
        options = self.options
        self.began = int(time.time())
        self.budget = Budget(options.max_pending_mib * 2**20)
        self.metrics = Metrics(self._stats)
        trusted = None
        if options.label_studio_url:
            trusted = Trusted(options.label_studio_url, self.label_studio_token)
        hosts = (name.strip().lower() for name in (options.allow_url_hosts or "").split(","))
        remote = Remote(
            frozenset(filter(None, hosts)), trusted, max_bytes=options.max_request_mib * 2**20
        )
        self.limits = PictureLimits(options.max_pictures, options.max_pixels, remote)
        self._coming: set[_Place] = set()
        self._threads = ThreadPoolExecutor(_DECODERS, thread_name_prefix="pictures")

    @property
    def ready(self) -> Backend:
        """The model; raises Problem 503 where it is not loaded yet."""
        if self.backend is None:
            raise Problem(503, "loading", "the model is being loaded: ask again", retry_after=5)
        return self.backend

    @property
    def name(self) -> str:
        """What clients call the model."""
        return self.ready.scheduler.model

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Runs what would hold the event loop up."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def prepare(
        self,
        exchange: Exchange,
        sources: Sequence[Source],
        task: Task,
        options: GenerationOptions,
        hold: Callable[[int], None] | None = None,
    ) -> Question:
        """Decodes pictures and checks every bound, before the model does any work.

        Args:
            exchange: the request.
            sources: its pictures.
            task: what is asked.
            options: how the answer is generated.
            hold: reserves memory; None holds it until the request ends.

        Raises:
            Problem, InputError: what is wrong with the request.
            DeadlineError: its pictures were not there in time.
        """
        backend, limits = self.ready, self.limits
        check_count(sources, limits)
        limit = self.options.max_output_tokens
        if options.max_new_tokens > limit:
            raise refused(
                f"{options.max_new_tokens} tokens are asked for, at most {limit} are written",
                "max_tokens",
            )

        def work() -> Question:
            pictures = open_sources(sources, limits, hold or exchange.hold)
            name = "picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
            request = Request(pictures, task, name)
            count = backend.count_prompt(request, options, self.options.max_prompt_tokens)
            return Question(request, options, count)

        async with self.in_time(exchange):
            question = await self.in_thread(work)
        line = exchange.line
        line.task, line.pictures = task.name, len(question.request.pictures)
        line.prompt_tokens = question.prompt_tokens
        if self.options.log_prompts:
            line.prompt = task.prompt
        return question

    def expect(self, exchange: Exchange) -> None:
        """A question is on its way to the queue; it counts as waiting while it is looked at.

        Raises:
            OverloadedError, DrainingError: it need not be looked at.
        """
        if self.is_draining:
            raise DrainingError("the server is stopping: ask another one, or later")
        if self.backend is not None:
            self.backend.scheduler.check_room(len(self._coming))
            exchange.place = _Place(self._coming)

    def submit(self, exchange: Exchange, question: Question) -> Ticket:
        """Hands a question to the scheduler; raises what that does."""
        if exchange.place is not None:
            exchange.place.cancel()
        deadline = exchange.received + self.options.request_timeout
        job = Job(exchange.id, question.request, question.options, deadline)
        ticket = self.ready.scheduler.submit(job)
        exchange.works.append(ticket)
        return ticket

    async def answer(self, exchange: Exchange, question: Question) -> Prediction[Any]:
        """The whole answer to a question."""
        async with self.in_time(exchange):
            prediction = await self.submit(exchange, question).result()
        self.count(exchange, prediction.text, len(prediction.token_scores))
        exchange.line.finish_reason = prediction.finish_reason
        return replace(prediction, model=self.name)

    @asynccontextmanager
    async def in_time(self, exchange: Exchange) -> "AsyncIterator[None]":
        """Raises DeadlineError inside when a request takes too long, whoever holds it up."""
        left = exchange.received + self.options.request_timeout - time.monotonic()
        try:
            async with asyncio.timeout(max(left, 0)):
                yield
        except TimeoutError:
            raise DeadlineError("the answer was not done in time") from None

    def count(self, exchange: Exchange, text: str, tokens: int) -> None:
        """An answer has been written."""
        line = exchange.line
        line.completion_tokens = (line.completion_tokens or 0) + tokens
        self.metrics.tokens_per_second.observe(
            tokens / max(time.monotonic() - exchange.received, 1e-6)
        )
        if self.options.log_prompts:
            line.text = text

    async def drain(self) -> bool:
        """Takes nothing new, and finishes what was taken; whether it was in time.

        What is on its way to the queue was taken, too.
        """
        self.is_draining = True
        if self.backend is None:
            return True
        deadline = time.monotonic() + self.options.drain_timeout
        while self._coming and time.monotonic() < deadline:
            await asyncio.sleep(_DRAIN_SECONDS)
        return await self.backend.scheduler.drain(max(0.0, deadline - time.monotonic()))

    def _stats(self) -> Stats | None:
        return None if self.backend is None else self.backend.scheduler.stats()
