"""`palikit batch`: one question about very many inputs, in shards, on one machine or on many."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from palikit.cli.batch_options import BatchOptions
from palikit.cli.command import INTERRUPTED, Command, model_name, names_of, remark, visible
from palikit.cli.options import ParallelOptions, options_of, read_options
from palikit.cli.team import Team, team_of
from palikit.errors import InputError
from palikit.fingerprint import weights_here
from palikit.options import GenerationOptions, LoadOptions
from palikit.published import BUILT_IN

if TYPE_CHECKING:
    from palikit.batch import Settings

_MAX_TOLD = 10
"""Failures that are told; failures.jsonl has all."""


class _Batch(Command):
    """The command with sections of its own."""

    sections = (
        ("Inputs and answers", names_of(BatchOptions)),
        ("Generation", names_of(GenerationOptions)),
        ("Loading the model", names_of(LoadOptions, ParallelOptions)),
    )


@click.command(
    cls=_Batch,
    epilog="""\
palikit batch photos/ --output captions --task caption
palikit batch photos/ --output boxes --task detect --text "car ; bus" --format coco
palikit batch cells/train.jsonl --output texts --task ocr --format parquet
palikit batch "shelf/*.jpg" --output counts --task answer --text "how many boxes?" --ray""",
)
@click.argument("inputs", nargs=-1, metavar="SRC...")
@click.option(
    "--model",
    "-m",
    envvar="PALIKIT_MODEL",
    metavar="MODEL",
    help="Folder, .safetensors or .npz file, or a name on the Hub; else PALIKIT_MODEL, else nano.",
)
@options_of(BatchOptions)
@options_of(GenerationOptions)
@options_of(LoadOptions)
@options_of(ParallelOptions)
@click.pass_context
def batch(ctx: click.Context, inputs: tuple[str, ...], model: str | None) -> None:
    """Ask one thing about very many inputs, and keep the answers in shards.

    SRC are pictures, videos, folders, globs, and data sets in COCO, JSON lines, CSV and others.
    """
    options = read_options(ctx, BatchOptions)
    name = model_name(model)
    generation, loading = read_options(ctx, GenerationOptions), read_options(ctx, LoadOptions)
    from palikit.batch import Settings

    weights = weights_here(model, loading.adapter)
    settings = Settings(loading, generation, options.frames, weights)
    parallel = read_options(ctx, ParallelOptions)
    if options.ray and parallel.tensor_parallel > 1:
        raise InputError(
            "--ray gives each worker a whole model and --tensor-parallel cuts one: choose one of "
            "them"
        )
    code = 0
    with team_of(parallel, loading) as team:
        if team is None or team.is_first:
            code = _run(inputs, model, options, settings, team)
        else:
            task = _task(options)
            team.work_along(
                name,
                loading,
                [lambda _width, _height: task],
                generation,
                batch_size=options.batch_size,
                frames=options.frames,
            )
    ctx.exit(code)


def _run(
    inputs: Sequence[str],
    model: str | None,
    options: BatchOptions,
    settings: "Settings",
    team: Team | None,
) -> int:
    """Answers all inputs; the exit code."""
    from palikit.batch import Asked, Question, Shards
    from palikit.cli.asking import USING_NANO

    task, folder, name = _task(options), Path(str(options.output)), model or BUILT_IN
    asked = Asked(Question.of(task), name, settings, _layout(options, task))
    sources = _sources(inputs, folder)
    with Shards(folder, asked, sources, options.shard_size, overwrite=options.overwrite) as shards:
        done = len(sources) - len(shards.todo)
        if team is not None:
            team.say_todo(shards.todo)
        if not shards.todo:
            shards.end(is_whole=True)
            _say(options, f"nothing left to do: {folder} holds all {done} answers")
            return 0
        if done:
            _say(options, f"resuming: {done} of {len(sources)} done")
        if model is None:
            _say(options, USING_NANO)
        answers = _answers(shards.todo, task, name, options, settings, team)
        return _take_all(shards, answers, len(sources), options)


def _take_all(shards: Any, answers: Iterator[Any], total: int, options: BatchOptions) -> int:
    """Writes down what comes, and says what has become of it; the exit code."""
    from palikit.cli.progress import progress_of

    is_whole, taken, left = False, 0, len(shards.todo)
    try:
        with (
            progress_of(
                total, total - left, is_quiet=options.quiet, writes_to_stdout=False
            ) as progress,
            closing(answers),  # type: ignore[type-var]  # generators, both
        ):
            for answer in answers:
                shards.take(answer)
                taken += 1
                progress.advance()
        is_whole = True
    except KeyboardInterrupt:
        pass
    finally:
        shards.end(is_whole=is_whole)
    answered = total - left + taken - len(shards.failures)
    _say_failures(shards.failures, total, options)
    if not is_whole:
        remark(f"interrupted: {answered} of {total} done; the same command again goes on")
        return INTERRUPTED
    _say(options, f"{answered} of {total} done, in {options.output}, shards: {shards.count}")
    return 1 if shards.failures else 0


def _answers(
    todo: Sequence[Any],
    task: Any,
    model: str,
    options: BatchOptions,
    settings: "Settings",
    team: Team | None,
) -> Iterator[Any]:
    """Of every source in order its answer or what failed, from wherever the model runs."""
    from palikit.batch import answer_each

    if options.ray:
        from palikit.batch.ray_data import Work, answer_over_ray

        work = Work(
            model,
            settings.loading,
            task,
            settings.generation,
            options.batch_size,
            options.frames,
        )
        return answer_over_ray(work, todo, options.workers)
    if team is not None:
        predictor = team.load(model, settings.loading)
    else:
        from palikit.cli.asking import load_predictor
        from palikit.cli.remarks import remarks_on_model

        predictor = load_predictor(model, settings.loading)
        for line in remarks_on_model(predictor, settings.loading):
            _say(options, line)
    return answer_each(
        predictor,
        todo,
        [lambda _width, _height: task],
        settings.generation,
        batch_size=options.batch_size,
        frames=options.frames,
    )


def _sources(inputs: Sequence[str], folder: Path) -> list[Any]:
    """What the arguments stand for; one that stands for nothing is an error before any work."""
    from palikit.batch import Found, discover
    from palikit.batch.data_sets import is_data_set, single, sources_of

    if not inputs:
        raise InputError("no input: give pictures, folders, globs or data sets")
    found = []
    for word in inputs:
        if is_data_set(word):
            found += sources_of(word, folder / "pictures")
            continue
        one: Found = discover([word], passed_over=str(folder), read_stdin=_no_stdin)
        found += one.sources
    return single(found)


def _no_stdin() -> bytes:
    raise InputError("- is one picture: ask about it with caption, detect or their like")


def _task(options: BatchOptions) -> Any:
    from palikit import tasks
    from palikit.cli.texts import labels_of

    text, language = options.text or "", options.language
    if options.task in ("detect", "segment"):
        labels, remarks = labels_of(text)
        for line in remarks:
            _say(options, line)
        return tasks.detect(labels) if options.task == "detect" else tasks.segment(labels)
    if options.task in ("caption", "describe"):
        return tasks.caption(language) if options.task == "caption" else tasks.describe(language)
    if options.task == "answer":
        return tasks.answer(text, language)
    if options.task == "ocr":
        return tasks.ocr()
    return tasks.refer(text) if options.task == "refer" else tasks.plain(text)


def _layout(options: BatchOptions, task: Any) -> Any:
    from palikit.batch.parquet import ParquetLayout
    from palikit.records import Layout

    if options.format == "parquet":
        return ParquetLayout(task.name)
    return Layout(options.format, task.name, many=True, labels=task.labels)


def _say(options: BatchOptions, line: str) -> None:
    if not options.quiet:
        remark(line)


def _say_failures(failures: Sequence[Any], total: int, options: BatchOptions) -> None:
    if not failures:
        return
    from palikit.cli.run import failure_line

    remark(f"{len(failures)} of {total} failed, all in {options.output}/failures.jsonl:")
    for each in failures[:_MAX_TOLD]:
        click.echo(f"  {visible(failure_line(each))}", err=True)
