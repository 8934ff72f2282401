"""The rows of `palikit finetune`: what it trains on, and what it is measured on."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from palikit.cli.command import remark
from palikit.data.options import OBJECT_TASKS, DataTask, RenderOptions
from palikit.data.split_names import split_of
from palikit.errors import InputError, counted
from palikit.evaluation.row_tasks import data_task_of, tasks_asked
from palikit.train_options import Augment

if TYPE_CHECKING:
    from palikit.cli.data_model import DataModel
    from palikit.data.rows import Encode, Row
    from palikit.training import Mixture, RowExamples

NO_VALIDATION = "none"
"""What --val takes for no validation."""

_TRAINED = (None, "train")
"""The splits that are trained on; None stands for rows without one."""


@dataclass(frozen=True)
class TrainingRows:
    """Rows by what they are for.

    Attributes:
        train: of each data set, with its weight.
        validation: none where there are none.
        task: of the validation, which decides the metric.
        encode: the model's mask codec, where it has one and outlines are learnt.
    """

    train: "tuple[tuple[tuple[Row, ...], float], ...]"
    validation: "tuple[Row, ...]"
    task: DataTask
    encode: "Encode | None" = None

    @property
    def example(self) -> "Row":
        """The first row trained on that asks for what is measured; of any task without one."""
        rows = [row for part, _ in self.train for row in part]
        return next((row for row in rows if data_task_of(row) == self.task), rows[0])

    @property
    def number(self) -> int:
        """Rows that are trained on."""
        return sum(len(rows) for rows, _ in self.train)

    def examples(self, augment: Augment = "none") -> "RowExamples | Mixture":
        """What the training takes; tells of pictures that are not turned."""
        from palikit.training import Mixture, RowExamples

        _tell_unturned([row for rows, _ in self.train for row in rows], augment)
        parts = tuple(
            (RowExamples(rows, augment=augment, encode=self.encode), weight)
            for rows, weight in self.train
        )
        return parts[0][0] if len(parts) == 1 else Mixture(parts)


def training_rows(
    data: Sequence[str],
    validation: str | None,
    task: DataTask | None,
    render: RenderOptions,
    model: "DataModel",
    limit: int,
) -> TrainingRows:
    """Load and check everything before the model is.

    Args:
        data: of --data: a file or folder, or such and "=" and a weight.
        validation: of --val; None takes the validation splits of the data.
        task: of --task; None asks the rows, and is detect for data that are no rows yet.
        render: how records become rows.
        model: its tokenizer counts tokens, its mask codec writes outlines.
        limit: most text tokens of a row.

    Raises:
        InputError: something that would make training wrong; the message names the first such row.
    """
    render = replace(render, task=task or render.task)
    encode = _encode(render, model)
    sources = [weighted(text) for text in data]
    _check_weights(data, sources)
    splits = (*_TRAINED, "val") if validation is None else _TRAINED
    found = [_rows(name, render, encode, splits) for name, _ in sources]
    train = tuple(
        (chosen, weight or float(len(chosen)))
        for (name, weight), rows in zip(sources, found, strict=True)
        if (chosen := _of_split(name, rows, "train"))
    )
    kept: list[Row] = []
    if validation is None:
        chosen_ids = {id(row) for rows, _ in train for row in rows}
        every = (row for rows in found for row in rows if row.split == "val")
        kept = [row for row in every if id(row) not in chosen_ids]
    elif validation != NO_VALIDATION:
        rows = _rows(validation, render, encode, (*_TRAINED, "val"))
        kept = list(_of_split(validation, rows, "val"))
    asked = tasks_asked([row for rows, _ in train for row in rows])
    measured = tasks_asked(kept)
    known = _task_measured(task, asked, measured)
    codec = model.mask_codec_file if "segment" in (known, *asked) else None
    if kept and known == "segment" and codec is None:
        raise InputError(
            "validation of segment draws the outlines that are answered, and the model has no mask "
            "codec: give one with --mask-codec vae-oid.npz, or leave validation out with --val none"
        )
    encode = encode or _encoder(codec)
    _check(train, kept, model, limit, encode)
    return TrainingRows(train, _of_task(kept, known), known, encode)


def _check_weights(data: Sequence[str], sources: Sequence[tuple[str, float | None]]) -> None:
    """A weight says how often a data set is drawn beside the others: all have one, or none has."""
    with_one = [text for text, (_, weight) in zip(data, sources, strict=True) if weight is not None]
    without = [name for name, weight in sources if weight is None]
    if with_one and without:
        raise InputError(
            f"--data {with_one[0]} has a weight and --data {without[0]} has none: give each a "
            f"weight, as in {without[0]}=1, or none, which mixes them in proportion to their rows"
        )


def _task_measured(
    task: DataTask | None, asked: "Counter[DataTask]", measured: "Counter[DataTask]"
) -> DataTask:
    """What is measured: what is given, else what most is learnt of what validation rows ask for."""
    if task is not None:
        anew = f"convert the data set anew with `palikit data convert --task {task}`"
        _check_task(task, asked, "rows", anew)
        _check_task(task, measured, "validation rows", "give other rows with --val")
        return task
    trained = [each for each, _ in asked.most_common()]
    return next(iter([each for each in trained if each in measured] or list(measured) or trained))


def _check_task(task: DataTask, asked: "Counter[DataTask]", rows: str, advice: str) -> None:
    """Prompts in a person's own words may be of any task but those that answer with objects."""
    if asked and task not in asked and (task in OBJECT_TASKS or set(asked) <= set(OBJECT_TASKS)):
        there = ", ".join(sorted(asked))
        raise InputError(
            f"--task is {task} and the {rows} ask for {there}: leave --task out, or {advice}"
        )


def _tell_unturned(rows: "Sequence[Row]", augment: Augment) -> None:
    if augment == "none":
        return
    from palikit.training.augment import sided_label

    labels = [(row, label) for row in rows if (label := sided_label(row, augment))]
    if labels:
        first, label = labels[0]
        number = counted(len(labels), "row")
        remark(
            f"--augment {augment} leaves the pictures of {number} as they are, because their "
            f"labels name sides: {first.where}, {label!r}"
        )


def weighted(text: str) -> tuple[str, float | None]:
    """D=0.3 as D and 0.3; a name may hold "=" itself."""
    name, _, weight = text.rpartition("=")
    try:
        value = float(weight)
    except ValueError:
        return text, None
    if not name or Path(text).exists():
        return text, None
    if not 0 < value < float("inf"):
        raise InputError(f"--data {text} has the weight {weight}: it must be above 0")
    return name, value


def _rows(
    source: str, render: RenderOptions, encode: "Encode | None", splits: Collection[str | None]
) -> "tuple[Row, ...]":
    """The rows of these splits, whatever is wrong in others; of a file of one split, all."""
    from palikit.data.rows import load_rows

    path = Path(source)
    is_one_split = path.is_file() and (split_of(path.stem) or split_of(path.parent.name))
    found = load_rows(source, None if is_one_split else splits, render, encode)
    for kind, count in Counter(problem.kind for problem in found.problems).items():
        first = next(problem for problem in found.problems if problem.kind == kind)
        remark(f"{source}: {first}" + (f" (and {count - 1} more: {kind})" if count > 1 else ""))
    return found.rows


def _of_split(source: str, rows: "Sequence[Row]", split: str) -> "tuple[Row, ...]":
    """The rows of a split; all of a file with one split, and of anything without splits."""
    splits = {row.split for row in rows}
    if splits == {None} or (Path(source).is_file() and len(splits) == 1):
        return tuple(rows)
    chosen = tuple(row for row in rows if row.split == split)
    if not chosen:
        names = ", ".join(sorted(str(each) for each in splits))
        raise InputError(
            f"{source} has no split {split}: it has {names}; give the file of the one you mean"
        )
    return chosen


def _of_task(rows: "Sequence[Row]", task: DataTask) -> "tuple[Row, ...]":
    """The rows of a task; one metric cannot measure several."""
    chosen = tuple(row for row in rows if data_task_of(row) == task)
    if not chosen:
        return tuple(rows)
    if others := tasks_asked([row for row in rows if data_task_of(row) != task]):
        named = " and ".join(f"{name} ({counted(n, 'row')})" for name, n in others.most_common())
        remark(
            f"validation measures {task} alone, on {counted(len(chosen), 'row')}, and not {named}: "
            f"to measure another, give --task {next(iter(others))}, or such rows alone with --val"
        )
    return chosen


def _check(
    train: "Sequence[tuple[Sequence[Row], float]]",
    validation: "Sequence[Row]",
    model: "DataModel",
    limit: int,
    encode: "Encode | None",
) -> None:
    from palikit.data.check import check_before_training

    rows_by_split = {"train": [row for rows, _ in train for row in rows]}
    if validation:
        rows_by_split["val"] = list(validation)
    check_before_training(rows_by_split, model.count_tokens, limit, encode)


def _encode(render: RenderOptions, model: "DataModel") -> "Encode | None":
    return _encoder(model.mask_codec_file) if render.task == "segment" else None


def _encoder(codec: Path | None) -> "Encode | None":
    if codec is None:
        return None
    from palikit.cli.data_model import outline_encoder

    return outline_encoder(codec)
