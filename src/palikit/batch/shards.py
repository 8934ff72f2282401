"""A folder of answers in shards, of which none that is finished is lost or asked for again.

    DIR/part-00000.jsonl, part-00001.jsonl, ...   answers in the order of the inputs
    DIR/failures.jsonl                            inputs without an answer, of the run that was last
    DIR/.inputs.json                              which inputs are in which shard
    DIR/.lock                                     held by the run that is writing

Each shard is an `OutputFile`. Inputs that a later run finds for the first time make new shards, so
that no shard that is finished is ever touched; those that are gone keep their answers.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from palikit.batch.finished import finished_inputs
from palikit.batch.journal import FileLayout, OutputFile, lock, replace_file, writing
from palikit.batch.question import Question
from palikit.batch.settings import Settings
from palikit.batch.sources import Failure, Source, input_key
from palikit.errors import InputError
from palikit.prediction import Prediction
from palikit.records import prediction_from_dict

_PLAN, _LOCK, _FAILURES = ".inputs.json", ".lock", "failures.jsonl"
_ENDINGS = {"jsonl": ".jsonl", "coco": ".json", "parquet": ".parquet"}
_OWN = re.compile(
    r"\.?part-\d{5,}\.(jsonl|json|parquet)(\.partial\.jsonl|\.options\.json|\.finished\.json)?"
)
"""Names of what this writes; others have parts in their folders too."""


@dataclass(frozen=True)
class Asked:
    """What a run asks, and how its answers are written.

    Attributes:
        question: put to every input.
        model: the name of the model that is asked.
        settings: the options that it is asked with.
        layout: of one shard.
    """

    question: Question
    model: str
    settings: Settings
    layout: FileLayout


class Shards:
    """A folder of answers while it is being made; `take` what comes for `todo`, in its order.

    Args:
        folder: made where there is none.
        asked: what is asked.
        sources: all inputs.
        size: inputs a shard, 1 or more.
        overwrite: begin anew, whatever an earlier run has left there.

    Attributes:
        todo: sources without an answer yet, in the order of the shards.
        failures: what has none after having been tried.

    Raises:
        InputError: another run is writing there; the folder holds something else, or answers to
            another question or made with other options; it cannot be written.
    """

    def __init__(
        self, folder: Path, asked: Asked, sources: Sequence[Source], size: int, *, overwrite: bool
    ) -> None:
        self.folder, self._asked, self._overwrite = folder, asked, overwrite
        self.failures: list[Failure] = []
        self._open: tuple[int, OutputFile] | None = None
        self._failed: set[int] = set()
        self._has_begun = False
        self._stack = ExitStack()
        if folder.is_file():
            raise InputError(f"{folder} is a file: give --output the name of a folder")
        try:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                self._hold()
            self._plan = self._planned(sources, size)
            self.todo = self._unanswered({source.key: source for source in sources})
        except BaseException:
            self._stack.close()
            raise
        places = (
            (input_key(name), number) for number, names in enumerate(self._plan) for name in names
        )
        self._shard_of = dict(places)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves what is begun to the next run."""
        if self._open is not None:
            self._open[1].__exit__()
        self._stack.close()

    @property
    def count(self) -> int:
        """Shards, of this run and of earlier ones."""
        return len(self._plan)

    def take(self, answer: Prediction[Any] | Failure) -> None:
        """Write down what came of the next of `todo`; when this returns, it outlives the program.

        Raises:
            InputError: it cannot be written.
        """
        name = answer.name if isinstance(answer, Failure) else answer.input
        number = self._shard_of[input_key(name)]
        if isinstance(answer, Failure):
            self.failures.append(answer)
            self._failed.add(number)
            if self._overwrite and not self._has_begun:
                return  # nothing takes the place of what is there
        self._begin()
        output = self._shard(number)
        if not isinstance(answer, Failure):
            # As a journal gives it back, and without its picture.
            output.add(prediction_from_dict(answer.to_dict()))

    def end(self, *, is_whole: bool) -> None:
        """Finish the last shard, and say what failed.

        Args:
            is_whole: all of `todo` came.
        """
        if is_whole:
            self._finish()
        lines = [
            json.dumps({"input": each.name, "error": str(each.error)}) for each in self.failures
        ]
        file = self.folder / _FAILURES
        with writing(file):
            if lines:
                replace_file(file, "\n".join(lines) + "\n")
            elif is_whole:
                file.unlink(missing_ok=True)

    def _hold(self) -> None:
        file = self.folder / _LOCK
        stream = self._stack.enter_context(file.open("ab"))
        lock(stream, file, self.folder)

    def _planned(self, sources: Sequence[Source], size: int) -> list[list[str]]:
        """What an earlier run has planned, and new shards for what it did not know."""
        file = self.folder / _PLAN
        is_begun = file.exists() and not self._overwrite
        self._check_place(is_begun=is_begun)
        shards = _read_plan(file) if is_begun else []
        known = {input_key(name) for names in shards for name in names}
        new = [source.name for source in sources if source.key not in known]
        return shards + [new[start : start + size] for start in range(0, len(new), size)]

    def _begin(self) -> None:
        """What is overwritten goes when there is something to take its place, not before."""
        if self._has_begun:
            return
        file = self.folder / _PLAN
        with writing(file):
            if self._overwrite:
                for each in list(self.folder.iterdir()):
                    if _OWN.fullmatch(each.name):
                        each.unlink()
            replace_file(file, json.dumps({"shards": self._plan}) + "\n")
        self._has_begun = True

    def _check_place(self, *, is_begun: bool) -> None:
        """Files of others are neither mixed with answers nor removed."""
        parts = [part for part in self._parts() if not part.name.endswith(".partial.jsonl")]
        if not is_begun and not self._overwrite and parts:
            raise InputError(
                f"{self.folder} holds {parts[0].name}, which was not made by this command: give "
                "--output another name, or --overwrite it"
            )
        ending = _ENDINGS[self._asked.layout.format]
        if is_begun and (other := next((p for p in parts if p.suffix != ending), None)):
            raise InputError(
                f"{self.folder} holds {other.name}, of another format than this run's: give the "
                "same --format again, --output another name, or --overwrite it"
            )

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("part-*"))

    def _file(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}{_ENDINGS[self._asked.layout.format]}"

    def _unanswered(self, by_key: Mapping[str, Source]) -> list[Source]:
        todo: list[Source] = []
        if self._overwrite:
            return list(by_key.values())
        for number, names in enumerate(self._plan):
            keys = [key for key in map(input_key, names) if key in by_key]  # others are gone
            done = self._finished(number)
            if not done.issuperset(keys):
                done = self._journalled(number, keys)
            todo += [by_key[key] for key in keys if key not in done]
        return todo

    def _journalled(self, number: int, keys: Sequence[str]) -> frozenset[str]:
        """What is answered of a shard that is not finished; it is now, if nothing else was left."""
        with self._opened(number) as output:
            done = frozenset(output.earlier)
            if keys and done.issuperset(keys):
                output.end(self._plan[number], is_whole=True, has_failures=False)
        return done

    def _finished(self, number: int) -> frozenset[str]:
        asked = self._asked
        return finished_inputs(
            self._file(number), asked.question, asked.model, asked.settings, asked.layout.format
        )

    def _opened(self, number: int) -> OutputFile:
        asked = self._asked
        return OutputFile(
            self._file(number),
            asked.question,
            asked.model,
            asked.settings,
            layout=asked.layout,
            overwrite=False,
        )

    def _shard(self, number: int) -> OutputFile:
        if self._open is None or self._open[0] != number:
            self._finish()
            self._open = (number, self._opened(number))
        return self._open[1]

    def _finish(self) -> None:
        """The shard that is open is whole."""
        if self._open is None:
            return
        number, output = self._open
        if output.answers:  # of nothing but failures there is nothing to write
            output.end(self._plan[number], is_whole=True, has_failures=number in self._failed)
        output.__exit__()
        self._open = None


def _read_plan(file: Path) -> list[list[str]]:
    try:
        record = json.loads(file.read_bytes())
        return [[str(name) for name in names] for names in record["shards"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{file} is damaged, so that nobody knows which inputs {os.fspath(file.parent)} holds: "
            "give --output another name, or --overwrite it"
        ) from None
