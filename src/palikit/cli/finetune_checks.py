"""What is wrong with the command line of `palikit finetune`, told before anything is loaded."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from palikit.cli.command import remark
from palikit.cli.finetune_data import NO_VALIDATION, TrainingRows, weighted
from palikit.cli.finetune_options import FinetuneOptions
from palikit.cli.options import is_typed
from palikit.data.options import OBJECT_TASKS, DataTask
from palikit.errors import InputError
from palikit.scores import check_metric
from palikit.train_options import TrainOptions, idle_options

if TYPE_CHECKING:
    from palikit.data.rows import Row

_OF_VALIDATION = ("metric", "patience", "evaluate_every")


def check_command(
    ctx: click.Context, options: FinetuneOptions, validation: str | None, task: DataTask | None
) -> None:
    """Refuse options that contradict each other or would do nothing.

    Args:
        ctx: of the command.
        options: as far as they are known without the model.
        validation: of --val.
        task: of --task.

    Raises:
        InputError: it is so.
    """
    train = options.train
    if is_typed(ctx, "steps") and is_typed(ctx, "epochs"):
        raise InputError(
            "--steps and --epochs are both given, and either says how long: leave one of them out"
        )
    for name, why in idle_options(train):
        if is_typed(ctx, name):
            raise InputError(why)
    if options.adapters is not None:
        options.adapters.check(train)
    if validation == NO_VALIDATION:
        _refuse_measuring(ctx, "--val is none")
    elif train.metric is not None:
        check_metric(train.metric, [task] if task else get_args(DataTask))


def check_sources(data: Sequence[str], validation: str | None) -> None:
    """Refuse data that are not there.

    Raises:
        InputError: with the first such name, or there is no name at all.
    """
    from palikit.data.reading import require_source

    if not data:
        raise InputError("data is missing: give --data, a folder or file of labelled pictures")
    for name in data_names(data, validation):
        require_source(Path(name))


def data_names(data: Sequence[str], validation: str | None) -> list[str]:
    """The files and folders of --data, without their weights, and of --val."""
    names = [weighted(each)[0] for each in data]
    return names if validation in (None, NO_VALIDATION) else [*names, str(validation)]


def check_rows(ctx: click.Context, options: FinetuneOptions, rows: TrainingRows) -> None:
    """Refuse options that have no meaning for these rows.

    Raises:
        InputError: it is so.
    """
    if not rows.validation:
        _refuse_measuring(ctx, "there is no validation set")
    elif options.train.metric is not None:
        check_metric(options.train.metric, [rows.task], _labels(rows.validation))
    if is_typed(ctx, "augment") and options.train.augment != "none":
        trained = (row for part, _ in rows.train for row in part)
        if not any(_task(row) in OBJECT_TASKS for row in trained):
            raise InputError(
                f"augment is {options.train.augment}, which turns pictures of detect and segment, "
                "and no row is of these: leave it out"
            )
    if options.loss.mean == "example":
        _tell_of_silence([row for part, _ in rows.train for row in part])


def _tell_of_silence(rows: "Sequence[Row]") -> None:
    """Say that answers of nothing will be learnt everywhere, where the mean makes it so.

    By example, the one token of an empty answer, <eos>, counts n times as much as the first of an
    answer of n, which is what it competes with.
    """
    asked = [row for row in rows if _task(row) in OBJECT_TASKS]
    silent = sum(not row.suffixes[0] for row in asked)
    others = sum(1 / (row.suffixes[0].count("<") + 1) for row in asked if row.suffixes[0])
    if others < silent < len(asked) / 2:
        remark(
            f"{silent:,} of {len(asked):,} rows show nothing, and averaged by example they "
            "outweigh how other answers begin: the model may learn to find nothing anywhere; "
            "--mean token counts every token alike"
        )


def without_measuring(options: TrainOptions) -> TrainOptions:
    """The options of a run without validation, of which a recipe may say how it is used."""
    return replace(options, metric=None, patience=0, evaluate_every=None)


def _refuse_measuring(ctx: click.Context, why: str) -> None:
    for name in _OF_VALIDATION:
        if is_typed(ctx, name):
            raise InputError(
                f"--{name.replace('_', '-')} is given and {why}: give rows to measure on with "
                "--val, or leave it out"
            )


def _task(row: "Row") -> str:
    from palikit.data.check_suffix import task_of

    return task_of(row, row.suffixes[0]).name


def _labels(rows: "Iterable[Row]") -> set[str]:
    """Classes that the rows ask for or show."""
    from palikit.data.check_suffix import read_suffix, task_of

    found: set[str] = set()
    for row in rows:
        found.update(task_of(row, row.suffixes[0]).labels)
        result = read_suffix(row, row.suffixes[0])
        shown = row.objects or (() if result is None else result.objects)
        found.update(each.label for each in shown)
    return found
