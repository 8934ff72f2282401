"""Own data as an exam: rows in any format of `palikit data`, scored as a training's validation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from palikit.data.options import DataTask, RenderOptions
from palikit.data.rows import Encode, Row, load_rows
from palikit.errors import InputError, counted
from palikit.evaluation.benchmarks.row import Answered, Example
from palikit.evaluation.cases import Case, TruthReader, make_cases
from palikit.evaluation.exam import Exam, Item, sampled
from palikit.evaluation.metrics.objects import TrueObject
from palikit.evaluation.metrics.score import Score
from palikit.evaluation.own_scores import own_score, own_value
from palikit.evaluation.row_tasks import data_task_of, tasks_asked
from palikit.evaluation.scoring import Judged, judge
from palikit.options import GenerationOptions
from palikit.scores import figures_of

_SPLITS = ("val", "test")
"""What is measured on where nothing is said; else all rows that are in no split."""


@dataclass(frozen=True)
class OwnJudge:
    """Scores answers to rows, as `palikit finetune` does while it trains.

    Attributes:
        cases: rows and tasks, by the id of their question.
        task: what is measured.
        read: how suffixes become objects.
    """

    cases: dict[str, Case]
    task: DataTask
    read: TruthReader

    def __call__(self, answered: Sequence[Answered]) -> Score:
        """The figure of a task; the others are its parts."""
        return own_score(self._judged(answered), self.task)

    def value(self, answered: Sequence[Answered]) -> float:
        """The figure alone."""
        return own_value(self._judged(answered), self.task)

    def _judged(self, answered: Sequence[Answered]) -> list[Judged]:
        return [
            judge(self.cases[each.example.id], each.prediction, self.task, self.read)
            for each in answered
            if each.prediction is not None
        ]

    def truth(self, answered: Answered) -> tuple[TrueObject, ...]:
        """The objects of one row; () for tasks without any."""
        found = answered.prediction
        if found is None or self.task not in ("detect", "segment"):
            return ()
        return self.read(self.cases[answered.example.id], found.width, found.height)


def own_rows(
    source: str,
    task: DataTask | None,
    split: str | None,
    render: RenderOptions,
    encode: Encode | None,
) -> tuple[tuple[Row, ...], DataTask, str]:
    """The rows that are measured on, what they ask for, and the split they are of.

    Args:
        source: a file or folder in any format of `palikit data`.
        task: what is measured; None takes what all rows ask for.
        split: None takes "val", else "test", else all.
        render: how records become rows; its task is that of `task`.
        encode: turns outlines into codes, for segment.

    Raises:
        InputError: the data cannot be used, the rows ask for several tasks and none is named, or
            none asks for the one that is.
    """
    if task == "segment" and encode is None:
        raise no_codec()
    rows = load_rows(source, split, replace(render, task=task or render.task), encode).rows
    chosen = split or next((each for each in _SPLITS if any(r.split == each for r in rows)), None)
    if split is None and chosen is not None:
        rows = tuple(row for row in rows if row.split == chosen)
    asked = tasks_asked(rows)
    if task is None and len(asked) > 1:
        there = ", ".join(f"{name} ({number})" for name, number in asked.most_common())
        raise InputError(f"the rows of {source} ask for {there}: say which to measure with --task")
    measured = next(iter(asked)) if task is None else task
    if measured == "segment" and encode is None:
        raise no_codec()
    kept = tuple(row for row in rows if data_task_of(row) == measured)
    if not kept and measured == "vqa":
        kept = rows
    if not kept:
        there = ", ".join(asked)
        raise InputError(
            f"--task is {measured} and the {counted(len(rows), 'row')} of {source} ask for "
            f"{there}: name one of {', '.join(get_args(DataTask))} that is there"
        )
    return kept, measured, chosen or "all"


def no_codec() -> InputError:
    """What is said where outlines are measured and cannot be drawn."""
    return InputError(
        "segment draws the outlines that are answered, and there is no mask codec: give one with "
        "--mask-codec vae-oid.npz, or put it beside the model"
    )


def own_exam(
    rows: Sequence[Row],
    task: DataTask,
    read: TruthReader,
    generation: GenerationOptions,
    *,
    source: Path,
    split: str,
    limit: int | None = None,
) -> Exam:
    """Rows as an exam.

    Args:
        rows: at least one.
        task: what they ask for.
        read: how suffixes become objects in pixels.
        generation: how answers are decoded.
        source: where the rows lie.
        split: which they are of.
        limit: how many to draw; see `sampled`.
    """
    cases = make_cases(rows, task)
    ids = _ids(rows)
    items = tuple(
        Item(_example(case.row, name), case.task) for case, name in zip(cases, ids, strict=True)
    )
    own_judge = OwnJudge(dict(zip(ids, cases, strict=True)), task, read)
    figure = figures_of(task)[0]
    return Exam(
        name=task,
        title=f"{source} ({task})",
        split=split,
        source=source,
        items=sampled(items, limit),
        judge=own_judge,
        figure=figure,
        unit="",
        higher_is_better=figure != "cer",
        generation=generation,
        truth=own_judge.truth,
        limit=limit,
        all_ids=frozenset(ids),
        value=own_judge.value,
    )


def _example(row: Row, name: str) -> Example:
    objects = None
    if row.objects is not None:
        objects = tuple(
            TrueObject(each.label, each.box, each.mask, crowd=each.crowd, area=each.area)
            for each in row.objects
        )
    return Example(name, row.images, row.prefix, row.suffixes, objects=objects, where=row.where)


def _ids(rows: Sequence[Row]) -> list[str]:
    """The source's own names, else the places in it; numbered where they repeat."""
    taken: dict[str, int] = {}
    names = []
    for row in rows:
        name = row.id or row.where
        taken[name] = taken.get(name, 0) + 1
        names.append(name if taken[name] == 1 else f"{name} #{taken[name]}")
    return names
