"""Ctrl-C between steps, and validations that get no better."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from palikit.scores import Scores
from palikit.train_options import TrainOptions
from palikit.training.state import RunState


class Stopped(BaseException):
    """What goes on for long is given up, for the run is to end; no error."""


class StopSignal:
    """Inside the block, the first SIGINT or SIGTERM sets `is_set`; the second SIGINT raises.

    Signals reach the main thread of a program only; in any other, nothing is changed.
    """

    is_set = False
    _is_at_once = False

    def __enter__(self) -> "StopSignal":
        self._earlier = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._earlier[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside the block, the first signal raises, too, or did before it.

        Raises:
            Stopped: there was one.
        """
        self._is_at_once = True
        try:
            if self.is_set:
                raise Stopped
            yield
        finally:
            self._is_at_once = False

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self.is_set and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.is_set = True
        if self._is_at_once:
            self._is_at_once = False  # the block ends here, also where it was about to
            raise Stopped


def deciding_figure(scores: Scores, options: TrainOptions) -> tuple[str, float, bool]:
    """Name, value, and whether higher is better, of what decides which model is best.

    Raises:
        InputError: validation has no such figure.
    """
    if options.metric is None:
        return scores.main, scores.figure(scores.main), scores.higher_is_better
    name = options.metric.removeprefix("-")
    return name, scores.figure(name), name == options.metric


def after_validation(state: RunState, scores: Scores, options: TrainOptions) -> RunState:
    """Where the run stands after a validation at its step.

    Of equally good models the later one is the best: it has seen more. But for stopping early,
    equally good is no better. Anything is better than a figure that is no number, or than that of
    another metric, which a resumed run may have.
    """
    name, value, higher_is_better = deciding_figure(scores, options)
    metric = options.metric or name
    best = state.best if state.metric in (None, metric) else None
    if best is None or math.isnan(best):
        gain = math.inf
    else:
        gain = value - best if higher_is_better else best - value
    if gain >= 0:
        state = replace(state, best=value, best_step=state.step)
    without = 0 if gain > 0 else state.without_better + 1
    return replace(state, validated=state.step, without_better=without, metric=metric)
