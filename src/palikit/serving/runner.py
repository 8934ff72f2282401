"""What the model's thread does: read prompts in groups, step, hand texts on, bear failures.

A failure must not take more with it than it has to:

    while a group is read       the rows that run are untouched; each of the group is read alone
    in a step of several rows   nobody knows whose fault it was: each is decoded anew, alone
    alone                       that job fails, and no other
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeAlias

from palikit.compute import half_of_the_threads
from palikit.engine import Engine
from palikit.errors import PaliKitError
from palikit.generation import Generation, Row, new_row
from palikit.running_batch import RunningBatch
from palikit.serving.counts import Counts
from palikit.serving.entries import Entry, Ready
from palikit.serving.features import FeatureCache
from palikit.serving.jobs import ModelFailedError

MAX_PREFILL_TOKENS = 2048
"""Image tokens read between two steps, if they are not of one request: the longest that the rows
which run have to wait. 8 pictures at 224 px, 2 at 448 px.
"""

_MANY_ROWS = 4
"""Whose requests keep other threads busy, too: a small model's step then takes no longer with half
of the threads, which wait for each other less.
"""

Written: TypeAlias = Callable[[Entry, Generation], None]
Ended: TypeAlias = Callable[[Entry, Exception], None]


class Runner:
    """A running batch and the jobs in it. Not thread-safe: one thread has it.

    Args:
        engine: the model and what belongs to it.
        features: of pictures that have been encoded.
        counts: to be kept.
        written: takes what has been generated.
        failed: takes a job and why it has no answer.
        max_rows: rows that run at a time.
        max_bytes: of their keys and values.
    """

    def __init__(
        self,
        engine: Engine,
        features: FeatureCache,
        counts: Counts,
        *,
        written: Written,
        failed: Ended,
        max_rows: int,
        max_bytes: int,
    ) -> None:
        self.running: list[Entry] = []
        self.alone: deque[Entry] = deque()
        """Jobs that wait to be decoded again, each by itself."""
        self._engine = engine
        self._features = features
        self._counts = counts
        self._written = written
        self._failed = failed
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._batch = self._empty_batch()

    @property
    def num_free(self) -> int:
        """Rows that could run besides those that do, by their number."""
        return self._max_rows - len(self.running)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do for jobs taken before."""
        return not (self.running or self.alone)

    @property
    def is_taking(self) -> bool:
        """Whether others may join: not where one must be alone."""
        return not self.alone and not any(entry.is_alone for entry in self.running)

    def fits(self, entries: list[Entry]) -> bool:
        """Whether these may join now, as one group."""
        config = self._engine.model.config.vision_config
        num_image = sum(entry.num_pictures for entry in entries) * config.num_image_tokens
        if len(entries) > 1 and num_image > MAX_PREFILL_TOKENS:
            return False
        return self._batch.has_room(len(entries), max(map(self._num_tokens, entries)))

    def join(self, entries: list[Entry]) -> None:
        """Read prompts, whose rows then run along."""
        try:
            self._join(entries)
        except Exception as error:
            if len(entries) == 1:
                self._fail(entries[0], error)
                return
            for entry in entries:
                self.join([entry])

    def retry(self) -> None:
        """Begin with the next job that must be alone, once nobody runs."""
        if self.alone and not self.running:
            self.join([self.alone.popleft()])

    def step(self) -> None:
        """A step of the rows that run, and what it has written to whoever waits for it."""
        if not self.running:
            return
        began = time.monotonic()
        leaves_room = self._engine.is_small and len(self.running) >= _MANY_ROWS
        try:
            with half_of_the_threads() if leaves_room else nullcontext():
                self._batch.step()
        except Exception as error:
            self._recover(error)
            return
        self._counts.decode_seconds += time.monotonic() - began
        self._counts.batches[len(self.running)] += 1
        together, self.running = self.running, []
        for entry in together:
            try:
                has_ended = self._hand_on(entry)
            except Exception as error:
                self._batch.leave([_row(entry)])
                self._fail(entry, error)
                continue
            if not has_ended:
                self.running.append(entry)

    def stop(self, reason: Callable[[Entry], PaliKitError | None]) -> None:
        """Take out the jobs that there is a reason for, which they are told."""
        stopped = [(each, why) for each in (*self.running, *self.alone) if (why := reason(each))]
        if not stopped:
            return
        gone = {id(entry) for entry, _ in stopped}
        self._batch.leave([entry.row for entry, _ in stopped if entry.row is not None])
        self.running = [entry for entry in self.running if id(entry) not in gone]
        self.alone = deque(entry for entry in self.alone if id(entry) not in gone)
        for entry, why in stopped:
            self._count_tokens(entry)
            self._failed(entry, why)

    def give_up(self, error: Exception) -> None:
        """Fail everything in hand."""
        together = [*self.running, *self.alone]
        self.running, self.alone, self._batch = [], deque(), self._empty_batch()
        for entry in together:
            self._fail(entry, error)

    def _join(self, entries: list[Entry]) -> None:
        engine, began = self._engine, time.monotonic()
        each_ready = [_ready(entry) for entry in entries]
        inputs = engine.collate([ready.prepared for ready in each_ready])
        digests: dict[int, bytes] = {}
        for ready in each_ready:
            digests |= ready.digests  # in the order in which `collate` counts pictures
        embeds = self._features.features(engine.model, inputs.pixel_values, list(digests.values()))
        rows = [
            new_row(engine.model, entry.job.options, ready.grammar)
            for entry, ready in zip(entries, each_ready, strict=True)
        ]
        self._batch.join(inputs, rows, embeds)
        for entry, row in zip(entries, rows, strict=True):
            entry.row = row
        self.running += entries
        self._counts.prefill_seconds += time.monotonic() - began
        self._counts.prompt_tokens += sum(map(self._num_prompt_tokens, entries))

    def _hand_on(self, entry: Entry) -> bool:
        """Give out what a step wrote; whether that was the end."""
        row = _row(entry)
        if not entry.has_begun:
            entry.has_begun = True
            self._counts.first_tokens += 1
            self._counts.first_token_seconds += time.monotonic() - entry.taken
        if row.finish_reason is not None:
            self._count_tokens(entry)
            self._written(entry, row.result())
            return True
        if entry.ticket.is_streaming:
            piece = entry.told.piece(row, self._engine.processor.tokenizer.decoder)
            if piece:
                entry.ticket.push(piece)
        return False

    def _recover(self, error: Exception) -> None:
        """The rows of a failed step are of no use, nor is their cache."""
        together, self.running, self._batch = self.running, [], self._empty_batch()
        if len(together) == 1:
            self._fail(together[0], error)
            return
        for entry in together:
            entry.is_alone, entry.row = True, None
            entry.told.start_again()
        self.alone.extend(together)

    def _fail(self, entry: Entry, error: Exception) -> None:
        self._count_tokens(entry)
        self._failed(entry, as_told(error))

    def _count_tokens(self, entry: Entry) -> None:
        if entry.row is not None:
            self._counts.completion_tokens += len(entry.row.tokens)

    def _num_tokens(self, entry: Entry) -> int:
        """That it may come to have, its prompt included."""
        return self._num_prompt_tokens(entry) + entry.job.options.max_new_tokens

    def _num_prompt_tokens(self, entry: Entry) -> int:
        num_image = self._engine.model.config.vision_config.num_image_tokens
        return entry.num_pictures * num_image + len(_ready(entry).prepared.prefix)

    def _empty_batch(self) -> RunningBatch:
        return RunningBatch(self._engine.model, max_rows=self._max_rows, max_bytes=self._max_bytes)


def _ready(entry: Entry) -> Ready:
    if entry.ready is None:
        raise AssertionError("a job was taken before it was ready")
    return entry.ready


def _row(entry: Entry) -> Row:
    if entry.row is None:
        raise AssertionError("a job runs without a row")
    return entry.row


def as_told(error: Exception) -> PaliKitError:
    """What an asker may know: refusals as they are, anything else without its details."""
    if isinstance(error, PaliKitError):
        return error
    failed = ModelFailedError("the model failed on this request")
    failed.__cause__ = error
    return failed
