"""`palikit evaluate`: how good a model is, on a published benchmark or on data of your own."""

from pathlib import Path
from typing import get_args

import click

from palikit.cli.command import LABELS_SECTION, Command, names_of
from palikit.cli.evaluate_exam import DecodingOptions, asked_for, exam_of, loading_of
from palikit.cli.finetune_processes import together
from palikit.cli.options import ParallelOptions, options_of, read_options
from palikit.cli.team import met_team
from palikit.data.options import DataTask, RenderOptions
from palikit.errors import InputError
from palikit.options import LoadOptions

_MODEL_HELP = (
    "Folder, .safetensors or .npz file, or a name on the Hub; else PALIKIT_MODEL, else nano."
)
_LOST = "the evaluation with it: to go on, run the same command again"


class EvaluateCommand(Command):
    """Its options in sections of its own."""

    sections = (
        (LABELS_SECTION, names_of(RenderOptions)),
        ("Decoding", names_of(DecodingOptions)),
        ("Loading the model", names_of(LoadOptions, ParallelOptions)),
    )


@click.command(
    cls=EvaluateCommand,
    epilog="""\
palikit evaluate --benchmark docvqa --data docvqa/ -m google/paligemma-3b-ft-docvqa-896
palikit evaluate --data cells/ --task detect -m runs/cells/best --output report
palikit evaluate --benchmark textvqa --data textvqa/ --predictions answers.json
palikit evaluate --data cells/ --compare runs/a/best runs/b/best
palikit evaluate --compare report-a/ report-b/
palikit evaluate --data cells/ -m runs/a/best --compare-forms bfloat16,int8,nf4""",
)
@click.option("--model", "-m", envvar="PALIKIT_MODEL", metavar="MODEL", help=_MODEL_HELP)
@click.option("--benchmark", metavar="NAME", help="A published one: `palikit benchmarks`.")
@click.option(
    "--data",
    metavar="DIR",
    help="The benchmark's data, or without --benchmark rows or labelled pictures in any format "
    "that `palikit data convert` reads.",
)
@click.option(
    "--task",
    type=click.Choice(get_args(DataTask)),
    help="What is measured on own data; by default what all rows ask for.",
)
@click.option(
    "--split",
    metavar="NAME",
    help="By default the one that published scores are of; of own data val, else test, else all.",
)
@click.option(
    "--limit", type=int, metavar="N", help="N questions drawn at random; always the same."
)
@click.option(
    "--output",
    metavar="DIR",
    help="Folder of report, answers and page; by default one that is named after the evaluation.",
)
@click.option(
    "--predictions",
    metavar="FILE",
    help="Score these answers and ask no model: JSON lines with id and answer, or the file that "
    "the benchmark's own server takes.",
)
@click.option(
    "--judgements",
    metavar="FILE",
    help="What people said of the sentences of docci's captions, .csv or .jsonl: the share that is "
    "not entailed (NES) beside the other figures.",
)
@click.option(
    "--compare",
    nargs=2,
    metavar="A B",
    help="Two models on the same questions, or the folders of two finished evaluations.",
)
@click.option(
    "--compare-forms",
    metavar="F,G,...",
    help="One model held in several forms: float32, bfloat16, float16, int8, int4, nf4, fp8.",
)
@click.option("--batch-size", type=click.IntRange(1), help="Questions that go together.")
@click.option("--overwrite", is_flag=True, help="Begin anew in a folder that holds another one.")
@click.option("--quiet", is_flag=True, help="No progress and no remarks; errors are still shown.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="A table, or JSON, on standard output.",
)
@options_of(RenderOptions, without=("task", "seed", "rename", "object_order"))
@options_of(DecodingOptions)
@options_of(LoadOptions)
@options_of(ParallelOptions)
@click.pass_context
def evaluate(
    ctx: click.Context,
    model: str | None,
    benchmark: str | None,
    data: str | None,
    task: DataTask | None,
    split: str | None,
    limit: int | None,
    output: str | None,
    predictions: str | None,
    judgements: str | None,
    compare: tuple[str, str] | None,
    compare_forms: str | None,
    batch_size: int | None,
    output_format: str,
    *,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Measure a model on a published benchmark, or on data of your own.

    The folder of the evaluation gets every answer as it comes; the same command again goes on after
    an interruption. Figures come with the interval of 95 % of bootstrap samples. Processes that
    torchrun starts share the questions, or with --tensor-parallel the model.
    """
    from palikit.cli import evaluate_compare
    from palikit.cli.evaluate_run import Runner, Settings, checked_model, score_answers
    from palikit.cli.evaluate_tables import show_report

    _check_together(predictions, judgements, compare, compare_forms)
    evaluate_compare.check_folders(compare, data)
    settings = Settings(output, overwrite, batch_size, quiet)
    if compare and all(map(evaluate_compare.is_finished, compare)):
        exam = None
        if data is not None:
            asked = asked_for(ctx, benchmark, data, task, split, limit)
            exam = exam_of(ctx, asked, None, loading_of(ctx, asked))
        folders = [Path(name) for name in compare]
        evaluate_compare.compare_folders(folders, exam, output, output_format, overwrite=overwrite)
        return
    asked = asked_for(ctx, benchmark, data, task, split, limit, judgements)
    loading = loading_of(ctx, asked)
    if predictions is not None:
        report = score_answers(ctx, asked, settings, Path(predictions), loading, model)
        show_report(report, output_format, quiet=quiet)
        return
    forms = evaluate_compare.forms_of(compare_forms) if compare_forms is not None else []
    # Before any model is fetched: of a benchmark, nothing depends on the model.
    exam = None if benchmark is None else exam_of(ctx, asked, None, loading)
    with together(_LOST) as processes:
        met = processes.processes(loading.device)
        team = met_team(read_options(ctx, ParallelOptions), loading)
        runner = Runner(ctx, asked, settings, processes, met, exam, team)
        if compare is not None:
            evaluate_compare.compare_models(runner, compare, loading, output_format)
        elif forms:
            name = checked_model(model, quiet=quiet)
            evaluate_compare.compare_forms(runner, name, loading, forms, output_format)
        else:
            name = checked_model(model, quiet=quiet)
            measured = runner.model(name, loading, None)
            if measured.report is not None:
                show_report(measured.report, output_format, quiet=quiet)


def _check_together(
    predictions: str | None,
    judgements: str | None,
    compare: tuple[str, str] | None,
    compare_forms: str | None,
) -> None:
    compared = [compare is not None, compare_forms is not None]
    if sum([predictions is not None, *compared]) > 1:
        raise InputError("--predictions, --compare and --compare-forms: give one of them")
    if judgements is not None and any(compared):
        raise InputError("--judgements are of the captions of one model: give no --compare")
