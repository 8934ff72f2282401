"""One run of a verb over all inputs: what is left to do, and what came of it."""

from collections.abc import Sequence
from contextlib import closing
from itertools import cycle
from typing import TYPE_CHECKING, Any

import click

from palikit.batch import EarlyInputs, Failure, Found, Question, Settings, answer_each, input_key
from palikit.cli.command import INTERRUPTED, in_options, remark, visible
from palikit.cli.options import RunOptions
from palikit.cli.output import Output
from palikit.cli.progress import Progress, progress_of
from palikit.cli.remarks import remarks_before, remarks_on
from palikit.cli.saving import Drawings
from palikit.errors import PaliKitError
from palikit.prediction import Prediction
from palikit.records import Layout, prediction_from_dict

if TYPE_CHECKING:
    from palikit.predictor import Predictor

_MAX_REMARKS = 10
"""Remarks on answers of one run that are told; the others are counted."""


class Run:
    """A run that has not begun.

    Args:
        options: what goes in together, and where answers go.
        layout: how answers are written.
        found: the inputs.
        output: takes the answers, and knows those of an earlier run.
        settings: what answers depend on.

    Attributes:
        todo: inputs that have no answer yet.
        exit_code: of the command, as far as is known.
    """

    def __init__(
        self,
        options: RunOptions,
        layout: Layout,
        found: Found,
        output: Output,
        settings: Settings,
    ) -> None:
        self._options = options
        self._generation = settings.generation
        self._layout = layout
        self._found = found
        self._output = output
        self._failures = list(found.missing)
        self._total = len(found.sources) + len(found.missing)
        self._answered = set(output.earlier)
        self.todo = [source for source in found.sources if source.key not in output.earlier]
        self.exit_code = 0
        self._cut_off = self._remarks = 0
        self._drawings = Drawings(options, found, output.earlier)
        self._early: EarlyInputs | None = None

    def begin(self, remarks: Sequence[str]) -> None:
        """Say what a person should know first, and draw what an earlier run has not drawn.

        Inputs are opened from here on, as the model is still to be loaded.
        """
        if not self._options.quiet:
            for line in (*remarks, *remarks_before(self._options, self._found)):
                remark(line)
            if self._output.earlier:
                remark(f"resuming: {self._done()}")
        for source in self._drawings.missing:
            try:
                self._drawings.save_earlier(source)
            except PaliKitError as error:
                self._take_failure(Failure(source.name, error))
        if self.todo:
            self._early = EarlyInputs(self.todo, self._options.frames)

    def answer(
        self, predictor: "Predictor", questions: Sequence[Question], batch_size: int | None
    ) -> None:
        """Ask about what is left, and write down each answer when it is there."""
        is_whole = False
        if self._early is not None:
            self._early.end()
        try:
            with progress_of(
                self._total,
                self._total - len(self.todo),
                is_quiet=self._options.quiet or not self._found.many,
                writes_to_stdout=self._layout.is_streamed and self._options.output_file is None,
            ) as progress:
                self._take_each(predictor, questions, batch_size, progress)
            is_whole = True
        except KeyboardInterrupt:
            self.exit_code = INTERRUPTED
        finally:
            self.end(is_whole=is_whole)

    def _take_each(
        self,
        predictor: "Predictor",
        questions: Sequence[Question],
        batch_size: int | None,
        progress: Progress,
    ) -> None:
        answers = answer_each(
            predictor,
            self.todo,
            [question.task_for for question in questions],
            self._generation,
            batch_size=batch_size,
            frames=self._options.frames,
            early=self._early,
        )
        with closing(answers):  # so that no thread is left at work
            for answer, question in zip(answers, cycle(questions), strict=False):
                self._take(answer, question, progress)
                if question is questions[-1]:
                    progress.advance()

    def end(self, *, is_whole: bool) -> None:
        """Write what is still to be written, and say what has become of the run."""
        names = [source.name for source in self._found.sources]
        self._output.end(names, is_whole=is_whole, has_failures=bool(self._failures))
        self._remark_at_end()
        if self._failures:
            self.exit_code = self.exit_code or 1
            remark(f"{len(self._failures)} of {self._total} failed:")
            for failure in self._failures:
                click.echo(f"  {visible(failure_line(failure))}", err=True)
        if self.exit_code == INTERRUPTED:
            remark(f"interrupted: {self._done()}; {self._how_to_go_on()}")
        elif is_whole and self._options.output_file and not self._options.quiet:
            remark(f"{self._done()}, in {self._options.output_file}")

    def _take(
        self, answer: Prediction[Any] | Failure, question: Question, progress: Progress
    ) -> None:
        if isinstance(answer, Failure):
            self._take_failure(answer)
            return
        # As a journal gives it back, so that interrupted runs end with the same file; and without
        # the picture, because all of them would not fit into memory.
        self._output.add(prediction_from_dict(answer.to_dict()))
        self._answered.add(input_key(answer.input))
        self._drawings.save(answer)
        if not self._options.quiet:
            self._remark_on(answer, question, progress)

    def _take_failure(self, failure: Failure) -> None:
        if not self._found.many:
            raise failure.error
        if [failure.name] != [each.name for each in self._failures[-1:]]:  # once for all questions
            self._failures.append(failure)

    def _remark_on(self, answer: Prediction[Any], question: Question, progress: Progress) -> None:
        """What an answer does not say and a person should know, up to a number of lines."""
        self._cut_off += answer.finish_reason == "length"
        for line in remarks_on(answer, question, self._layout):
            self._remarks += 1
            if self._remarks <= _MAX_REMARKS:
                progress.remark(f"{answer.input}: {line}")

    def _remark_at_end(self) -> None:
        if self._remarks > _MAX_REMARKS:
            remark(f"and {self._remarks - _MAX_REMARKS} more such remarks on answers")
        if self._cut_off:
            several = "1 answer was" if self._cut_off == 1 else f"{self._cut_off} answers were"
            which = several if self._found.many else "the answer was"
            remark(f"{which} cut off at --max-new-tokens {self._generation.max_new_tokens}")
        if self._drawings.unknown and not self._options.quiet:
            remark(
                f"no font here draws {self._drawings.unknown}, shown as boxes in the drawings: "
                "install one that does, such as Noto Sans CJK"
            )

    def _done(self) -> str:
        done = sum(source.key in self._answered for source in self._found.sources)
        return f"{done} of {self._total} done"

    def _how_to_go_on(self) -> str:
        if self._options.output_file is None:
            return "with --output FILE, a run can be resumed"
        if self._options.overwrite:
            return "to resume, run the same command without --overwrite"
        return "to resume, run the same command again"


def failure_line(failure: Failure) -> str:
    """The input and what is wrong with it, which many a sentence begins with."""
    sentence = in_options(str(failure.error))
    return sentence if sentence.startswith(failure.name) else f"{failure.name}: {sentence}"
