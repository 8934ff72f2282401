"""A verb at work: check what can be checked, load the model, ask, and let nothing finished go."""

import sys
from collections.abc import Sequence
from contextlib import closing
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from palikit.batch import (
    Failure,
    Found,
    Question,
    Settings,
    answer_each,
    discover,
    finished_inputs,
    input_key,
)
from palikit.cli.command import (
    INTERRUPTED,
    in_options,
    is_terminal,
    remark,
    visible,
    warnings_as_remarks,
)
from palikit.cli.options import RunOptions, is_typed, read_options
from palikit.cli.output import Output, format_of, open_output
from palikit.cli.progress import Progress, progress_of
from palikit.cli.remarks import remarks_before, remarks_on, remarks_on_model
from palikit.cli.saving import Drawings, is_finished, keep_inputs
from palikit.cli.several import check_outputs, layout_of
from palikit.errors import InputError, PaliKitError
from palikit.options import GenerationOptions, LoadOptions
from palikit.prediction import Prediction
from palikit.published import BUILT_IN, BUILT_IN_LANGUAGES
from palikit.records import Layout, prediction_from_dict
from palikit.urls import MAX_BYTES

if TYPE_CHECKING:
    from palikit.predictor import Predictor

_NO_MASKS = (
    "masks need vae-oid.npz, published by the authors of big_vision as "
    "gs://big_vision/paligemma/vae-oid.npz: pass --mask-codec or put it beside the model "
    "(boxes and codes are written without it)"
)

_NANO = (
    f"using nano, built in, which knows drawn scenes, in {BUILT_IN_LANGUAGES}; for photos, "
    "--model google/paligemma2-3b-mix-448"
)

_MAX_REMARKS = 10
"""Remarks on answers of one run that are told; the others are counted."""


def ask(
    ctx: click.Context,
    inputs: Sequence[str],
    questions: Sequence[Question],
    model: str | None,
    remarks: Sequence[str] = (),
) -> None:
    """Put questions to every input, as the options of the context say.

    Args:
        ctx: of the command.
        inputs: as they were typed.
        questions: one, or several of one task, which go to standard output only.
        model: its name; None for the built-in one.
        remarks: what a person should know of how the command was understood.

    Raises:
        InputError: anything that is wrong with the command, before the model is loaded; or, where
            there is one input only, with that input.
        PaliKitError: the model cannot be loaded.
    """
    options, loading = read_options(ctx, RunOptions), read_options(ctx, LoadOptions)
    settings = Settings(loading, read_options(ctx, GenerationOptions), options.frames)
    file_format, name = format_of(options), _checked_model(model)
    check_outputs(options, questions)
    found = discover(
        inputs,
        together=options.together,
        passed_over=options.save,
        read_stdin=_read_stdin,
    )
    layout, question = layout_of(file_format, questions, found), questions[0]
    if options.output_file is not None:
        file = Path(options.output_file)
        keep_inputs([file], found.sources, "--output")
        finished = finished_inputs(file, question, name, settings, file_format)
        if not options.overwrite and is_finished(options, found, finished):
            _say_finished(options, found)
            return
    with open_output(options, layout, question, name, settings) as output:
        run = _Run(options, layout, found, output, settings)
        if layout.format == "jsonl" and is_finished(options, found, frozenset(output.earlier)):
            _say_finished(options, found)
            return
        run.begin(remarks)
        if run.todo:
            if model is None and not options.quiet:
                remark(_NANO)
            elif is_terminal(sys.stderr) and not options.quiet:
                remark(f"loading {name}")
            predictor = load_predictor(name, loading)
            if not options.quiet:
                for line in remarks_on_model(predictor, loading):
                    remark(line)
            has_masks = question.task in ("segment", "refer")
            if has_masks and predictor.mask_codec is None and not options.quiet:
                remark(_NO_MASKS)
            # Where none was typed, pictures of many tokens go fewer together.
            batch_size = options.batch_size if is_typed(ctx, "batch_size") else None
            run.answer(predictor, questions, batch_size)
        else:
            run.end(is_whole=True)
    ctx.exit(run.exit_code)


def load_predictor(model: str, options: LoadOptions) -> "Predictor":
    """The model; everything before this is quick."""
    from palikit.loading import load_with

    with warnings_as_remarks():
        return load_with(model, options)


class _Run:
    """One run over all inputs: what is left to do, and what came of it."""

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

    def begin(self, remarks: Sequence[str]) -> None:
        """Say what a person should know first, and draw what an earlier run has not drawn."""
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

    def answer(
        self, predictor: "Predictor", questions: Sequence[Question], batch_size: int | None
    ) -> None:
        """Ask about what is left, and write down each answer when it is there."""
        is_whole = False
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
                click.echo(f"  {visible(_failure_line(failure))}", err=True)
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


def _failure_line(failure: Failure) -> str:
    """The input and what is wrong with it, which many a sentence begins with."""
    sentence = in_options(str(failure.error))
    return sentence if sentence.startswith(failure.name) else f"{failure.name}: {sentence}"


def _say_finished(options: RunOptions, found: Found) -> None:
    if not options.quiet:
        count = len(found.sources)
        held = "the answer" if count == 1 else f"all {count} answers"
        remark(f"nothing left to do: {options.output_file} holds {held}")


def _checked_model(model: str | None) -> str:
    if model == "":
        raise InputError(
            "--model is empty: give a folder, a file or a name (`palikit models` lists the names)"
        )
    return BUILT_IN if model is None else model


def _read_stdin() -> bytes:
    if sys.stdin.isatty():
        raise InputError("- reads a picture from standard input: lead one there, as in < photo.jpg")
    data = sys.stdin.buffer.read(MAX_BYTES + 1)  # what leads there may never end
    if len(data) > MAX_BYTES:
        raise InputError(
            f"standard input holds more than {MAX_BYTES:,} bytes: save the picture to a file"
        )
    return data
