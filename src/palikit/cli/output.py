"""Where answers go: standard output, or a file that survives an interrupted run."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePath
from typing import Any, Protocol, Self

import click

from palikit.batch import OutputFile, Question, Settings
from palikit.cli.command import is_terminal, visible
from palikit.cli.options import RunOptions
from palikit.errors import InputError
from palikit.options import RecordFormat
from palikit.prediction import Prediction
from palikit.records import Layout

_FORMATS: dict[str, tuple[RecordFormat, ...]] = {
    ".json": ("json", "coco"),
    ".jsonl": ("jsonl",),
    ".csv": ("csv",),
    ".txt": ("text",),
}
"""What a file of an ending can hold; the first where --format says nothing."""


class Output(Protocol):
    """Takes answers as they finish."""

    @property
    def earlier(self) -> Mapping[str, Prediction[Any]]:
        """The answers of the run that this one goes on with, by `input_key`."""

    def add(self, prediction: Prediction[Any]) -> None:
        """One finished answer."""

    def end(self, names: Sequence[str], *, is_whole: bool, has_failures: bool) -> None:
        """The run is over, whether or not every input was tried."""


class StandardOutput:
    """Answers on standard output: as they finish, or together at the end, whatever the end is."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._collected: list[Prediction[Any]] = []
        self._has_begun = False
        self.earlier: Mapping[str, Prediction[Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""

    def add(self, prediction: Prediction[Any]) -> None:
        """Prints the answer, or keeps it where the format needs all of them."""
        if self._layout.is_streamed:
            self._begin()
            lines = self._layout.one(prediction)
            is_read = self._layout.format != "jsonl" and is_terminal(sys.stdout)
            # In colour, or click would take escape sequences out of what goes to a file.
            click.echo(visible(lines) if is_read else lines, nl=False, color=True)
        else:
            self._collected.append(prediction)

    def end(self, names: Sequence[str], *, is_whole: bool, has_failures: bool) -> None:
        """Prints what was kept: after an interruption, what was finished before it."""
        if self._layout.is_streamed:
            if is_whole:
                self._begin()
        elif self._collected or (is_whole and self._layout.many):
            click.echo(self._layout.whole(self._collected), nl=False)

    def _begin(self) -> None:
        if not self._has_begun:
            click.echo(self._layout.head(), nl=False)
        self._has_begun = True


def format_of(options: RunOptions) -> RecordFormat:
    """The format asked for, else the one the ending of --output names, else text.

    Raises:
        InputError: the ending is of another format, or of none that is known.
    """
    suffix = PurePath(options.output or "").suffix.lower()
    known = _FORMATS.get(suffix)
    if options.format is None:
        if suffix and known is None:
            raise InputError(
                f"--output {options.output}: no format ends in {suffix}; end it in "
                f"{', '.join(_FORMATS)}, or say which one is meant with --format"
            )
        return known[0] if known else "text"
    if known is not None and options.format not in known:
        raise InputError(
            f"--output {options.output} ends like {known[0]} and --format is {options.format}: "
            "change one of them"
        )
    return options.format


def open_output(
    options: RunOptions, layout: Layout, question: Question, model: str, settings: Settings
) -> AbstractContextManager[StandardOutput | OutputFile]:
    """The place that --output names; "-" and none are standard output.

    Raises:
        InputError: as of `OutputFile`.
    """
    if options.output_file is None:
        return StandardOutput(layout)
    return OutputFile(
        Path(options.output_file),
        question,
        model,
        settings,
        layout=layout,
        overwrite=options.overwrite,
    )
