"""Own data: the figures of a training's validation, with intervals."""

import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from palikit.data.options import RenderOptions
from palikit.data.rows import Row
from palikit.errors import InputError
from palikit.evaluation.answer_folder import AnswerFolder
from palikit.evaluation.answering import ask, batches_of
from palikit.evaluation.benchmarks import Answered, benchmark_named
from palikit.evaluation.cases import TruthReader
from palikit.evaluation.evaluate import _check_outlines, evaluate
from palikit.evaluation.exam import Exam
from palikit.evaluation.own import own_exam, own_rows
from palikit.evaluation.report import Subject, make_report
from palikit.evaluation.running import answer_missing
from palikit.options import GenerationOptions
from palikit.tasks import Task
from tests import tiny
from tests.e2e.test_finetune import write_rows
from tests.evaluation.exams import exam
from tests.evaluation.test_validation import (
    CODES,
    LEFT,
    RIGHT,
    boxes,
    detect_row,
    mask_codec,
    pictures,
    run,
    scripted,
)

__all__ = ["pictures"]  # a fixture


def exam_of(rows: list[Row], task) -> Exam:
    read = TruthReader("1023", mask_codec(), "round")
    return own_exam(rows, task, read, GenerationOptions(), source=Path("data"), split="val")


def answered_by(exam: Exam, *texts: str) -> list[Answered]:
    answers = ask(
        scripted(*texts), batches_of(exam.items, 8), exam.generation, batch_size=8, side=28
    )
    return [Answered(item.example, answer.text, answer) for item, answer in answers]


TASKS = {
    "detect": (boxes((LEFT, "cat")), boxes((LEFT, "cat"), (RIGHT, "dog"))),
    "caption": ("a cat", "a dog"),
    "vqa": ("yes", "no"),
    "ocr": ("abc", "abd"),
}


@pytest.mark.parametrize("task", TASKS)
def test_figures_are_those_of_a_validation(task, pictures: list[Path], tmp_path: Path) -> None:
    texts = TASKS[task]
    prefix = {"detect": "detect cat ; dog", "caption": "caption en", "vqa": "answer en is it?"}
    rows = [
        Row((path,), prefix.get(task, "ocr"), (texts[0],), where=path.name) for path in pictures
    ]
    answers = [texts[n % 2] for n in range(len(rows))]
    scores = run(rows, task, scripted(*answers), tmp_path, pictures=0)
    asked = exam_of(rows, task)
    folder = AnswerFolder(tmp_path / "out", {})
    folder.begin(overwrite=False)
    answer_missing(asked, scripted(*answers), folder, batch_size=8, side=28)
    report = make_report(asked, folder.answers(), Subject("scripted"), folder)
    assert report.score is not None
    assert report.figure == scores.main
    assert report.value == pytest.approx(scores.figure(scores.main))
    assert report.higher_is_better == scores.higher_is_better
    for name, value in scores.figures:
        if name != scores.main:
            assert report.score.part(name) == pytest.approx(value, abs=1e-6), name
    low, high = report.interval
    assert low <= report.value <= high
    assert "reference" in (tmp_path / "out" / "report.html").read_text()


def test_outlines_are_scored_by_their_quality(pictures: list[Path], tmp_path: Path) -> None:
    good = f"<loc0000><loc0000><loc1023><loc0512>{CODES} cat"
    bad = f"<loc0000><loc0600><loc1023><loc1023>{CODES} cat"
    rows = [Row((path,), "segment cat", (good,), where=path.name) for path in pictures]
    answers = [good, good, good, bad]
    scores = run(rows, "segment", scripted(*answers), tmp_path, pictures=0)
    asked = exam_of(rows, "segment")
    folder = AnswerFolder(tmp_path / "out", {})
    folder.begin(overwrite=False)
    answer_missing(asked, scripted(*answers), folder, batch_size=8, side=28)
    report = make_report(asked, folder.answers(), Subject("scripted"), folder)
    assert report.value == pytest.approx(scores.figure("quality"))
    assert report.value < 1
    assert report.score is not None
    assert report.score.per_example[0] == 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 8  # reference and answer of each


def test_rows_are_taken_from_the_validation_split(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", range(3))
    write_rows(tmp_path / "val.jsonl", range(2))
    rows, task, split = own_rows(str(tmp_path), None, None, RenderOptions(), None)
    assert (len(rows), task, split) == (2, "detect", "val")
    rows, _, split = own_rows(str(tmp_path), None, "train", RenderOptions(), None)
    assert (len(rows), split) == (3, "train")


def test_rows_of_several_tasks_need_one_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"  # whose name names no split
    folder.mkdir()
    write_rows(folder / "a.jsonl", range(3))
    write_rows(folder / "b.jsonl", range(2), prefix="caption en", suffix="a cat")
    with pytest.raises(InputError, match=r"ask for detect \(3\), caption \(2\): say which"):
        own_rows(str(folder), None, None, RenderOptions(), None)
    rows, task, split = own_rows(str(folder), "caption", None, RenderOptions(), None)
    assert (len(rows), task, split) == (2, "caption", "all")
    with pytest.raises(InputError, match="--task is ocr and the 5 rows of"):
        own_rows(str(folder), "ocr", None, RenderOptions(), None)


def test_outlines_without_a_mask_codec_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", range(3))
    with pytest.raises(InputError, match="there is no mask codec"):
        own_rows(str(tmp_path), "segment", None, RenderOptions(), None)


def test_questions_with_one_name_are_numbered(pictures: list[Path]) -> None:
    row = detect_row(pictures[0])
    asked = exam_of([row, row, detect_row(pictures[1])], "detect")
    assert [item.example.id for item in asked.items] == ["0.png", "0.png #2", "1.png"]


def test_one_call_measures_a_model(tmp_path: Path) -> None:
    write_rows(tmp_path / "val.jsonl", range(5))
    predictor, told = tiny.predictor(), []
    options = GenerationOptions(max_new_tokens=8)
    report = evaluate(
        predictor,
        tmp_path / "val.jsonl",
        output=tmp_path / "out",
        generation=options,
        on_answer=lambda: told.append(1),
    )
    assert (report.figure, report.examples, len(told)) == ("ap", 5, 5)
    again = evaluate(predictor, tmp_path / "val.jsonl", output=tmp_path / "out", generation=options)
    assert again.score == report.score
    with pytest.raises(InputError, match=r"holds another evaluation \(weights: "):
        evaluate(
            tiny.predictor(seed=1),
            tmp_path / "val.jsonl",
            output=tmp_path / "out",
            generation=options,
        )


def test_a_benchmark_has_no_task(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="benchmark and task do not go together"):
        evaluate(tiny.predictor(), tmp_path, output="out", benchmark="docvqa", task="vqa")


@pytest.mark.parametrize(
    ("codec", "edges", "told"),
    [
        (None, "truncate", "there is no mask codec"),
        (object(), "round", "measured with mask_edges='truncate' and this model was loaded with"),
        (object(), "truncate", None),
    ],
)
def test_outlines_of_a_benchmark_need_a_codec_and_its_edges(
    tmp_path: Path, codec: object, edges: str, told: str | None
) -> None:
    read = SimpleNamespace(mask_edges=edges)
    model = SimpleNamespace(mask_codec=codec, engine=SimpleNamespace(read=read))
    asked = exam(tmp_path)
    items = tuple(replace(item, task=Task("refer", "a cat", ("a cat",))) for item in asked.items)
    outlines, recipe = replace(asked, items=items), benchmark_named("refcoco-val")
    _check_outlines(asked, model, recipe)  # type: ignore[arg-type]
    with nullcontext() if told is None else pytest.raises(InputError, match=told):
        _check_outlines(outlines, model, recipe)  # type: ignore[arg-type]


def test_figures_are_the_same_in_every_process() -> None:
    program = (
        "from palikit.evaluation.metrics.objects import PictureObjects, TrueObject\n"
        "from palikit.evaluation.metrics.segmentation import instance_scores\n"
        "from palikit.masks import Mask\n"
        "from palikit.results import Box, Segment\n"
        "import numpy as np\n"
        "def mask(n): return Mask.from_patch(np.ones((9, n), bool), 0, 0, 99, 9)\n"
        "box, names = Box(0, 0, 9, 9), list('abcdefgh')\n"
        "truth = tuple(TrueObject(x, box, mask(30 + n)) for n, x in enumerate(names))\n"
        "found = tuple(Segment(box, x, (), mask(29 + n * n % 7)) for n, x in enumerate(names))\n"
        "print(repr(instance_scores([PictureObjects(truth, found)]).quality))\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in "1234"
    }
    assert len(printed) == 1


@pytest.mark.parametrize("task", TASKS)
def test_the_figure_alone_is_that_of_the_whole_score(task, pictures: list[Path]) -> None:
    texts = TASKS[task]
    prefix = {"detect": "detect cat ; dog", "caption": "caption en", "vqa": "answer en is it?"}
    rows = [Row((path,), prefix.get(task, "ocr"), (texts[0],)) for path in pictures]
    exam = exam_of(rows, task)
    answered = answered_by(exam, *(texts[n % 2] for n in range(len(rows))))
    assert exam.value_of(answered) == exam.judge(answered).value


def test_detection_is_measured_as_pascal_voc_does_too(pictures: list[Path]) -> None:
    exam = exam_of([detect_row(path, (LEFT, "cat")) for path in pictures], "detect")
    right, wrong = boxes((LEFT, "cat")), boxes((RIGHT, "cat"))
    score = exam.judge(answered_by(exam, right, wrong, right, wrong))
    assert dict(score.parts)["voc_ap"] == pytest.approx(0.25 + 0.25 * 2 / 3)
