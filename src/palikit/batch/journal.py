"""Answers in a file, of which none that is finished is lost, whatever ends the run.

Every answer is appended to a journal, one JSON line each, as soon as it is there. The journal of
FILE is FILE itself for JSON lines and FILE.partial.jsonl for any other format; that is turned into
FILE in one step at the end, and removed. A run that finds a journal goes on where it stopped.

The options that the answers were made with stand beside the journal, in .FILE.options.json, as long
as there is one: JSON lines can be extended at any time, and by the same options only.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

from palikit.batch.finished import finished_record
from palikit.batch.question import Question
from palikit.batch.settings import Settings, read_settings
from palikit.batch.sources import input_key
from palikit.errors import InputError
from palikit.prediction import Prediction
from palikit.records import json_line, prediction_from_dict

PARTIAL = ".partial.jsonl"
"""Added to the name of a file for the journal of what is finished."""

ENCODING, ON_ERROR = "utf-8", "backslashreplace"
"""Names of files need not be text; what UTF-8 cannot hold becomes \\udcXX, which JSON reads."""


class FileLayout(Protocol):
    """How all answers become the content of a file: a `Layout`, or what does as it does."""

    @property
    def format(self) -> str:
        """Its name; "jsonl" is a line an answer, which is its own journal."""

    def whole(self, predictions: Sequence[Prediction[Any]]) -> str | bytes:
        """All answers."""


class OutputFile:
    """A file of answers while it is being made.

    Args:
        file: the name of the finished file.
        question: what is asked.
        model: the name of the model that is asked.
        settings: the options that it is asked with.
        layout: how all answers become the content of the file; JSON lines are their own journal.
        overwrite: begin anew, whatever is there.

    Attributes:
        file: the name of the finished file.
        answers: what is finished, by `input_key`.
        earlier: what of it an earlier run has finished.

    Raises:
        InputError: the file exists and `overwrite` is not set, its journal holds other things,
            answers to another question or made with other options, another run is writing it, or
            it cannot be written.
    """

    def __init__(
        self,
        file: Path,
        question: Question,
        model: str,
        settings: Settings,
        *,
        layout: FileLayout,
        overwrite: bool,
    ) -> None:
        self.file = file.resolve()  # a link is written through, not replaced
        self._question, self._model, self._settings = question, model, settings
        self._layout = layout
        is_journal = layout.format == "jsonl"
        self._settings_file = self.file.with_name(f".{self.file.name}.options.json")
        self._journal = self.file if is_journal else self.file.with_name(self.file.name + PARTIAL)
        with writing(self.file):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            is_resumed = self._journal.exists() and not overwrite
            self._check_place(is_free=overwrite or is_resumed)
            self._stream = self._journal.open("ab")  # also to know that it can be written
            try:
                lock(self._stream, self._journal, self.file)
                self.earlier = self._read(question, model) if is_resumed else {}
            except BaseException:
                self._stream.close()
                raise
        self.answers = dict(self.earlier)
        self._has_begun = bool(self.earlier)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the journal; one without any answer is not left behind."""
        with suppress(OSError):
            if not self._journal.stat().st_size:
                self._discard()
        with suppress(OSError):
            self._stream.close()

    def add(self, prediction: Prediction[Any]) -> None:
        """Append one answer; when this returns, it outlives this program."""
        with writing(self.file):
            self._begin()
            self._stream.write(json_line(prediction).encode(ENCODING, ON_ERROR))
            self._stream.flush()
        self.answers[input_key(prediction.input)] = prediction

    def end(self, names: Sequence[str], *, is_whole: bool, has_failures: bool) -> None:
        """Make the file of all answers, in the order of `names`, if the run came to its end.

        Args:
            names: of the inputs; answers about others, of an earlier run, come after them.
            is_whole: every input was tried; if not, the journal is left for the next run.
            has_failures: some input has no answer, so that the next run shall try it again.
        """
        if not is_whole or not self.answers:  # of failures alone there is nothing to write
            return
        with writing(self.file):
            self._begin()
        if self._journal == self.file:
            return
        place = {input_key(name): position for position, name in enumerate(names)}
        keys = sorted(self.answers, key=lambda key: place.get(key, len(place)))
        with writing(self.file):
            replace_file(self.file, self._layout.whole([self.answers[key] for key in keys]))
            if not has_failures:
                self._discard()
                self._write_record()

    def _write_record(self) -> None:
        replace_file(
            *finished_record(
                self.file,
                self._question,
                self._model,
                self._settings,
                self._layout.format,
                self.answers,
            )
        )

    def _begin(self) -> None:
        """What is overwritten goes when there is something to take its place, not before."""
        if not self._has_begun:
            # In this order, so that no answers ever stand beside the options of others.
            self._stream.truncate(0)
            replace_file(self._settings_file, self._settings.to_json())
            self._has_begun = True

    def _discard(self) -> None:
        if sys.platform == "win32":  # where no open file can be removed; elsewhere it stays locked
            self._stream.close()
        self._journal.unlink()
        self._settings_file.unlink(missing_ok=True)

    def _check_place(self, *, is_free: bool) -> None:
        if self.file.exists() and not self.file.is_file():
            raise InputError(f"{self.file} is not a regular file: give --output another name")
        if not is_free and self.file.exists() and self.file.stat().st_size > 0:
            raise InputError(
                f"{self.file} exists and was not made by this command about these inputs: give "
                "--output another name, or --overwrite it"
            )

    def _read(self, question: Question, model: str) -> dict[str, Prediction[Any]]:
        whole, _, half = self._journal.read_bytes().rpartition(b"\n")
        answers = [_answer(line, n, self._journal) for n, line in _lines(whole)]
        for answer in answers:
            if not question.is_answered_by(answer, model):
                raise InputError(
                    f"{self._journal} holds answers of {answer.model} to {answer.task} "
                    f"{answer.prompt!r}, another question than this one: give --output another "
                    "name, or --overwrite it"
                )
        if answers or half:
            self._check_settings()
        if half:  # a run was killed while writing: that line's input is asked again
            os.truncate(self._journal, len(whole) + 1 if whole else 0)
        return {input_key(answer.input): answer for answer in answers}

    def _check_settings(self) -> None:
        earlier = read_settings(self._settings_file)
        if earlier is None:
            raise InputError(
                f"{self._journal} holds answers, and {self._settings_file.name} beside it does not "
                "say with which options they were made: give --output another name, or --overwrite "
                "it"
            )
        if differences := self._settings.differences(earlier):
            raise InputError(
                f"{self._journal} holds answers made with other options "
                f"({'; '.join(differences)}): use the same again, give --output another name, or "
                "--overwrite it"
            )


def lock(stream: BinaryIO, journal: Path, file: Path) -> None:
    """Keeps a journal for this run until the stream is closed, where there are such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The other run may have ended, and removed the journal, since it was opened here.
        is_taken = not os.path.samestat(os.fstat(stream.fileno()), journal.stat())
    except (BlockingIOError, FileNotFoundError):
        is_taken = True
    except OSError:  # a file system without locks
        return
    if is_taken:
        raise InputError(f"another run is writing {file}: wait for it, or give another --output")


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


def replace_file(file: Path, content: str | bytes) -> None:
    """Write a file so that its name holds the old content or the new one, never a part of it."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    data = content.encode(ENCODING, ON_ERROR) if isinstance(content, str) else content
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Tells what goes wrong inside as an InputError that names the file."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
