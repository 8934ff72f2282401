"""What `palikit data check` found, for people and for machines."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from palikit.data.records import Problem

_BAR = 30
"""Characters of the longest bar of the label histogram."""


@dataclass(frozen=True)
class Spread:
    """Percentiles of a number, by nearest rank."""

    p50: int
    p90: int
    p99: int
    max: int

    @classmethod
    def of(cls, numbers: Sequence[int]) -> Self | None:
        """The spread of one or more numbers; None of none."""
        if not numbers:
            return None
        ordered = sorted(numbers)
        p50, p90, p99 = (ordered[math.ceil(s * len(ordered)) - 1] for s in (0.5, 0.9, 0.99))
        return cls(p50, p90, p99, ordered[-1])

    def __str__(self) -> str:
        """In one line."""
        return f"half up to {self.p50}, 90 % {self.p90}, 99 % {self.p99}, most {self.max}"


@dataclass(frozen=True)
class Lengths:
    """Text tokens of the rows, and how many rows are over the limit."""

    limit: int
    is_exact: bool
    over: int
    tokens: Spread


@dataclass(frozen=True)
class SplitFacts:
    """One split: its rows, distinct picture files, objects, and rows where nothing is there."""

    name: str
    rows: int
    pictures: int
    objects: int
    empty: int


@dataclass(frozen=True)
class LabelFacts:
    """How often a label stands, and in how many rows."""

    label: str
    objects: int
    rows: int


@dataclass(frozen=True)
class Report:
    """Everything found.

    Attributes:
        source: what was checked.
        problems: all of them, errors and warnings.
        notes: what is worth knowing and in order.
        splits: in the order of the source.
        labels: the most frequent first.
        objects_per_row: None where rows name no objects.
        lengths: None without rows.
    """

    source: str
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    splits: tuple[SplitFacts, ...]
    labels: tuple[LabelFacts, ...]
    objects_per_row: Spread | None
    lengths: Lengths | None

    @property
    def errors(self) -> int:
        """Number of problems that would make training wrong."""
        return sum(problem.is_error for problem in self.problems)

    @property
    def warnings(self) -> int:
        """Number of the other problems."""
        return len(self.problems) - self.errors

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**asdict(self), "errors": self.errors, "warnings": self.warnings}


def report_lines(report: Report, most: int | None, estimate: str) -> Iterator[str]:
    """The report for a person.

    Args:
        report: what was found.
        most: problems of a kind that are told; None for all.
        estimate: how tokens were counted where not by a tokenizer.
    """
    yield from _split_lines(report)
    if report.objects_per_row is not None:
        yield f"objects a row: {report.objects_per_row}"
    if report.lengths is not None:
        yield from _length_lines(report.lengths, estimate)
    yield from _label_lines(report.labels, most)
    yield from (f"note: {note}" for note in report.notes)
    for title, are_errors in (("errors", True), ("warnings", False)):
        if told := [each for each in report.problems if each.is_error == are_errors]:
            yield from ("", f"{title}:")
            yield from (f"  {line}" for line in grouped_lines(told, most))
    yield from ("", f"{_count(report.errors, 'error')}, {_count(report.warnings, 'warning')}")


def grouped_lines(problems: Sequence[Problem], most: int | None) -> Iterator[str]:
    """Problems by kind, in the order the kinds are met, at most so many of each."""
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.kind or "other"].append(problem)
    for kind, group in kinds.items():
        yield f"{kind} ({len(group)})"
        yield from (f"  {problem}" for problem in group[:most])
        if most is not None and len(group) > most:
            yield f"  and {len(group) - most} more: --all shows them"


def _split_lines(report: Report) -> Iterator[str]:
    yield f"{report.source}:"
    for split in report.splits:
        empty = f", {split.empty} with nothing to find" if split.empty else ""
        yield (
            f"  {split.name}: {_count(split.rows, 'row')}, {_count(split.pictures, 'picture')}, "
            f"{_count(split.objects, 'object')}{empty}"
        )
    if not report.splits:
        yield "  no rows"


def _length_lines(lengths: Lengths, estimate: str) -> Iterator[str]:
    over = f"; {lengths.over} over" if lengths.over else ""
    yield f"text tokens a row: {lengths.tokens}; limit {lengths.limit}{over}"
    if not lengths.is_exact:
        yield f"  ({estimate})"


def _label_lines(labels: Sequence[LabelFacts], most: int | None) -> Iterator[str]:
    if not labels:
        return
    shown = labels if most is None else labels[: 2 * most]
    yield f"labels ({len(labels)}):"
    width = max(len(each.label) for each in shown)
    top = max(each.objects for each in labels)
    for each in shown:
        bar = "#" * math.ceil(_BAR * each.objects / max(top, 1))
        counts = f"{each.objects:>7} in {_count(each.rows, 'row')}"
        yield f"  {each.label:<{width}} {counts:<24} {bar}".rstrip()
    if len(shown) < len(labels):
        yield f"  and {len(labels) - len(shown)} more: --all shows them"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
