"""`palikit finetune`: from a folder of labelled pictures to a model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from palikit.cli.command import Command, remark
from palikit.cli.finetune_begun import Subject, begun_subject
from palikit.cli.finetune_card import write_run_card
from palikit.cli.finetune_checks import (
    check_command,
    check_rows,
    check_sources,
    data_names,
    without_measuring,
)
from palikit.cli.finetune_data import TrainingRows, training_rows
from palikit.cli.finetune_end import push, tell, tell_interrupted
from palikit.cli.finetune_options import SECTIONS, FinetuneOptions, finetune_options
from palikit.cli.finetune_processes import Together, together
from palikit.cli.finetune_progress import TrainingProgress, training_progress
from palikit.cli.options import is_typed, options_of
from palikit.data.options import DataTask, RenderOptions
from palikit.options import DType, LoadOptions
from palikit.published import BUILT_IN
from palikit.train_options import LoraOptions, LossOptions, TrainOptions
from palikit.training.output import (
    BEST_NAME,
    check_output,
    is_done,
    read_record,
    refuse_removal,
    refuse_run_as_model,
)

if TYPE_CHECKING:
    from palikit.cli.data_model import DataModel
    from palikit.predictor import Predictor
    from palikit.training import Evaluate, Origin, RunResult

_NANO = (
    "training nano, the small built-in model: a demonstration that knows drawn scenes only; for "
    "more name another with --model, such as google/paligemma2-3b-pt-448"
)


_MODEL_HELP = (
    "What is trained: a folder, a .safetensors or .npz file, or a name on the Hub; else "
    "PALIKIT_MODEL, or nano."
)


class FinetuneCommand(Command):
    """Its options in sections of its own."""

    sections = SECTIONS


@click.command(
    cls=FinetuneCommand,
    epilog="""\
palikit finetune -m google/paligemma2-3b-pt-448 --data cells/ --output runs/a --recipe own-detect
palikit finetune -m pt/ --data train.jsonl --val val.jsonl --output runs/b --dry-run
palikit finetune -m pt/ --data photos/=1 --data scans/=0.3 --task ocr --output runs/c --steps 2000
palikit finetune -m pt/ --data cells/ --output runs/d --method lora --learning-rate 1e-4
palikit finetune --output runs/a --resume""",
)
@click.option("--model", "-m", envvar="PALIKIT_MODEL", metavar="MODEL", help=_MODEL_HELP)
@click.option(
    "--data",
    multiple=True,
    metavar="D[=WEIGHT]",
    help="A folder or file of rows, or of any format that `palikit data convert` reads; several "
    "are mixed by their weights, or without any in proportion to their rows. [required, but with "
    "--resume]",
)
@click.option(
    "--val",
    metavar="V",
    help="Rows to measure on, as --data; by default the validation split of the data; none for "
    "no validation.",
)
@click.option(
    "--task",
    type=click.Choice(get_args(DataTask)),
    help="What is learnt, for data that are no rows yet, and which metric decides; by default what "
    "the rows ask for, or detect.",
)
@click.option("--output", required=True, metavar="RUN", help="Folder of the run; see --resume.")
@click.option("--recipe", metavar="NAME", help="Begin with published options: `palikit recipes`.")
@click.option("--dry-run", is_flag=True, help="Show an example, what learns, and the memory.")
@click.option("--resume", is_flag=True, help="Go on from the latest checkpoint in RUN, as begun.")
@click.option("--overwrite", is_flag=True, help="Remove the run in RUN, and begin anew.")
@click.option(
    "--push-to-hub",
    "repository",
    metavar="OWNER/NAME",
    help="Put the finished model on the Hugging Face Hub with its card, as a private repository.",
)
@options_of(TrainOptions)
@options_of(LossOptions)
@options_of(LoraOptions)
@options_of(RenderOptions, without=("task", "seed", "rename"))
@options_of(LoadOptions, without=("adapter", "quantize"))
@click.pass_context
def finetune(
    ctx: click.Context,
    model: str | None,
    data: Sequence[str],
    val: str | None,
    task: DataTask | None,
    output: str,
    recipe: str | None,
    repository: str | None,
    *,
    dry_run: bool,
    resume: bool,
    overwrite: bool,
) -> None:
    """Train a model on pictures of your own.

    The finished model is RUN/best. Everything about the run is in RUN: options, metrics,
    checkpoints, pages of pictures. Ctrl-C saves a checkpoint; --resume goes on.
    """
    folder = Path(output)
    with together() as processes:
        if not dry_run and processes.is_first:
            check_output(folder, resume=resume, overwrite=overwrite)
        subject = Subject(model, data, val, task, repository, recipe)
        if resume:
            subject = begun_subject(ctx, subject, read_record(folder))
        is_push_alone = resume and not dry_run and _is_done(ctx, folder)
        if subject.repository is not None and is_push_alone:  # for which no data are needed
            if processes.is_first:
                push(folder / BEST_NAME, folder, subject.repository)
            return
        _check_early(ctx, subject, processes, folder if overwrite else None)
        if not subject.model:
            remark(_NANO)
        name = subject.model or BUILT_IN
        options, rows, known = _read(ctx, subject, name)
        if dry_run:
            from palikit.cli.finetune_dry_run import dry_run as show

            show(options, rows, known, name, folder)
            return
        with training_progress() as progress:
            result = _train(
                *(options, rows, name, folder, progress, processes),
                resume=resume,
                overwrite=overwrite,
            )
        if result.ending == "interrupted":
            tell_interrupted(ctx, result, processes)
        if processes.is_first:
            _finish(result, options, rows, name, subject)


def _finish(
    result: "RunResult", options: FinetuneOptions, rows: TrainingRows, name: str, subject: Subject
) -> None:
    """What the first process does after the last step."""
    write_run_card(result, options, rows, name, subject.data)
    tell(result, rows, options)
    if subject.repository is not None and result.best is not None:
        push(result.best, result.output, subject.repository)


def _is_done(ctx: click.Context, folder: Path) -> bool:
    """Whether nothing is left to train, nor asked for."""
    return not (is_typed(ctx, "steps") or is_typed(ctx, "epochs")) and is_done(folder)


def _check_early(
    ctx: click.Context, subject: Subject, processes: Together, overwritten: Path | None
) -> None:
    """Refuse what cannot be trained before anything is loaded, PyTorch included.

    Args:
        ctx: of the command.
        subject: what is trained, on what.
        processes: those that train together.
        overwritten: folder of the run that goes for this one.

    Raises:
        InputError: options, data or model are none.
        HubError: the model could not be pushed.
    """
    options = finetune_options(ctx, subject.recipe, begun=subject.begun)
    check_command(ctx, options, subject.validation, subject.task)
    check_sources(subject.data, subject.validation)
    if overwritten is not None:
        files = options.loading.tokenizer, options.loading.mask_codec, options.render.images
        data = data_names(subject.data, subject.validation)
        refuse_removal(overwritten, (subject.model, *files, *data))
    if subject.model:
        refuse_run_as_model(subject.model)
    if subject.repository is not None:
        from palikit.publishing import check_access, check_name

        check_name(subject.repository)
        if processes.is_first:
            check_access(subject.repository)


def _read(
    ctx: click.Context, subject: Subject, name: str
) -> "tuple[FinetuneOptions, TrainingRows, DataModel]":
    """Everything but weights: options for this model, rows, and what rows need of it."""
    from palikit.cli.data_model import open_data_model

    loading = finetune_options(ctx, subject.recipe, begun=subject.begun).loading
    _check_float(name, loading)
    known = open_data_model(name, loading)
    options = finetune_options(ctx, subject.recipe, known, subject.begun)
    limit = options.train.max_text_tokens
    rows = training_rows(
        subject.data, subject.validation, subject.task, options.render, known, limit
    )
    check_rows(ctx, options, rows)
    if not rows.validation:
        options = replace(options, train=without_measuring(options.train))
    return options, rows, known


def _check_float(name: str, options: LoadOptions) -> None:
    """Raises CheckpointError for a model that is quantised."""
    from palikit.adapters import find_source
    from palikit.checkpoints.stored_form import require_float
    from palikit.training.setup import FLOAT_INSTEAD

    require_float(find_source(name, options.revision).path, FLOAT_INSTEAD)


def _train(
    options: FinetuneOptions,
    rows: TrainingRows,
    name: str,
    output: Path,
    progress: TrainingProgress,
    together: Together,
    *,
    resume: bool,
    overwrite: bool,
) -> "RunResult":
    from palikit.loading import load_with
    from palikit.training import finetune as train
    from palikit.training.readable import check_readable

    if not rows.validation:
        progress.remark("there is no validation set: the last model is taken for the best one")
    progress.remark(f"loading {name}")
    processes = together.processes(options.loading.device)
    processes.check(options.train)
    origin = _origin(options, name)
    with processes.together():
        if together.is_first:
            check_readable(rows.validation, progress.remark)
    predictor = load_with(name, _held(options, name, together))
    return train(
        predictor.model,
        predictor.processor,
        rows.examples(options.train.augment),
        options.train,
        output,
        loss=options.loss,
        lora=options.adapters,
        origin=origin,
        evaluate=_evaluate(rows, predictor, options, progress),
        on_step=progress.step,
        on_remark=progress.remark,
        resume=resume,
        overwrite=overwrite,
        processes=processes,
    )


def _held(options: FinetuneOptions, name: str, together: Together) -> LoadOptions:
    """How the model is loaded: where it waits on the host, in what its device will compute in."""
    from palikit.adapters import find_source
    from palikit.checkpoints import inspect_checkpoint
    from palikit.loading import pick_device

    loading = options.loading
    device = together.device(loading.device, options.train.method)
    trains_on_host = pick_device(together.own_device(loading.device)).type == "cpu"
    if loading.dtype == "auto" and device == "cpu" and not trains_on_host:
        stored = inspect_checkpoint(find_source(name, loading.revision).path).dtypes[0]
        known = (each for each in get_args(DType) if each == stored)
        loading = replace(loading, dtype=next(known, loading.dtype))
    return replace(loading, device=device)


def _origin(options: FinetuneOptions, name: str) -> "Origin":
    from palikit.training import origin_of

    loading = options.loading
    origin = origin_of(
        name, loading.revision, tokenizer=loading.tokenizer, mask_codec=loading.mask_codec
    )
    origin.check(options.train)
    return origin


def _evaluate(
    rows: TrainingRows,
    predictor: "Predictor",
    options: FinetuneOptions,
    progress: TrainingProgress,
) -> "Evaluate | None":
    if not rows.validation:
        return None
    from palikit.evaluation.validation import make_validation
    from palikit.model.paligemma import PaliGemma
    from palikit.predictor import Predictor

    def make_predictor(model: PaliGemma) -> Predictor:
        return Predictor(
            model,
            predictor.processor,
            name=predictor.name,
            coordinates=predictor.coordinates,
            mask_codec=predictor.mask_codec,
            mask_edges=options.loading.mask_edges,
        )

    return make_validation(rows.validation, rows.task, make_predictor, progress=progress.validation)
