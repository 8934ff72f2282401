"""A verb at work: check what can be checked, load the model, ask, and let nothing finished go."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from palikit.batch import (
    Found,
    Question,
    Settings,
    discover,
    finished_inputs,
)
from palikit.cli.command import (
    is_terminal,
    model_name,
    remark,
    warnings_as_remarks,
)
from palikit.cli.garbage import no_search
from palikit.cli.options import ParallelOptions, RunOptions, read_options
from palikit.cli.output import format_of, open_output
from palikit.cli.remarks import remarks_on_model
from palikit.cli.run import Run
from palikit.cli.saving import is_finished, keep_inputs
from palikit.cli.several import check_outputs, layout_of
from palikit.cli.team import Team, team_of
from palikit.errors import InputError
from palikit.fingerprint import weights_here
from palikit.options import GenerationOptions, LoadOptions
from palikit.published import BUILT_IN_LANGUAGES
from palikit.urls import MAX_BYTES

if TYPE_CHECKING:
    from palikit.predictor import Predictor

_NO_MASKS = (
    "masks need vae-oid.npz, published by the authors of big_vision as "
    "gs://big_vision/paligemma/vae-oid.npz: pass --mask-codec or put it beside the model "
    "(boxes and codes are written without it)"
)

USING_NANO = (
    f"using nano, built in, which knows drawn scenes, in {BUILT_IN_LANGUAGES}; for photos, "
    "--model google/paligemma2-3b-mix-448"
)
"""What is said where no model was named."""


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
    code, options, settings = 0, read_options(ctx, RunOptions), _settings(ctx)
    with team_of(read_options(ctx, ParallelOptions), settings.loading) as team:
        if team is None or team.is_first:
            code = _ask(ctx, inputs, questions, model, remarks, team)
        else:
            team.work_along(
                model_name(model),
                settings.loading,
                [question.task_for for question in questions],
                settings.generation,
                batch_size=options.batch_size,
                frames=options.frames,
            )
    ctx.exit(code)


def _ask(
    ctx: click.Context,
    inputs: Sequence[str],
    questions: Sequence[Question],
    model: str | None,
    remarks: Sequence[str],
    team: Team | None,
) -> int:
    """As `ask`, with what shares the model; the exit code."""
    options, settings = read_options(ctx, RunOptions), _settings(ctx)
    file_format, name = format_of(options), model_name(model)
    if options.output_file is not None:  # of which some may have been answered by other weights
        settings = replace(settings, weights=weights_here(model, settings.loading.adapter))
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
            return 0
    with open_output(options, layout, question, name, settings) as output:
        run = Run(options, layout, found, output, settings)
        if layout.format == "jsonl" and is_finished(options, found, frozenset(output.earlier)):
            _say_finished(options, found)
            return 0
        if team is not None:
            team.say_todo(run.todo)
        run.begin(remarks)
        if run.todo:
            if not options.quiet:
                _say_loading(model)
            loading = settings.loading
            predictor = team.load(name, loading) if team else load_predictor(name, loading)
            if not options.quiet:
                for line in remarks_on_model(predictor, loading):
                    remark(line)
                if question.task in ("segment", "refer") and predictor.mask_codec is None:
                    remark(_NO_MASKS)
            run.answer(predictor, questions, options.batch_size)
        else:
            run.end(is_whole=True)
    return run.exit_code


def _settings(ctx: click.Context) -> Settings:
    loading, generation = read_options(ctx, LoadOptions), read_options(ctx, GenerationOptions)
    return Settings(loading, generation, read_options(ctx, RunOptions).frames)


def _say_loading(model: str | None) -> None:
    if model is None:
        remark(USING_NANO)
    elif is_terminal(sys.stderr):
        remark(f"loading {model}")


def load_predictor(model: str, options: LoadOptions) -> "Predictor":
    """The model; everything before this is quick."""
    with no_search(), warnings_as_remarks():
        from palikit.loading import load_with

        return load_with(model, options)


def _say_finished(options: RunOptions, found: Found) -> None:
    if not options.quiet:
        count = len(found.sources)
        held = "the answer" if count == 1 else f"all {count} answers"
        remark(f"nothing left to do: {options.output_file} holds {held}")


def _read_stdin() -> bytes:
    if sys.stdin.isatty():
        raise InputError("- reads a picture from standard input: lead one there, as in < photo.jpg")
    data = sys.stdin.buffer.read(MAX_BYTES + 1)  # what leads there may never end
    if len(data) > MAX_BYTES:
        raise InputError(
            f"standard input holds more than {MAX_BYTES:,} bytes: save the picture to a file"
        )
    return data
