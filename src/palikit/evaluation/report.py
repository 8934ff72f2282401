"""From kept answers to a report: figure, parts, counts, published scores beside it, files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from palikit.errors import InputError, counted
from palikit.evaluation.answer_folder import (
    KIND,
    PAGE,
    PREDICTIONS,
    REPORT,
    SUBMISSION,
    AnswerFolder,
)
from palikit.evaluation.benchmarks.row import Answered
from palikit.evaluation.exam import Exam
from palikit.evaluation.metrics.score import Score
from palikit.evaluation.published import Beside, beside, remarks_on
from palikit.evaluation.record import answered_of, with_score
from palikit.evaluation.report_page import write_report_page
from palikit.evaluation.submission import submission_text
from palikit.recipes.row import ModelSize
from palikit.results import Objects

_PACKAGES = ("palikit", "torch", "numpy", "pillow", "tokenizers", "faster-coco-eval", "rapidfuzz")


@dataclass(frozen=True)
class Subject:
    """What answered: a model, or a file of answers.

    Attributes:
        name: of the model or the file.
        size: which of the released sizes it has; None for none of them.
        image_size: picture side in pixels; 0 where no model is known.
        batch_size: questions that went through it together; 0 where no model is known.
    """

    name: str
    size: ModelSize | None = None
    image_size: int = 0
    batch_size: int = 0


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes:
        name: of the benchmark, or the task of own data.
        title: of the data.
        split: of the data.
        subject: what answered.
        figure: the name of the figure.
        unit: "%" and "x100" print 100 times `score.value`; "" prints it as it is.
        score: the figure in the metric's own unit, with its interval, parts and values of each
            answer; None where the references are secret.
        higher_is_better: whether a larger figure is the better one.
        examples: answers.
        unparsed: answers of which a part could not be read.
        cut_off: answers that reached the limit of tokens.
        published: scores of the same size and picture side.
        remarks: what to know before figures are compared.
        folder: of its files.
        files: their names.
    """

    name: str
    title: str
    split: str
    subject: Subject
    figure: str
    unit: str
    score: Score | None
    higher_is_better: bool
    examples: int
    unparsed: int
    cut_off: int
    published: tuple[Beside, ...]
    remarks: tuple[str, ...]
    folder: Path
    files: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        """The figure in the unit that tables print.

        Raises:
            InputError: the references are secret.
        """
        return self.printed(self._known().value)

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95 % of the bootstrap samples, in that unit.

        Raises:
            InputError: the references are secret.
        """
        low, high = self._known().interval
        return self.printed(low), self.printed(high)

    def printed(self, value: float) -> float:
        """A figure in the unit that tables print."""
        return value if self.unit == "" else 100 * value

    def to_dict(self) -> dict[str, Any]:
        """The figures as report.json has them."""
        figure: dict[str, Any] = {
            "name": self.figure,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
        }
        parts: dict[str, Any] = {}
        if self.score is not None:
            figure["value"] = _number(self.value)
            figure["interval"] = [_number(edge) for edge in self.interval]
            parts = {name: _number(value) for name, value in self.score.parts}
        return {
            "name": self.name,
            "split": self.split,
            "examples": self.examples,
            "figure": figure,
            "parts": parts,
            "invalid": self.score.invalid if self.score else None,
            "unparsed": self.unparsed,
            "cut_off": self.cut_off,
            "published": [
                {**asdict(each.published), "this": each.value, "difference": each.difference}
                for each in self.published
            ],
            "remarks": list(self.remarks),
            "files": list(self.files),
        }

    def _known(self) -> Score:
        if self.score is None:
            raise InputError(
                f"the references of {self.title} ({self.split}) are secret: its server scores "
                f"{self.folder / SUBMISSION}"
            )
        return self.score


def make_report(
    exam: Exam,
    records: Mapping[str, Mapping[str, Any]],
    subject: Subject,
    folder: AnswerFolder,
    *,
    pictures: int = 24,
) -> Report:
    """Score all answers and write the files of a folder.

    Args:
        exam: what was asked.
        records: as of `record_of`, by id, of every question.
        subject: what answered.
        folder: where the files go; its journals are removed at the end.
        pictures: cards on the page, half of them the worst; 0 for no page.

    Raises:
        InputError: an answer is missing, or something cannot be written.
    """
    kept = _in_order(exam, records, folder.path)
    answered = [answered_of(item, record) for item, record in zip(exam.items, kept, strict=True)]
    score = None if exam.is_secret else exam.judge(answered)
    report = _report(exam, answered, score, subject, folder.path)
    files = [PREDICTIONS, REPORT]
    text = submission_text(exam, answered)
    if text is not None:
        folder.write(SUBMISSION, text)
        files.append(SUBMISSION)
    if pictures:
        write_report_page(folder.path / PAGE, exam, answered, report_line(report), score, pictures)
        files.append(PAGE)
    report = replace(report, files=tuple(files))
    if score is not None:
        values = score.per_example
        kept = [with_score(record, value) for record, value in zip(kept, values, strict=True)]
    folder.finish(kept, _whole(report, exam, folder))
    return report


def report_line(report: Report) -> str:
    """The figure in a line: "nano: ANLS (%) 73.6 (72.9 .. 74.2) on 5349 answers"."""
    number = counted(report.examples, "answer")
    if report.score is None:
        return f"{report.subject.name}: {number}; the references are secret"
    low, high = report.interval
    digits = 2 if report.unit else 4
    name = f"{report.figure} ({report.unit})" if report.unit else report.figure
    figure = f"{name} {report.value:.{digits}f}"
    between = f" ({low:.{digits}f} .. {high:.{digits}f})" if math.isfinite(low) else ""
    return f"{report.subject.name}: {figure}{between} on {number}"


def _in_order(
    exam: Exam, records: Mapping[str, Mapping[str, Any]], path: Path
) -> list[dict[str, Any]]:
    absent = [item.example.id for item in exam.items if item.example.id not in records]
    if absent:
        raise InputError(
            f"{path} has no answer to {len(absent)} of {len(exam.items)} questions, the first is "
            f"{absent[0]}: all processes must write to the same folder; run the command again"
        )
    return [dict(records[item.example.id]) for item in exam.items]


def _report(
    exam: Exam, answered: Sequence[Answered], score: Score | None, subject: Subject, path: Path
) -> Report:
    remarks = list(remarks_on(exam, subject.name, subject.size, subject.image_size))
    if not subject.image_size:
        remarks = remarks[:1]  # a file of answers does not say what wrote it
    if score is None:
        remarks.append("the references of this split are secret: only its server can score it")
    return Report(
        name=exam.name,
        title=exam.title,
        split=exam.split,
        subject=subject,
        figure=exam.figure,
        unit=exam.unit,
        score=score,
        higher_is_better=exam.higher_is_better,
        examples=len(answered),
        unparsed=sum(_is_unparsed(each) for each in answered),
        cut_off=sum(
            each.prediction is not None and each.prediction.finish_reason == "length"
            for each in answered
        ),
        published=() if score is None else beside(exam, score, subject.size, subject.image_size),
        remarks=tuple(remarks),
        folder=path,
    )


def _is_unparsed(answered: Answered) -> bool:
    result = answered.prediction.result if answered.prediction else None
    return isinstance(result, Objects) and bool(result.unparsed)


def _whole(report: Report, exam: Exam, folder: AnswerFolder) -> dict[str, Any]:
    """The report with what it is of, and what it was made with."""
    return {
        "kind": KIND,
        **report.to_dict(),
        "data": str(exam.source),
        "model": report.subject.name,
        "batch_size": report.subject.batch_size,
        "run": folder.identity,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
