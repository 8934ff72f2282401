"""Continuous batching: one thread has the model, and jobs join and leave while it decodes.

    event loop       submit -> waiting line (bounded, in order of arrival)
    threads          pictures resized and hashed, prompts tokenised, a little ahead of their turn
    model's thread   between two steps: who is unwanted or late leaves; one group is read and joins;
                     then a step of all rows that run; who has ended leaves at once
    a thread         texts into typed answers, masks decoded
    event loop       pieces and results, as the tickets have them

A beam search has no place in a batch of rows that come and go, and would hold all of them up by
itself: it is refused.
"""

import asyncio
import math
import os
import time
from threading import Thread
from typing import Any

import torch

from palikit.ahead import MAX_THREADS, Workers
from palikit.errors import InputError, PaliKitError
from palikit.generation import Generation
from palikit.options import ServeOptions
from palikit.prediction import Prediction
from palikit.predictor import Predictor
from palikit.serving.counts import Counts, Pace
from palikit.serving.entries import Entry, Ready
from palikit.serving.features import FeatureCache, digests_of
from palikit.serving.jobs import DrainingError, Job, Stats
from palikit.serving.runner import Runner, as_told
from palikit.serving.tickets import LoopTicket
from palikit.serving.waiting import WaitingLine

IMAGE_CACHE_BYTES = 2**28
"""Features of some two hundred pictures at 224 px of the 3B in bfloat16."""

_MEMORY_SHARE = 8
"""Keys and values take at most one part in this many of a device's memory."""

_COMMON_MEMORY = 2**33
"""Where the system does not say how much it has."""

_CHECK_SECONDS = 0.2
"""How often the model's thread looks for late jobs while none is ready."""

_GATHER_SECONDS = 0.08
"""Between two readings of prompts while rows run, unless `_COMPANY` of them can be read: a small
model reads some together in little more time than one. One that takes seconds is not held up.
"""

_COMPANY = 6
"""Or as many as run, if they are fewer."""

_DRAIN_SECONDS = 0.01
_CLOSE_SECONDS = 5.0


class Scheduler:
    """Answers jobs together; what it answers is what each would get alone.

    Args:
        predictor: the model; nobody else may use it meanwhile.
        name: what clients call it; by default its own name.
        max_queue: jobs that may wait.
        max_batch: rows decoded together at most.
        image_cache_bytes: for features of pictures that may be asked about again; 0 for none.
        cache_bytes: for keys and values, see `RunningBatch`; by default an eighth of the device's
            memory.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        name: str | None = None,
        max_queue: int = 64,
        max_batch: int = 16,
        image_cache_bytes: int = IMAGE_CACHE_BYTES,
        cache_bytes: int | None = None,
    ) -> None:
        self._predictor = predictor
        self._engine = predictor.engine
        self._name = name or predictor.name
        self._counts, self._pace = Counts(), Pace()
        self._features = FeatureCache(image_cache_bytes)
        self._runner = Runner(
            predictor.engine,
            self._features,
            self._counts,
            written=self._hand_over,
            failed=self._end,
            max_rows=max_batch,
            max_bytes=cache_bytes or _memory(predictor.model.device) // _MEMORY_SHARE,
        )
        threads = min(MAX_THREADS, os.cpu_count() or 1)
        self._preparers = Workers(self._prepare, threads)
        self._readers = Workers(self._read, 1)
        picture_bytes = 3 * predictor.processor.image_size**2 * torch.float32.itemsize
        self._line = WaitingLine(max_queue, picture_bytes, self._preparers.submit)
        self._changed = self._line.changed
        self._in_hand: set[Entry] = set()
        self._is_draining = self._is_closed = False
        self._last_read = -math.inf
        self._thread = Thread(target=self._work, name="palikit-model", daemon=True)
        self._thread.start()

    @classmethod
    def bounded(cls, predictor: Predictor, name: str, options: ServeOptions) -> "Scheduler":
        """One with the bounds of a server."""
        return cls(
            predictor,
            name=name,
            max_queue=options.max_queue,
            max_batch=options.max_batch,
            image_cache_bytes=options.image_cache_mib * 2**20,
        )

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

    def submit(self, job: Job) -> LoopTicket:
        """Take a job; never blocks. To be called in the event loop that will wait for it.

        Raises:
            OverloadedError: the queue is full.
            DrainingError: nothing new is taken.
        """
        entry = Entry(job, LoopTicket())
        with self._changed:
            self._check_open()
            if job.options.num_beams == 1:
                self._line.put(entry, self._pace.seconds)
            if not self._in_hand:
                self._pace.begin()
            self._in_hand.add(entry)
        if job.options.num_beams > 1:
            self._end(entry, _no_beams(job))
        return entry.ticket

    def check_room(self, coming: int) -> None:
        """See whether a job could be taken after `coming` others; raises what `submit` would."""
        with self._changed:
            self._check_open()
            self._line.check_room(coming, self._pace.seconds)

    def stats(self) -> Stats:
        """How things are."""
        counts, features = self._counts, self._features
        with self._changed:
            waiting = len(self._line) + len(self._runner.alone)
        return Stats(
            queue_depth=waiting,
            running=len(self._runner.running),
            batches=tuple(sorted(counts.batches.copy().items())),
            image_cache_hits=features.hits,
            image_cache_misses=features.misses,
            image_cache_bytes=features.nbytes,
            prompt_tokens=counts.prompt_tokens,
            completion_tokens=counts.completion_tokens,
            prefill_seconds=counts.prefill_seconds,
            decode_seconds=counts.decode_seconds,
            first_tokens=counts.first_tokens,
            first_token_seconds=counts.first_token_seconds,
        )

    async def drain(self, timeout: float = math.inf) -> bool:
        """Take nothing new and finish what was taken; whether all of it was, in `timeout` seconds.

        What is cancelled counts as finished.
        """
        with self._changed:
            self._is_draining = True
        deadline = time.monotonic() + timeout
        while self._in_hand and time.monotonic() < deadline:
            await asyncio.sleep(_DRAIN_SECONDS)
        return not self._in_hand

    def close(self) -> None:
        """Stop at once: jobs in hand fail, and the threads end. May be called twice; blocks."""
        with self._changed:
            self._is_draining = self._is_closed = True
            self._changed.notify_all()
            left = list(self._in_hand)
        for entry in left:
            self._end(entry, DrainingError("the server has stopped"))
        self._thread.join(_CLOSE_SECONDS)
        self._preparers.close()
        self._readers.close()

    def _check_open(self) -> None:
        if self._is_draining:
            raise DrainingError("the server is stopping: ask another one, or later")

    def _work(self) -> None:
        """The model's thread. Nothing that is raised in it ends it."""
        while self._wait():
            try:
                self._turn()
            except Exception as error:
                self._runner.give_up(error)

    def _wait(self) -> bool:
        """Until there is something to do; False when the scheduler is closed."""
        with self._changed:
            while not self._is_closed and self._runner.is_idle and not self._line.num_ready:
                self._changed.wait(None if self._line.is_empty else _CHECK_SECONDS)
                self._stop_unwanted()
            return not self._is_closed

    def _turn(self) -> None:
        runner = self._runner
        self._stop_unwanted()
        if not runner.is_taking:
            runner.retry()
        elif self._may_read() and (group := self._line.take(runner.fits)):
            runner.join(group)
            self._last_read = time.monotonic()
        runner.step()

    def _may_read(self) -> bool:
        """Whether prompts are read now, and not with others that come a little later."""
        running = len(self._runner.running)
        together = min(self._line.num_ready, self._runner.num_free)
        return (
            together >= min(_COMPANY, running)
            or time.monotonic() - self._last_read >= _GATHER_SECONDS
        )

    def _stop_unwanted(self) -> None:
        """Cancelled and late jobs leave, whether they wait or run."""
        now = time.monotonic()

        def reason(entry: Entry) -> PaliKitError | None:
            return entry.reason_to_stop(now)

        for entry in self._line.remove(lambda entry: reason(entry) is not None):
            self._end(entry, reason(entry) or DrainingError("the server has stopped"))
        self._runner.stop(reason)

    def _prepare(self, entry: Entry) -> None:
        """In a thread: all that does not need the model."""
        request = entry.job.request
        try:
            prepared = self._engine.prepare(request)
            ready = Ready(prepared, digests_of(prepared), self._engine.grammar(request.task))
        except Exception as error:
            self._line.remove(lambda each: each is entry)
            self._end(entry, as_told(error))
            return
        with self._changed:
            entry.ready = ready
            self._changed.notify_all()

    def _hand_over(self, entry: Entry, generation: Generation) -> None:
        self._readers.submit((entry, generation))

    def _read(self, written: tuple[Entry, Generation]) -> None:
        """In a thread: the typed answer."""
        entry, generation = written
        outcome: Prediction[Any] | Exception
        try:
            outcome = self._engine.read(entry.job.request, generation)
        except Exception as error:
            outcome = as_told(error)
        self._end(entry, outcome)

    def _end(self, entry: Entry, outcome: Prediction[Any] | Exception) -> None:
        """Tell whoever waits, once."""
        with self._changed:
            if entry not in self._in_hand:
                return
            self._in_hand.discard(entry)
            self._pace.ended()
        entry.ticket.end(outcome)


def _no_beams(job: Job) -> InputError:
    return InputError(
        f"num_beams is {job.options.num_beams}: a server decodes greedily or samples; leave "
        "num_beams at 1, or ask the model directly"
    )


def _memory(device: torch.device) -> int:
    """Bytes of a device's memory."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        return _COMMON_MEMORY
