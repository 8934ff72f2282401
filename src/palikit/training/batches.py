"""The batches of a run, prepared by threads while the step before them is computed."""

import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing import get_all_start_methods, get_context

import torch

from palikit.errors import InputError, PaliKitError
from palikit.model.inputs import ModelInputs
from palikit.processor import Processor, Query
from palikit.train_options import LossOptions, TrainOptions
from palikit.training.examples import Examples, Mixture, query_at
from palikit.training.loss import loss_count


@dataclass(frozen=True, eq=False)
class Batch:
    """What one process computes in one step.

    Attributes:
        step: from 0.
        parts: computed one after the other; their gradients add up.
        count: what the loss of this process's parts is a sum over: examples or suffix tokens.
        pictures: how many are looked at.
        tokens: of text, without padding.
    """

    step: int
    parts: tuple[ModelInputs, ...]
    count: int
    pictures: int
    tokens: int


@dataclass(frozen=True)
class Batches:
    """All batches of a run; that of a step is a pure function of the seed and the step.

    Attributes:
        source: the examples.
        processor: turns them into tensors.
        options: of the run.
        loss: how the loss is averaged.
        rank: number of this process, from 0.
        processes: how many there are; each takes an equal stretch of the batch.
        pin: keep the tensors where a GPU can fetch them by itself.
    """

    source: Examples | Mixture
    processor: Processor
    options: TrainOptions
    loss: LossOptions
    rank: int = 0
    processes: int = 1
    pin: bool = False

    def __post_init__(self) -> None:
        size, parts = self.options.batch_size, self.processes * self.options.accumulation
        if size % parts:
            raise InputError(
                f"batch_size is {size}: it must be a multiple of {parts}, the processes times the "
                "parts that each computes"
            )

    def at(self, step: int) -> Batch:
        """The batch of one step."""
        share = self.options.batch_size // self.processes
        first = step * self.options.batch_size + self.rank * share
        queries = [
            query_at(self.source, position, self.options.seed)
            for position in range(first, first + share)
        ]
        size = share // self.options.accumulation
        parts = [
            self._inputs(same)
            for start in range(0, share, size)
            for same in _by_pictures(queries[start : start + size])
        ]
        return Batch(
            step,
            tuple(parts),
            count=sum(loss_count(inputs, self.loss) for inputs in parts),
            pictures=sum(inputs.image_index.numel() for inputs in parts),
            tokens=sum(int(inputs.lengths.sum()) for inputs in parts),
        )

    def between(self, first: int, end: int) -> Generator[Batch, None, None]:
        """The batches of steps first .. end - 1 in order, the next ones being prepared meanwhile.

        An error in a batch is raised when its turn comes.

        Raises:
            PaliKitError: a process that prepared them was ended from outside.
        """
        if not self.options.num_workers:
            yield from map(self._ready, range(first, end))
            return
        try:
            yield from self._by_workers(first, end)
        except BrokenExecutor:
            raise PaliKitError(
                "a process that prepared batches was ended from outside, most often for want of "
                "memory: run the same command with --resume and a lower num_workers, or without "
                "worker_processes"
            ) from None

    def _by_workers(self, first: int, end: int) -> Generator[Batch, None, None]:
        workers = self.options.num_workers
        waiting: deque[Future[Batch]] = deque()
        with closing(_Workers(self, workers)) as pool:
            for step in range(first, end):
                waiting.append(pool.submit(step))
                if len(waiting) > workers:
                    yield self._pinned(waiting.popleft().result())
            while waiting:
                yield self._pinned(waiting.popleft().result())

    def _ready(self, step: int) -> Batch:
        return self._pinned(self.at(step))

    def _pinned(self, batch: Batch) -> Batch:
        if not self.pin:
            return batch
        return replace(batch, parts=tuple(_moved(inputs, None) for inputs in batch.parts))

    def _inputs(self, queries: Sequence[Query]) -> ModelInputs:
        inputs = self.processor(queries)
        longest = int(inputs.lengths.max())
        if longest > self.options.max_text_tokens:
            query = queries[int(inputs.lengths.argmax())]
            raise InputError(
                f"the example {query.prompt[:60]!r} -> {str(query.suffix)[:60]!r} has {longest} "
                f"tokens of text, more than max_text_tokens, {self.options.max_text_tokens}: "
                "raise it, or leave the example out"
            )
        return inputs


class _Workers:
    """Threads or processes that prepare batches."""

    def __init__(self, batches: Batches, number: int) -> None:
        self._at: Callable[[int], Batch]
        if batches.options.worker_processes:
            # Where it exists, a fork needs no copy of the examples; the children use no GPU.
            method = "fork" if "fork" in get_all_start_methods() else None
            self._pool: Executor = ProcessPoolExecutor(
                number, get_context(method), initializer=_take, initargs=(batches,)
            )
            self._at = _batch_at
        else:
            self._pool = ThreadPoolExecutor(number, thread_name_prefix="palikit-batches")
            self._at = batches.at

    def submit(self, step: int) -> Future[Batch]:
        return self._pool.submit(self._at, step)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


_taken: list[Batches] = []
"""In a process that prepares batches: which."""


def _take(batches: Batches) -> None:
    # Ctrl-C is for the process that trains, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    _taken[:] = [batches]


def _batch_at(step: int) -> Batch:
    return _taken[0].at(step)


def to_device(inputs: ModelInputs, device: torch.device) -> ModelInputs:
    """The batch on the device, copied while the host goes on where its memory is pinned."""
    return _moved(inputs, device)


def _moved(inputs: ModelInputs, device: torch.device | None) -> ModelInputs:
    """On the device; or pinned, for None."""

    def move(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.pin_memory() if device is None else tensor.to(device, non_blocking=True)

    return replace(
        inputs,
        pixel_values=move(inputs.pixel_values),
        image_index=move(inputs.image_index),
        input_ids=move(inputs.input_ids),
        prefix_lengths=move(inputs.prefix_lengths),
        lengths=move(inputs.lengths),
    )


def _by_pictures(queries: Sequence[Query]) -> list[list[Query]]:
    """Queries of the same number of pictures together, for only such make one tensor."""
    groups: dict[int, list[Query]] = {}
    for query in queries:
        groups.setdefault(len(query.pictures), []).append(query)
    return list(groups.values())
