"""What people said of the sentences of captions, as figures beside those of the captions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from palikit.errors import InputError
from palikit.evaluation.benchmarks.row import Answered
from palikit.evaluation.exam import Exam
from palikit.evaluation.metrics.long_captions import non_entailment, read_judgements
from palikit.evaluation.metrics.score import Score

_PART = "nes"
"""The part of a score that is the share of non-entailment sentences."""


def with_judgements(exam: Exam, file: str | Path) -> Exam:
    """An exam whose score has the parts of a file of judgements too, x100 as tables print them.

    These are `nes`, the edges of its interval `nes/low` and `nes/high`, and the share of sentences
    of each verdict.

    Args:
        exam: of a benchmark that such figures were published for.
        file: as of `read_judgements`; a caption is called as its question.

    Raises:
        InputError: nothing of the kind was published for the benchmark, or the file cannot be used
            or is of captions that are not in the data.
    """
    published = exam.benchmark.published if exam.benchmark else ()
    if _PART not in {each.part for each in published}:
        raise InputError(f"judgements of sentences belong to docci: {exam.name} has no such figure")
    rows = read_judgements(file)
    if unknown := sorted({row.caption for row in rows} - exam.all_ids):
        more = f", nor are {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise InputError(
            f"{file} judges a caption of {unknown[0]!r}, which is not in {exam.title} "
            f"({exam.split}){more}: name captions by their id in predictions.jsonl"
        )
    found = non_entailment(rows)
    low, high = found.interval
    figures = ((_PART, found.value), (f"{_PART}/low", low), (f"{_PART}/high", high))
    verdicts = ((f"{_PART}/{name}", value) for name, value in found.parts)
    parts = tuple((name, 100 * value) for name, value in (*figures, *verdicts))

    def judge(answered: Sequence[Answered]) -> Score:
        score = exam.judge(answered)
        return replace(score, parts=(*score.parts, *parts))

    return replace(exam, judge=judge)
