"""How far a run of many inputs has come: on standard error, never among the answers."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from palikit.cli.command import is_terminal, remark

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

INTERVAL_S = 10.0
"""Seconds between two lines of progress where standard error is a file or a pipe."""


class Progress(Protocol):
    """What a run tells while it goes."""

    def advance(self) -> None:
        """One more input is done, well or not."""

    def remark(self, text: str) -> None:
        """A line for the person at the terminal."""


class Silent:
    """No progress; remarks are still shown."""

    def advance(self) -> None:
        """Says nothing."""

    def remark(self, text: str) -> None:
        """One line on standard error."""
        remark(text)


class Lines(Silent):
    """A line now and then, for logs."""

    def __init__(self, total: int | None, done: int, doing: str = "") -> None:
        self._done = done
        self._begin = f"{doing}: " if total is None else ""
        self._end = "" if total is None else f" of {total}"
        self._next = time.monotonic() + INTERVAL_S

    def advance(self) -> None:
        """Counts, and says so when the last line is long enough ago."""
        self._done += 1
        if time.monotonic() >= self._next:
            remark(f"{self._begin}{self._done}{self._end} done")
            self._next = time.monotonic() + INTERVAL_S


class Bar:
    """A bar that stays at the foot of a terminal."""

    def __init__(self, progress: "RichProgress", task: "TaskID") -> None:
        self._progress, self._task = progress, task

    def advance(self) -> None:
        """Moves the bar."""
        self._progress.advance(self._task)

    def remark(self, text: str) -> None:
        """One line above the bar."""
        self._progress.console.print(f"palikit: {text}", markup=False, highlight=False)


@contextmanager
def progress_of(
    total: int | None,
    done: int,
    *,
    is_quiet: bool,
    writes_to_stdout: bool,
    doing: str = "answering",
) -> Iterator[Progress]:
    """The progress that suits where standard error and the answers go.

    Args:
        total: number of inputs; None where nobody knows it yet.
        done: how many of them an earlier run has done.
        is_quiet: no progress.
        writes_to_stdout: whether answers appear there while the run goes; on a terminal they
            would run into the bar, and are progress enough.
        doing: what the bar is called.
    """
    if is_quiet:
        yield Silent()
    elif is_terminal(sys.stderr) and not (writes_to_stdout and is_terminal(sys.stdout)):
        with _bar() as bar:
            yield Bar(bar, bar.add_task(doing, total=total, completed=done))
    else:
        yield Lines(total, done, doing)


def _bar() -> "RichProgress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        # Left alone: rich would lead standard output to the bar's own stream.
        redirect_stdout=False,
        redirect_stderr=False,
    )
