"""Work done in threads before its turn: results in order, and only so many of them waiting.

Threads suit what lets other threads run meanwhile, as the decoding and resizing of pictures does.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from itertools import chain, islice
from queue import SimpleQueue
from threading import Barrier, Thread
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

MAX_THREADS = 4
"""More would take time from the model that the work is for, where both run on the same cores."""

_GRACE_S = 2.0
"""Seconds that an interrupted caller waits for work in progress, such as a slow download."""


def mapped_ahead(
    work: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    *,
    ahead: int,
    weigh: Callable[[ItemT], int] = lambda _: 1,
) -> Generator[ResultT]:
    """What `work` makes of each item, in order, begun before it is asked for.

    Items are taken in the caller's thread, from the one that is asked for on as long as they weigh
    less than `ahead` together, and two at least. A single item is worked on there, too, without
    any thread. What `work` raises is raised in its item's place. When the iterator is used up or
    closed, no thread is left, except one whose work has not come to its end within two seconds: it
    holds up nothing.
    """
    rest = iter(items)
    first = list(islice(rest, 2))
    if len(first) < 2:
        yield from map(work, first)
        return
    rest = chain(first, rest)
    workers = Workers(work, min(ahead, MAX_THREADS, os.cpu_count() or 1))
    waiting: deque[tuple[Future[ResultT], int]] = deque()
    try:
        while True:
            while len(waiting) < 2 or sum(weight for _, weight in waiting) < ahead:
                if not (more := list(islice(rest, 1))):
                    break
                waiting.append((workers.submit(more[0]), weigh(more[0])))
            if not waiting:
                return
            yield waiting.popleft()[0].result()
    finally:
        for future, _ in waiting:
            future.cancel()
        workers.close()


class Workers(Generic[ItemT, ResultT]):
    """Threads that take items from one queue, in order.

    An executor's threads would be waited for at the end of the program, even after Ctrl-C.

    Each computes its tensors by itself. OpenMP keeps a team of threads for every thread that ever
    shared its work out; once they are more than the processors, none stays awake for the next
    piece of work any more, and a small model takes twice as long for a token.
    """

    def __init__(self, work: Callable[[ItemT], ResultT], number: int) -> None:
        self._jobs: SimpleQueue[tuple[ItemT, Future[ResultT]] | None] = SimpleQueue()
        torch, begun = sys.modules.get("torch"), Barrier(number + 1)

        def run() -> None:
            if torch is not None:
                torch.get_num_threads()  # or the first product would ask for the common number
                torch.set_num_threads(1)
            begun.wait()
            _run(work, self._jobs)

        self._threads = [
            Thread(target=run, name="palikit-ahead", daemon=True) for _ in range(number)
        ]
        threads = 0 if torch is None else torch.get_num_threads()
        for thread in self._threads:
            thread.start()
        begun.wait()
        if torch is not None:  # it is each thread's own number, and that of threads to come
            torch.set_num_threads(threads)

    def submit(self, item: ItemT) -> Future[ResultT]:
        """Puts an item at the end of the queue."""
        future: Future[ResultT] = Future()
        self._jobs.put((item, future))
        return future

    def close(self) -> None:
        """Ends the threads; what waits in the queue was cancelled and costs nothing."""
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + _GRACE_S
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))


def _run(
    work: Callable[[ItemT], ResultT], jobs: "SimpleQueue[tuple[ItemT, Future[ResultT]] | None]"
) -> None:
    while (job := jobs.get()) is not None:
        item, future = job
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work(item))
            except BaseException as error:  # raised again where the result is taken
                future.set_exception(error)
        del job, item, future  # or what was made would live until the next item comes
