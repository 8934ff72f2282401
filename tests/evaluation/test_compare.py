"""Two evaluations side by side: paired differences, and what must not be compared."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palikit.errors import InputError
from palikit.evaluation.compare import compare, compared, read_finished
from palikit.evaluation.exam import Exam
from palikit.evaluation.metrics.score import Score
from palikit.evaluation.report import Subject, make_report
from tests.evaluation.exams import answer, answer_folder, exam
from tests.fake_predictor import FakePredictor


class Knowing(FakePredictor):
    """Answers the questions of some numbers rightly."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self.known = known

    def _answer(self, request):
        number = int(request.task.prompt.rsplit(" ", 1)[1].rstrip("?"))
        text = f"picture of {request.pictures[0].width} x 12"
        return replace(
            super()._answer(request), text=text if number in self.known else "something else"
        )


def evaluated(asked: Exam, folder: Path, known: set[int]) -> Path:
    kept = answer_folder(folder, asked)
    answer(asked, kept, Knowing(known))
    make_report(asked, kept.answers(), Subject("fake"), kept, pictures=0)
    return folder


def test_the_difference_is_paired(tmp_path: Path) -> None:
    asked = exam(tmp_path, 20)
    first = read_finished(evaluated(asked, tmp_path / "a", set(range(10))))
    other = read_finished(evaluated(asked, tmp_path / "b", set(range(1, 15))))
    base, row = compare([first, other])
    assert base.difference is None
    assert row.difference == pytest.approx(100 * (14 - 10) / 20)
    assert (row.better, row.worse) == (5, 1)
    assert row.same == 14 / 20
    low, high = row.between
    gains = np.array([1.0] * 5 + [-1.0] + [0.0] * 14)
    drawn = np.random.default_rng(1).choice(gains, (4000, 20)).mean(axis=1)
    assert low == pytest.approx(100 * np.quantile(drawn, 0.025), abs=4)
    assert high == pytest.approx(100 * np.quantile(drawn, 0.975), abs=4)


def test_the_same_answers_differ_by_nothing(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    finished = [read_finished(evaluated(asked, tmp_path / n, {1, 2})) for n in ("a", "b")]
    row = compare(finished)[1]
    assert (row.difference, row.between, row.same) == (0, (0, 0), 1)
    record = compared(compare(finished), finished)
    assert record["rows"][0]["difference"] is None
    assert json.loads(json.dumps(record))["rows"][1]["difference_interval"] == [0, 0]


def test_a_figure_that_is_no_mean_is_computed_anew_for_pairs(tmp_path: Path) -> None:
    plain = exam(tmp_path, 20)

    def squared(answered) -> Score:
        score = plain.judge(answered)
        return replace(score, value=score.value**2)

    asked = replace(plain, judge=squared)
    finished = [
        read_finished(evaluated(asked, tmp_path / "a", set(range(10)))),
        read_finished(evaluated(asked, tmp_path / "b", set(range(14)))),
    ]
    unknown = compare(finished)[1]
    assert np.isnan(unknown.between[0])
    row = compare(finished, asked)[1]
    assert row.difference == pytest.approx(100 * (0.7**2 - 0.5**2))
    low, high = row.between
    assert low < row.difference < high
    assert (low + high) / 2 == pytest.approx(row.difference)
    assert 10 < high - low < 80


def test_evaluations_of_other_questions_are_not_compared(tmp_path: Path) -> None:
    first = read_finished(evaluated(exam(tmp_path, 7), tmp_path / "a", {1}))
    other = read_finished(evaluated(exam(tmp_path, 7, limit=5), tmp_path / "b", {1}))
    with pytest.raises(InputError, match="not of the same questions, 2 are in one"):
        compare([first, other])


def test_evaluations_of_other_data_are_not_compared(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    first = read_finished(evaluated(asked, tmp_path / "a", {1}))
    item = asked.items[0]
    changed = replace(item, example=replace(item.example, answers=("else",)))
    other = replace(asked, items=(changed, *asked.items[1:]))
    second = read_finished(evaluated(other, tmp_path / "b", {1}))
    with pytest.raises(InputError, match="of other data under the same names"):
        compare([first, second])


def test_a_folder_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no finished evaluation"):
        read_finished(tmp_path)


def test_records_keep_no_picture(tmp_path: Path) -> None:
    asked = exam(tmp_path, 1)
    folder = answer_folder(tmp_path / "a", asked)
    answer(asked, folder)
    (record,) = folder.answers().values()
    assert json.loads(json.dumps(record)) == record
    assert record.keys() >= {"id", "prompt", "answer", "finish_reason"}


def test_data_of_another_exam_compare_nothing(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    finished = [read_finished(evaluated(asked, tmp_path / n, {1})) for n in ("a", "b")]
    for other in (replace(asked, split="test"), replace(asked, name="own-segment")):
        with pytest.raises(InputError, match=r"is of .*, val, and the data are of"):
            compare(finished, other)
    assert compare(finished, asked)
