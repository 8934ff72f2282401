"""Two evaluations of the same questions: the difference, question by question, and how sure it is.

Where the figure is the mean of what each answer is worth, the interval is a bootstrap over the
paired differences. A figure that is not, such as average precision, is computed anew for pairs
drawn at random, and the interval is the spread of their differences about the difference itself.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from palikit.errors import InputError
from palikit.evaluation.answer_folder import KIND, PREDICTIONS, REPORT
from palikit.evaluation.exam import Exam
from palikit.evaluation.metrics.score import mean_score
from palikit.evaluation.record import answered_of, read_line

SAMPLES = 40
"""Pairs of sets that are drawn where each costs two whole evaluations: its standard deviation is
then known to about a tenth."""

_NORMAL = 1.96
"""Standard deviations to either side that hold 95 %."""


@dataclass(frozen=True)
class Finished:
    """An evaluation's folder.

    Attributes:
        name: it goes by in the table.
        folder: of its files.
        report: what report.json holds.
        records: the lines of predictions.jsonl, by id.
    """

    name: str
    folder: Path
    report: Mapping[str, Any]
    records: Mapping[str, Mapping[str, Any]]

    @property
    def value(self) -> float:
        """The figure, as it is printed."""
        return float(self.report["figure"]["value"])

    @property
    def interval(self) -> tuple[float, float]:
        """Of the figure."""
        low, high = self.report["figure"]["interval"]
        return _known(low), _known(high)


@dataclass(frozen=True)
class Difference:
    """One evaluation beside the first.

    Attributes:
        name: of the evaluation.
        folder: of its files.
        value: its figure, as it is printed.
        interval: of the figure.
        difference: less the first one's; None for the first itself.
        between: 95 % interval of the difference; nan where it is not known.
        same: share of answers that are the same text.
        better, worse: questions whose answer is worth more, and less.
    """

    name: str
    folder: Path
    value: float
    interval: tuple[float, float]
    difference: float | None = None
    between: tuple[float, float] = (math.nan, math.nan)
    same: float = 1.0
    better: int = 0
    worse: int = 0


def read_finished(folder: Path, name: str | None = None) -> Finished:
    """A folder that `palikit evaluate` finished.

    Raises:
        InputError: it holds no finished evaluation, or one without a figure.
    """
    try:
        report = json.loads((folder / REPORT).read_bytes())
        lines = (folder / PREDICTIONS).read_bytes().split(b"\n")
    except (OSError, ValueError):
        raise InputError(
            f"{folder} holds no finished evaluation: give the folder of one, or finish it with "
            "palikit evaluate --output"
        ) from None
    records = [read_line(line) for line in lines if line]
    if not isinstance(report, dict) or report.get("kind") != KIND or None in records:
        raise InputError(f"{folder} holds no evaluation of PaliKit: give the folder of one")
    if "value" not in report["figure"]:
        raise InputError(f"{folder} has no figure to compare: its references are secret")
    by_id = {each["id"]: each for each in records if each is not None}
    return Finished(name or folder.name, folder, report, by_id)


def compare(finished: Sequence[Finished], exam: Exam | None = None) -> list[Difference]:
    """Each evaluation beside the first.

    Args:
        finished: two or more, of the same questions.
        exam: what was asked; needed for the interval of figures that are no means.

    Raises:
        InputError: they are not of the same questions and the same figure, or not of the exam.
    """
    first = finished[0]
    for other in finished[1:]:
        _check(first, other)
    if exam is not None:
        _check_exam(exam, first)
    rows = [Difference(first.name, first.folder, first.value, first.interval)]
    return rows + [_difference(first, other, exam) for other in finished[1:]]


def compared(rows: Sequence[Difference], finished: Sequence[Finished]) -> dict[str, Any]:
    """A comparison as JSON has it."""
    report = finished[0].report
    return {
        "kind": "palikit comparison",
        "name": report["name"],
        "split": report["split"],
        "examples": report["examples"],
        "figure": report["figure"]["name"],
        "unit": report["figure"]["unit"],
        "rows": [
            {
                "name": row.name,
                "folder": str(row.folder),
                "value": row.value,
                "interval": [_finite(edge) for edge in row.interval],
                "difference": row.difference,
                "difference_interval": [_finite(edge) for edge in row.between],
                "same_answers": row.same,
                "better": row.better,
                "worse": row.worse,
            }
            for row in rows
        ],
    }


def _check(first: Finished, other: Finished) -> None:
    one, two = first.report["figure"], other.report["figure"]
    if (first.report["name"], one["name"]) != (other.report["name"], two["name"]):
        raise InputError(
            f"{first.folder} is of {first.report['name']} ({one['name']}) and {other.folder} of "
            f"{other.report['name']} ({two['name']}): give two evaluations of the same"
        )
    if first.records.keys() != other.records.keys():
        number = len(first.records.keys() ^ other.records.keys())
        raise InputError(
            f"{first.folder} and {other.folder} are not of the same questions, {number} are in one "
            "of them alone: evaluate both on the same data, split and --limit"
        )
    data = [each.report["run"]["data"] for each in (first, other)]
    if data[0] != data[1]:
        raise InputError(
            f"{first.folder} and {other.folder} are of other data under the same names (prompts, "
            "references or pictures differ): evaluate both on the same data"
        )


def _check_exam(exam: Exam, first: Finished) -> None:
    told = (first.report["name"], first.report["split"])
    if (exam.name, exam.split) != told:
        raise InputError(
            f"{first.folder} is of {told[0]}, {told[1]}, and the data are of {exam.name}, "
            f"{exam.split}: give the same --benchmark or --task, and --split"
        )


def _difference(first: Finished, other: Finished, exam: Exam | None) -> Difference:
    pairs = [(first.records[name], other.records[name]) for name in first.records]
    gains = np.array([_known(b["score"]) - _known(a["score"]) for a, b in pairs])
    sign = 1 if first.report["figure"]["higher_is_better"] else -1
    return Difference(
        other.name,
        other.folder,
        other.value,
        other.interval,
        other.value - first.value,
        _between(first, other, gains, exam),
        sum(a["answer"] == b["answer"] for a, b in pairs) / len(pairs),
        int((sign * gains > 0).sum()),
        int((sign * gains < 0).sum()),
    )


def _between(
    first: Finished, other: Finished, gains: "np.typing.NDArray[np.float64]", exam: Exam | None
) -> tuple[float, float]:
    scale = 1 if first.report["figure"]["unit"] == "" else 100
    if all(_is_mean(each, scale) for each in (first, other)):
        low, high = mean_score(gains).interval
        return scale * low, scale * high
    if exam is None:
        return math.nan, math.nan
    spread = scale * _spread(exam, first, other)
    middle = other.value - first.value
    return middle - _NORMAL * spread, middle + _NORMAL * spread


def _is_mean(finished: Finished, scale: int) -> bool:
    values = [_known(record["score"]) for record in finished.records.values()]
    return math.isclose(scale * sum(values) / len(values), finished.value, abs_tol=1e-6)


def _spread(exam: Exam, first: Finished, other: Finished) -> float:
    """Standard deviation of the difference of the figures over pairs drawn at random."""
    pairs = [
        (answered_of(item, first.records[name]), answered_of(item, other.records[name]))
        for item in exam.items
        if (name := item.example.id) in first.records
    ]
    random, found = np.random.default_rng(0), []
    for _ in range(SAMPLES):
        drawn = [pairs[place] for place in random.integers(len(pairs), size=len(pairs))]
        try:
            one, two = (exam.value_of([pair[side] for pair in drawn]) for side in (0, 1))
        except InputError:  # a sample in which nothing is to be found
            continue
        found.append(two - one)
    return float(np.std(found, ddof=1)) if len(found) > SAMPLES // 2 else math.nan


def _known(value: Any) -> float:
    return math.nan if value is None else float(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
