"""How far a training has come: a bar at a terminal, lines in a log; always on standard error."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from palikit.cli.command import is_terminal, remark
from palikit.cli.progress import INTERVAL_S

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from palikit.training import StepFigures


class TrainingProgress(Protocol):
    """What a training tells while it goes."""

    def step(self, figures: "StepFigures") -> None:
        """One more step is done."""

    def validation(self, done: int, total: int) -> None:
        """One more row of a validation is answered."""

    def remark(self, text: str) -> None:
        """A sentence for the person at the terminal."""


class TrainingLines:
    """A line now and then, and one for the last step."""

    def __init__(self) -> None:
        self._next = 0.0
        self._first: tuple[int, float] | None = None

    def step(self, figures: "StepFigures") -> None:
        """Says so when the last line is long enough ago."""
        now = time.monotonic()
        if self._first is None:
            self._first = figures.step, now
        if now >= self._next or figures.step == figures.steps:
            left = self._left(figures, now)
            remark(f"step {figures.step} of {figures.steps}: {_shown(figures)}{left}")
            self._next = now + INTERVAL_S

    def _left(self, figures: "StepFigures", now: float) -> str:
        """The time that is left if it goes on as it went in this process, validations included."""
        step, since = self._first or (figures.step, now)
        if figures.step in (step, figures.steps):
            return ""
        seconds = (now - since) / (figures.step - step) * (figures.steps - figures.step)
        return f", {timedelta(seconds=round(seconds))} left"

    def validation(self, done: int, total: int) -> None:
        """As `step`."""
        if time.monotonic() >= self._next:
            remark(f"validation: {done} of {total} answered")
            self._next = time.monotonic() + INTERVAL_S

    def remark(self, text: str) -> None:
        """One line."""
        remark(text)


class TrainingBar:
    """A bar for the steps with their figures below, and one for a validation while it goes."""

    def __init__(self, progress: "RichProgress") -> None:
        self._progress = progress
        self._steps = progress.add_task("training", total=None)
        self._rows = progress.add_task("validation", visible=False)

    def step(self, figures: "StepFigures") -> None:
        """Moves the bar."""
        self._progress.update(self._rows, visible=False)
        self._progress.update(
            self._steps, total=figures.steps, completed=figures.step, figures=_shown(figures)
        )

    def validation(self, done: int, total: int) -> None:
        """Moves the second bar."""
        self._progress.update(self._rows, visible=True, completed=done, total=total)

    def remark(self, text: str) -> None:
        """One line above the bars."""
        self._progress.console.print(f"palikit: {text}", markup=False, highlight=False)


@contextmanager
def training_progress() -> Iterator[TrainingProgress]:
    """The progress that suits standard error."""
    if not is_terminal(sys.stderr):
        yield TrainingLines()
        return
    with _bars() as progress:
        yield TrainingBar(progress)


def _shown(figures: "StepFigures") -> str:
    memory = "" if figures.memory_mib is None else f", {figures.memory_mib / 1024:.1f} GiB"
    return (
        f"loss {figures.loss:.4f}, learning rate {figures.learning_rate:.2g}, "
        f"{figures.pictures_per_s:.1f} pictures/s{memory}"
    )


def _bars() -> "RichProgress":
    from rich.console import Console, RenderableType
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class WithFigures(Progress):
        """On a line of their own, for beside a bar a narrow terminal has no room for them."""

        def get_renderables(self) -> Iterator[RenderableType]:
            """The bars, and the figures of the latest step."""
            yield self.make_tasks_table(self.tasks)
            yield from (Text(each.fields["figures"]) for each in self.tasks if each.fields)

    return WithFigures(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
        redirect_stderr=False,
    )
