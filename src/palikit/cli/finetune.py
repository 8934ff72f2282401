"""`palikit finetune`: from a folder of labelled pictures to a model."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from palikit.cli.command import INTERRUPTED, Command, remark
from palikit.cli.finetune_card import write_run_card
from palikit.cli.finetune_data import TrainingRows, training_rows
from palikit.cli.finetune_options import SECTIONS, FinetuneOptions, finetune_options
from palikit.cli.finetune_processes import Together, together
from palikit.cli.finetune_progress import TrainingProgress, training_progress
from palikit.cli.options import is_typed, options_of
from palikit.data.options import DataTask, RenderOptions
from palikit.options import LoadOptions
from palikit.published import BUILT_IN
from palikit.train_options import LoraOptions, LossOptions, TrainOptions

if TYPE_CHECKING:
    from palikit.predictor import Predictor
    from palikit.training import Evaluate, RunResult

_COMMAND_OF: dict[DataTask, str] = {
    "detect": 'palikit detect photo.jpg "{labels}" --model {model}',
    "segment": 'palikit segment photo.jpg "{labels}" --model {model}',
    "caption": "palikit caption photo.jpg --model {model}",
    "vqa": 'palikit answer photo.jpg "{question}" --model {model}',
    "ocr": "palikit ocr photo.jpg --model {model}",
}


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
palikit finetune --model google/paligemma2-3b-pt-448 --data cells/ --output runs/cells --method lora
palikit finetune -m pt/ --data train.jsonl --val val.jsonl --output runs/a --dry-run
palikit finetune -m pt/ --data photos/=1 --data scans/=0.3 --task ocr --output runs/b --steps 2000
palikit finetune -m pt/ --data cells/ --output runs/cells --recipe own-detect
palikit finetune -m pt/ --data cells/ --output runs/cells --resume""",
)
@click.option("--model", "-m", envvar="PALIKIT_MODEL", metavar="MODEL", help=_MODEL_HELP)
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="D[=WEIGHT]",
    help="A folder or file of rows, or of any format that `palikit data convert` reads; several "
    "are mixed by their weights, or without any in proportion to their rows.",
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
@click.option("--resume", is_flag=True, help="Go on from the latest checkpoint in RUN.")
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
@options_of(LoadOptions, without=("adapter",))
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
    with together() as processes:
        options = finetune_options(ctx, recipe)
        if repository is not None:
            from palikit.publishing import check_name

            check_name(repository)
        if not model:
            remark(_NANO)
        name = model or BUILT_IN
        from palikit.cli.data_model import open_data_model
        from palikit.training.run_folder import check_output
        from palikit.training.setup import number_of_steps

        if not dry_run and processes.is_first:
            check_output(Path(output), resume=resume, overwrite=overwrite)
        known = open_data_model(name, options.loading)
        options = finetune_options(ctx, recipe, known)
        rows = training_rows(data, val, task, options.render, known, options.train.max_text_tokens)
        steps = number_of_steps(rows.number, options.train)
        if dry_run:
            from palikit.cli.finetune_dry_run import dry_run as show

            show(options, rows, known, name, steps)
            return
        if not rows.validation:
            remark("there is no validation set: the last model is taken for the best one")
        with training_progress() as progress:
            progress.remark(f"loading {name}")
            result = _train(
                options, rows, name, Path(output), progress, processes, resume, overwrite
            )
        if result.ending == "interrupted":
            _tell_interrupted(ctx, result, processes)
        if processes.is_first:
            write_run_card(result, options, rows, name, data)
            _tell(result, rows, _loading_words(ctx, options))
            _push(result, repository)


def _train(
    options: FinetuneOptions,
    rows: TrainingRows,
    name: str,
    output: Path,
    progress: TrainingProgress,
    together: Together,
    resume: bool,  # noqa: FBT001 (as the command has them)
    overwrite: bool,  # noqa: FBT001
) -> "RunResult":
    from palikit.loading import load_with
    from palikit.training import finetune as train
    from palikit.training import origin_of

    processes = together.processes(options.loading.device)
    processes.check(options.train)
    origin = origin_of(
        name,
        options.loading.revision,
        tokenizer=options.loading.tokenizer,
        mask_codec=options.loading.mask_codec,
    )
    origin.check(options.train)
    device = together.device(options.loading.device)
    predictor = load_with(name, replace(options.loading, device=device))
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


def _tell_interrupted(ctx: click.Context, result: "RunResult", processes: Together) -> None:
    arguments = [each for each in sys.argv[1:] if each not in ("--resume", "--overwrite")]
    remark(
        f"interrupted after step {result.step}; go on with: "
        f"{processes.command([*arguments, '--resume'])}"
    )
    ctx.exit(INTERRUPTED)


def _loading_words(ctx: click.Context, options: FinetuneOptions) -> str:
    """Options of loading that were given and that the finished model does not know by itself."""
    names = ["resize", "coordinates", "mask_edges"]
    if options.adapters is not None:
        names.append("image_size")
    values = {name: str(getattr(options.loading, name)) for name in names if is_typed(ctx, name)}
    words = [f" --{name.replace('_', '-')} {shlex.quote(value)}" for name, value in values.items()]
    return "".join(words)


def _tell(result: "RunResult", rows: TrainingRows, loading: str) -> None:
    """What came of the run, and the command that comes next."""
    if result.ending == "early":
        remark(f"stopped after step {result.step}: validation got no better")
    if result.score is not None:
        name, value = result.score
        click.echo(f"best: {name} {value:.4g} after step {result.best_step}")
    first = rows.train[0][0][0]
    prompt = first.prefix.partition(" ")[2]
    command = _COMMAND_OF[rows.task].format(
        model=shlex.quote(str(result.best)), labels=prompt, question=_question(first.prefix)
    )
    click.echo(f"use it: {command}{loading}")


def _push(result: "RunResult", repository: str | None) -> None:
    if repository is not None and result.best is not None:
        from palikit.publishing import publish

        click.echo(f"pushed: {publish(result.best, repository)}")


def _question(prefix: str) -> str:
    """The question in a prompt such as "answer en what is this?"."""
    words = prefix.split(" ", 2)
    return words[2] if words[0] == "answer" and len(words) == 3 else prefix
