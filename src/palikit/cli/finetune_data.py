"""The rows of `palikit finetune`: what it trains on, and what it is measured on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from palikit.cli.command import remark
from palikit.data.options import OBJECT_TASKS, DataTask, RenderOptions
from palikit.errors import InputError
from palikit.train_options import Augment

if TYPE_CHECKING:
    from palikit.cli.data_model import DataModel
    from palikit.data.rows import Encode, Row
    from palikit.training import Mixture, RowExamples

NO_VALIDATION = "none"
"""What --val takes for no validation."""

_TASK_OF: dict[str, DataTask] = {
    "detect": "detect",
    "segment": "segment",
    "refer": "segment",
    "caption": "caption",
    "describe": "caption",
    "answer": "vqa",
    "ocr": "ocr",
}


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
    def number(self) -> int:
        """Rows that are trained on."""
        return sum(len(rows) for rows, _ in self.train)

    def examples(self, augment: Augment = "none") -> "RowExamples | Mixture":
        """What the training takes."""
        from palikit.training import Mixture, RowExamples

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
    found = [(_rows(name, render, encode), weight) for name, weight in sources]
    is_weighted = any(weight is not None for _, weight in sources)
    train = tuple(
        (chosen, (weight or 1.0) if is_weighted else float(len(chosen)))
        for (name, weight), (rows, _) in zip(sources, found, strict=True)
        if (chosen := _of_split(name, rows, "train"))
    )
    kept: list[Row] = []
    if validation is None:
        kept = [row for rows, _ in found for row in rows if row.split == "val"]
        chosen_ids = {id(row) for rows, _ in train for row in rows}
        kept = [row for row in kept if id(row) not in chosen_ids]
    elif validation != NO_VALIDATION:
        kept = list(_of_split(validation, _rows(validation, render, encode), "val"))
    asked = _tasks_of([row for rows, _ in train for row in rows])
    if task is not None:
        _check_task(task, asked)
    known = task or asked.most_common(1)[0][0]
    codec = model.mask_codec_file if "segment" in (known, *asked) else None
    encode = encode or _encoder(codec)
    _check(train, kept, model, limit, encode)
    return TrainingRows(train, _of_task(kept, known), known, encode)


def _check_task(task: DataTask, asked: "Counter[DataTask]") -> None:
    """Prompts in a person's own words may be of any task but those that answer with objects."""
    if task not in asked and (task in OBJECT_TASKS or set(asked) <= set(OBJECT_TASKS)):
        raise InputError(
            f"--task is {task} and the rows ask for {', '.join(sorted(asked))}: leave --task out, "
            f"or convert the data set anew with `palikit data convert --task {task}`"
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


def _rows(source: str, render: RenderOptions, encode: "Encode | None") -> "tuple[Row, ...]":
    from palikit.data.rows import load_rows

    found = load_rows(source, None, render, encode)
    for kind, count in Counter(problem.kind for problem in found.problems).items():
        first = next(problem for problem in found.problems if problem.kind == kind)
        remark(f"{source}: {first}" + (f" (and {count - 1} more: {kind})" if count > 1 else ""))
    return found.rows


def _of_split(source: str, rows: "Sequence[Row]", split: str) -> "tuple[Row, ...]":
    """The rows of a split; all of a single file, or of a folder without splits."""
    splits = {row.split for row in rows}
    if Path(source).is_file() or splits == {None}:
        return tuple(rows)
    chosen = tuple(row for row in rows if row.split == split)
    if not chosen:
        names = ", ".join(sorted(str(each) for each in splits))
        raise InputError(
            f"{source} has no split {split}: it has {names}; give the file of the one you mean"
        )
    return chosen


def _tasks_of(rows: "Sequence[Row]") -> Counter[DataTask]:
    """How many rows ask for what, by their prompts; questions in any words are vqa."""
    from palikit.data.check_suffix import task_of

    return Counter(_TASK_OF.get(task_of(row, row.suffixes[0]).name, "vqa") for row in rows)


def _of_task(rows: "Sequence[Row]", task: DataTask) -> "tuple[Row, ...]":
    """The rows of a task; one metric cannot measure several."""
    chosen = tuple(row for row in rows if task in _tasks_of([row]))
    if not chosen:
        return tuple(rows)
    if len(chosen) < len(rows):
        remark(
            f"validation measures {task} on {len(chosen)} rows; the other {len(rows) - len(chosen)}"
            " ask for something else: give --task for another one"
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
