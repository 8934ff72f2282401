"""The folder of an evaluation while it is being made, of which nothing finished is lost.

    run.json                what is evaluated: model, data, options; until the report is there
    answers.partial.0.jsonl one line an answer as they come, of one process each
    predictions.jsonl       all answers with their scores, in the order of the data
    report.json, report.html, submission.json

A run that finds its own run.json, or its own finished report.json, goes on where it stopped.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from palikit.data.writing import saved_file
from palikit.errors import InputError
from palikit.evaluation.record import line_of, read_line

RUN, REPORT, PREDICTIONS = "run.json", "report.json", "predictions.jsonl"
PAGE, SUBMISSION, COMPARISON = "report.html", "submission.json", "comparison.json"
KIND = "palikit evaluation"
"""What `run.json` and `report.json` say they are."""

_PARTIAL = "answers.partial.{}.jsonl"
_OWN = (RUN, REPORT, PREDICTIONS, PAGE, SUBMISSION)


class AnswerFolder:
    """One evaluation's folder.

    Args:
        path: of the folder.
        identity: what is evaluated, in the values that JSON has; a folder holds one such thing.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self.identity = json.loads(json.dumps(identity))

    def begin(self, *, overwrite: bool) -> None:
        """Take the folder, or go on in it.

        Raises:
            InputError: it holds something else and `overwrite` is not set, or cannot be written.
        """
        with _writing(self.path):
            if overwrite:
                self._remove()
            self._check()
            self.path.mkdir(parents=True, exist_ok=True)
            if self._recorded() is None:
                self.write(RUN, json.dumps({"kind": KIND, "run": self.identity}, indent=2) + "\n")

    def is_free_or_own(self) -> bool:
        """Whether nothing is there, or this very evaluation."""
        try:
            self._check()
        except InputError:
            return False
        return True

    def writes(self, file: Path) -> bool:
        """Whether a file is where an evaluation writes one of its own."""
        return file.resolve() in [self.path.resolve() / name for name in _OWN]

    def answers(self) -> dict[str, dict[str, Any]]:
        """The records that are there, by id; of two, the first."""
        found: dict[str, dict[str, Any]] = {}
        for file in (self.path / PREDICTIONS, *self._partials()):
            for record in _records(file):
                found.setdefault(record["id"], record)
        return found

    def journal(self, rank: int) -> "Journal":
        """Where a process appends its answers."""
        return Journal(self.path / _PARTIAL.format(rank))

    def write(self, name: str, text: str) -> Path:
        """Write one of the files; it appears when it is whole."""
        with saved_file(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        return self.path / name

    def finish(self, records: Iterable[Mapping[str, Any]], report: Mapping[str, Any]) -> None:
        """Write all answers and the report, after which the journals go."""
        self.write(PREDICTIONS, "".join(map(line_of, records)))
        self.write(REPORT, json.dumps(report, ensure_ascii=False, indent=2) + "\n")
        with _writing(self.path):
            for file in (self.path / RUN, *self._partials()):
                file.unlink(missing_ok=True)

    def _partials(self) -> list[Path]:
        return sorted(self.path.glob(_PARTIAL.format("*")))

    def _recorded(self) -> Any:
        """What the folder says it holds; None where it says nothing."""
        for name in (RUN, REPORT):
            with suppress(OSError, ValueError):
                record = json.loads((self.path / name).read_bytes())
                if isinstance(record, dict) and record.get("kind") == KIND:
                    return record.get("run")
        return None

    def _check(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file: give --output the name of a folder")
        if not self.path.exists() or not any(self.path.iterdir()):
            return
        earlier = self._recorded()
        if earlier is None:
            raise InputError(
                f"{self.path} holds files and no evaluation: give --output another name, or add "
                "this one to them with --overwrite"
            )
        if differences := _differences(earlier, self.identity):
            raise InputError(
                f"{self.path} holds another evaluation ({'; '.join(differences)}): give --output "
                "another name, or --overwrite it"
            )

    def _remove(self) -> None:
        """What evaluations write; nobody else's files."""
        if self.path.is_dir():
            own = [*(self.path / name for name in _OWN), *self._partials()]
            theirs = next((file for file in own if file.exists()), None)
            if self._recorded() is None and theirs is not None:
                raise InputError(
                    f"{theirs} is of no evaluation that can be told and would be lost: give "
                    "--output another name, or move it away"
                )
            for file in own:
                file.unlink(missing_ok=True)
            self.path.joinpath(RUN).write_text(json.dumps({"kind": KIND, "run": self.identity}))


class Journal:
    """Appends answers, each of which outlives the program as soon as it is added.

    Raises:
        InputError: another run appends to it, or it cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        with _writing(file):
            self._stream: BinaryIO = file.open("ab")
            _lock(self._stream, file)
            _cut_half_line(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self._stream.close()

    def add(self, record: Mapping[str, Any]) -> None:
        """One answer."""
        with _writing(self._file):
            self._stream.write(line_of(record).encode())
            self._stream.flush()


def _records(file: Path) -> list[dict[str, Any]]:
    """The whole lines of a file of answers; none where there is no such file."""
    try:
        whole, _, _ = file.read_bytes().rpartition(b"\n")
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(filter(None, whole.split(b"\n")), start=1):
        record = read_line(line)
        if record is None:
            raise InputError(
                f"line {number} of {file} is no answer of PaliKit: give --output another name, or "
                "--overwrite it"
            )
        found.append(record)
    return found


def _cut_half_line(file: Path) -> None:
    """A run was killed while writing: that answer is asked for again."""
    with suppress(FileNotFoundError):
        whole, newline, half = file.read_bytes().rpartition(b"\n")
        if half:
            os.truncate(file, len(whole) + len(newline))


def _lock(stream: BinaryIO, file: Path) -> None:
    """Keeps a journal for this run until it is closed, where there are such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        raise InputError(
            f"another run is writing {file.parent}: wait for it, or give another --output"
        ) from None
    except OSError:  # a file system without locks
        return


def _differences(earlier: Any, now: Any, name: str = "") -> list[str]:
    """What is not as it was: "options.seed: 0, now 1"."""
    if isinstance(earlier, dict) and isinstance(now, dict):
        keys: Sequence[str] = list(dict.fromkeys([*now, *earlier]))
        inner = ((earlier.get(key), now.get(key), f"{name}.{key}".lstrip(".")) for key in keys)
        return [line for old, new, key in inner for line in _differences(old, new, key)]
    return [] if earlier == now else [f"{name}: {earlier}, now {now}"]


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
