"""Answers in a file, of which none that is finished is lost, whatever ends the run.

Every answer is appended to a journal, one JSON line each, as soon as it is there. The journal of
FILE is FILE itself for JSON lines and FILE.partial.jsonl for any other format; that is turned into
FILE in one step at the end, and removed. A run that finds a journal goes on where it stopped.
"""

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from palikit.batch.question import Question
from palikit.errors import InputError
from palikit.prediction import Prediction
from palikit.records import json_line, prediction_from_dict

PARTIAL = ".partial.jsonl"
"""Added to the name of a file for the journal of what is finished."""

ENCODING, ON_ERROR = "utf-8", "backslashreplace"
"""Names of files need not be text; what UTF-8 cannot hold becomes \\udcXX, which JSON reads."""


class OutputFile:
    """A file of answers while it is being made.

    Args:
        file: the name of the finished file.
        question: what is asked.
        model: the name of the model that is asked.
        render: turns all answers into the text of the file; None where the file is its own
            journal, that is JSON lines.
        overwrite: begin anew, whatever is there.

    Attributes:
        file: the name of the finished file.
        answers: what is finished, by input.
        resumed: whether there was a journal.

    Raises:
        InputError: the file exists and `overwrite` is not set, its journal holds other things or
            answers to another question, or it cannot be written.
    """

    def __init__(
        self,
        file: Path,
        question: Question,
        model: str,
        *,
        render: Callable[[Sequence[Prediction[Any]]], str] | None,
        overwrite: bool,
    ) -> None:
        self.file = file.resolve()  # a link is written through, not replaced
        self._render = render
        self._journal = self.file.with_name(self.file.name + PARTIAL) if render else self.file
        with _writing(self.file):
            self.resumed = self._journal.exists() and not overwrite
            self._check_place(overwrite=overwrite)
            self.answers = self._read(question, model) if self.resumed else {}
            self._stream = self._journal.open("ab")  # also to know that it can be written
        self._is_old = not self.resumed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the journal; one without any answer is not left behind."""
        with suppress(OSError):
            self._stream.close()
        with suppress(OSError):
            if not self._journal.stat().st_size:
                self._journal.unlink()

    @property
    def answered(self) -> Collection[str]:
        """Names of the inputs that have an answer, those of an interrupted run included."""
        return self.answers.keys()

    def add(self, prediction: Prediction[Any]) -> None:
        """Append one answer; when this returns, it outlives this program."""
        with _writing(self.file):
            self._drop_old()
            self._stream.write(json_line(prediction).encode(ENCODING, ON_ERROR))
            self._stream.flush()
        self.answers[prediction.input] = prediction

    def end(self, names: Sequence[str], *, is_whole: bool, has_failures: bool) -> None:
        """Make the file of all answers, in the order of `names`, if the run came to its end.

        Args:
            names: of the inputs; answers about others, of an earlier run, come after them.
            is_whole: every input was tried; if not, the journal is left for the next run.
            has_failures: some input has no answer, so that the next run shall try it again.
        """
        if not is_whole:
            return
        with _writing(self.file):
            self._drop_old()
        if self._render is None:
            return
        place = {name: position for position, name in enumerate(names)}
        answers = sorted(self.answers.values(), key=lambda each: place.get(each.input, len(place)))
        with _writing(self.file):
            _replace(self.file, self._render(answers))
            if not has_failures:
                self._stream.close()
                self._journal.unlink()

    def _drop_old(self) -> None:
        """What is overwritten goes when there is something to take its place, not before."""
        if self._is_old:
            self._stream.truncate(0)
            self._is_old = False

    def _check_place(self, *, overwrite: bool) -> None:
        if self.file.exists() and not self.file.is_file():
            raise InputError(f"{self.file} is not a regular file: give --output another name")
        is_finished = self.file.exists() and self.file.stat().st_size > 0 and not self.resumed
        if is_finished and not overwrite:
            raise InputError(f"{self.file} exists: give --output another name, or --overwrite it")

    def _read(self, question: Question, model: str) -> dict[str, Prediction[Any]]:
        whole, _, half = self._journal.read_bytes().rpartition(b"\n")
        if half:  # a run was killed while writing: that line's input is asked again
            os.truncate(self._journal, len(whole) + 1 if whole else 0)
        answers = [_answer(line, n, self._journal) for n, line in _lines(whole)]
        for answer in answers:
            if not question.is_answered_by(answer, model):
                raise InputError(
                    f"{self._journal} holds answers of {answer.model} to {answer.task} "
                    f"{answer.prompt!r}, another question than this one: give --output another "
                    "name, or --overwrite it"
                )
        return {answer.input: answer for answer in answers}


def _lines(whole: bytes) -> Iterator[tuple[int, bytes]]:
    return ((n, line) for n, line in enumerate(whole.split(b"\n"), start=1) if line.strip())


def _answer(line: bytes, number: int, journal: Path) -> Prediction[Any]:
    try:
        record = json.loads(line)
        if isinstance(record, Mapping):
            return prediction_from_dict(record)
    except (ValueError, KeyError, TypeError, InputError):
        pass
    raise InputError(
        f"line {number} of {journal} is no answer of PaliKit: give --output another name, or "
        "--overwrite it"
    )


def _replace(file: Path, text: str) -> None:
    """Write a file so that its name holds the old content or the new one, never a part of it."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding=ENCODING, errors=ON_ERROR, newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
