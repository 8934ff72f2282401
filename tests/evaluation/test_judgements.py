"""Sentence judgements beside the captions of docci."""

from pathlib import Path

import pytest

from palikit.errors import InputError
from palikit.evaluation.benchmarks import benchmark_named
from palikit.evaluation.benchmarks.row import Answered
from palikit.evaluation.exam import Exam, benchmark_exam
from palikit.evaluation.judgements import with_judgements
from palikit.evaluation.published import beside
from tests.evaluation.exams import docci
from tests.evaluation.exams import exam as docvqa_exam

HEAD = "caption,sentence,rater_1,rater_2,rater_3\n"
ROWS = (
    "a,A dog.,Entailment,Entailment,Neutral\n"
    "a,It runs.,Neutral,Contradiction,Entailment\n"
    "b,A cat.,Contradiction,Contradiction,Contradiction\n"
    "b,It sleeps.,Entailment,Entailment,Entailment\n"
)


def judged(folder: Path, text: str) -> Exam:
    file = folder / "judgements.csv"
    file.write_text(text, "utf-8")
    return with_judgements(benchmark_exam(benchmark_named("docci"), docci(folder)), file)


def test_the_share_that_is_not_entailed_stands_beside_the_published_one(tmp_path: Path) -> None:
    exam = judged(tmp_path, HEAD + ROWS)
    score = exam.judge([Answered(item.example, "four") for item in exam.items])
    assert score.value == 4
    assert score.part("nes") == 50
    assert score.part("nes/low") <= 50 <= score.part("nes/high")
    assert score.part("nes/contradiction") == 25
    (published,) = [each for each in exam.benchmark.published if each.part == "nes"][2:3]
    rows = beside(exam, score, published.model, published.resolution)
    (nes,) = [each for each in rows if each.published.part == "nes"]
    assert nes.difference == pytest.approx(50 - published.value)


def test_judgements_of_other_captions_are_refused(tmp_path: Path) -> None:
    other = ROWS.replace("b,", "d,")
    with pytest.raises(InputError, match="a caption of 'd', which is not in DOCCI"):
        judged(tmp_path, HEAD + other)


def test_other_benchmarks_have_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="docvqa has no such figure"):
        with_judgements(docvqa_exam(tmp_path), tmp_path / "judgements.csv")
