"""Answers from files: every form read back, and no file scored by half."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palikit.errors import InputError
from palikit.evaluation.benchmarks.judges import outlines
from palikit.evaluation.benchmarks.row import Answered, Example
from palikit.evaluation.exam import Exam, Item
from palikit.evaluation.finished_answers import Reading, lacks_mask, read_answers
from palikit.evaluation.metrics.objects import TrueObject
from palikit.evaluation.record import answered_of
from palikit.evaluation.report import Subject, make_report
from palikit.evaluation.submission import category_ids, submission_text
from palikit.masks import Mask
from palikit.results import Box, Detection, Detections, Segment, Segments
from palikit.tasks import Task
from tests.evaluation.exams import answer, answer_folder, exam
from tests.fake_predictor import write_picture


def lines(file: Path, *records: object) -> Path:
    file.write_text("".join(json.dumps(each) + "\n" for each in records))
    return file


def answers(asked: Exam, *without: str) -> list[dict[str, str]]:
    ids = [item.example.id for item in asked.items]
    return [{"id": name, "answer": f"answer {name}"} for name in ids if name not in without]


@pytest.fixture
def asked(tmp_path: Path) -> Exam:
    return exam(tmp_path, 3)


def refused(asked: Exam, file: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_answers(file, asked, Reading())
    return str(caught.value)


def test_lines_with_id_and_answer_are_scored(asked: Exam, tmp_path: Path) -> None:
    right = [{"id": "100", "answer": "Picture of 20 x 12"}, *answers(asked, "100")]
    records = read_answers(lines(tmp_path / "a.jsonl", *right), asked, Reading())
    folder = answer_folder(tmp_path / "out", asked)
    folder.begin(overwrite=False)
    report = make_report(asked, records, Subject("a.jsonl"), folder, pictures=0)
    assert report.score is not None
    assert report.score.per_example[0] == 1
    assert report.value == pytest.approx(100 * sum(report.score.per_example) / 3)


def test_an_answer_to_no_question_is_refused(asked: Exam, tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", *answers(asked), {"id": "7", "answer": "x"})
    assert "line 4: question 7 is not in DocVQA (val)" in refused(asked, file)


def test_a_question_without_an_answer_is_refused(asked: Exam, tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", *answers(asked, "101"))
    assert "has no answer to 1 of 3 questions, the first is 101" in refused(asked, file)


def test_two_answers_to_one_question_are_refused(asked: Exam, tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", *answers(asked), answers(asked)[0])
    assert "line 4: question 100 has been answered already" in refused(asked, file)


def test_a_file_that_is_not_utf8_is_refused(asked: Exam, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes('{"id": "100", "answer": "caf\xe9"}\n'.encode("latin-1"))
    assert "line 1, is not UTF-8 text" in refused(asked, file)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", "{", "line 1, is not JSON"),
        ("a.jsonl", "[1]", r"line 1 is [1]: expected an object"),
        ("a.jsonl", '{"answer": "x"}', "does not say which question it answers"),
        ("a.jsonl", '{"id": 100}', "(question 100) has no text as its answer"),
        ("a.json", "{}", "holds a dict: expected a list of answers"),
        ("a.json", "[", "is not JSON"),
    ],
)
def test_what_is_no_answer_is_refused(
    asked: Exam, tmp_path: Path, name: str, text: str, said: str
) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert said in refused(asked, file)


def test_a_sample_takes_answers_to_the_whole_set(tmp_path: Path) -> None:
    whole = exam(tmp_path, 7)
    sample = exam(tmp_path, 7, limit=3)
    file = lines(tmp_path / "a.jsonl", *answers(whole))
    assert read_answers(file, sample, Reading()).keys() == {i.example.id for i in sample.items}
    assert len(sample.items) == 3


def test_our_own_file_of_answers_scores_as_before(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    folder = answer_folder(tmp_path / "out", asked)
    answer(asked, folder)
    first = make_report(asked, folder.answers(), Subject("fake"), folder, pictures=0)
    again = read_answers(folder.path / "predictions.jsonl", asked, Reading())
    other = answer_folder(tmp_path / "again", asked)
    other.begin(overwrite=False)
    assert make_report(asked, again, Subject("fake"), other, pictures=0).score == first.score
    submitted = read_answers(folder.path / "submission.json", asked, Reading())
    assert {name: each["answer"] for name, each in submitted.items()} == {
        name: each["answer"] for name, each in again.items()
    }


# Submission files


def with_answers(asked: Exam, kind: str, texts: list[str], name: str = "any") -> tuple[Exam, str]:
    assert asked.benchmark is not None
    made = replace(asked, name=name, benchmark=replace(asked.benchmark, submission=kind))
    answered = [Answered(item.example, text) for item, text in zip(made.items, texts, strict=True)]
    text = submission_text(made, answered)
    assert text is not None
    return made, text


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("vqa", {"question_id": 100, "answer": "a"}),
        ("textvqa", {"question_id": 100, "answer": "a"}),
        ("stvqa", {"question_id": 100, "answer": "a"}),
        ("docvqa", {"questionId": 100, "answer": "a"}),
        ("vizwiz", {"image": "100", "answer": "a"}),
        ("coco-captions", {"image_id": 100, "caption": "a"}),
    ],
)
def test_a_submission_is_as_its_server_takes_it_and_reads_back(
    asked: Exam, tmp_path: Path, kind: str, first: dict[str, object]
) -> None:
    made, text = with_answers(asked, kind, ["a", "b", "ü"])
    assert json.loads(text)[0] == first
    file = tmp_path / "s.json"
    file.write_text(text, encoding="utf-8")
    found = read_answers(file, made, Reading())
    assert [each["answer"] for each in found.values()] == ["a", "b", "ü"]


@pytest.mark.parametrize(
    ("name", "key"), [("aokvqa-mc", "multiple_choice"), ("aokvqa-da", "direct_answer")]
)
def test_aokvqa_names_its_setting(asked: Exam, tmp_path: Path, name: str, key: str) -> None:
    made, text = with_answers(asked, "aokvqa", ["a", "b", "c"], name)
    assert json.loads(text)["101"] == {key: "b"}
    file = tmp_path / "s.json"
    file.write_text(text)
    assert read_answers(file, made, Reading())["102"]["answer"] == "c"


def objects_exam(asked: Exam, tmp_path: Path, kind: str, task: Task) -> Exam:
    assert asked.benchmark is not None
    truth = (TrueObject("cat", Box(0, 0, 8, 8)), TrueObject("dog", Box(8, 0, 16, 8)))
    items = tuple(
        Item(Example(str(n), (write_picture(tmp_path / f"{n}.png"),), task.prompt, objects=truth),
             task)
        for n in (1, 2)
    )  # fmt: skip
    benchmark = replace(asked.benchmark, submission=kind)
    return replace(asked, items=items, benchmark=benchmark, all_ids=frozenset({"1", "2"}))


def test_detections_go_to_coco_results_and_back(asked: Exam, tmp_path: Path) -> None:
    made = objects_exam(asked, tmp_path, "coco-detections", Task("detect", "detect cat ; dog"))
    (tmp_path / "docvqa" / "annotations").mkdir()
    categories = {"categories": [{"id": 17, "name": "cat"}, {"id": 90, "name": "dog"}]}
    (tmp_path / "docvqa" / "annotations" / "instances_val.json").write_text(json.dumps(categories))
    found = Detections((Detection(Box(1, 2, 4, 8), "dog", 0.5),), 16, 12)
    first, second = (Answered(item.example, "", _prediction(item, found)) for item in made.items)
    text = submission_text(made, [first, replace(second, prediction=None)])
    assert text is not None
    assert json.loads(text) == [
        {"image_id": 1, "category_id": 90, "bbox": [1, 2, 3, 6], "score": 0.5}
    ]
    file = tmp_path / "s.json"
    file.write_text(text)
    records = read_answers(file, made, Reading())
    back = answered_of(made.items[0], records["1"]).prediction
    assert back is not None
    assert back.result.objects == found.objects
    nothing = answered_of(made.items[1], records["2"]).prediction
    assert nothing is not None
    assert nothing.result.objects == ()


def test_outlines_of_expressions_go_to_a_file_and_back(asked: Exam, tmp_path: Path) -> None:
    made = objects_exam(asked, tmp_path, "refcoco", Task("refer", "the cat", ("the cat",)))
    mask = Mask.from_patch(np.ones((6, 3), np.bool_), 1, 2, 16, 12)
    found = Segments((Segment(Box(1, 2, 4, 8), "the cat", (), mask),), 16, 12)
    answered = [Answered(item.example, "", _prediction(item, found)) for item in made.items]
    text = submission_text(made, [answered[0], Answered(made.items[1].example, "no")])
    assert text is not None
    assert [each["box"] for each in json.loads(text)] == [[1, 2, 4, 8], None]
    file = tmp_path / "s.json"
    file.write_text(text)
    records = read_answers(file, made, Reading())
    back = answered_of(made.items[0], records["1"]).prediction
    assert back is not None
    assert back.result.objects[0].mask == mask


OUTLINE = "<loc0170><loc0064><loc0682><loc0256>" + "<seg001>" * 16


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        (OUTLINE, True),
        (f"{OUTLINE}{OUTLINE}", True),
        (f"{OUTLINE} and more", True),
        (f"a cat {OUTLINE}", False),
        (f"<loc0001>{OUTLINE}", False),
        ("", True),  # objects of a file, which have no text
    ],
)
def test_of_an_expression_the_first_twenty_tokens_are_read(
    asked: Exam, tmp_path: Path, text: str, *, is_found: bool
) -> None:
    made = objects_exam(asked, tmp_path, "refcoco", Task("refer", "the cat", ("the cat",)))
    mask = Mask.from_patch(np.ones((6, 3), np.bool_), 1, 2, 16, 12)
    found = Segments((Segment(Box(1, 2, 4, 8), "the cat", (), mask),), 16, 12)
    truth = (TrueObject("the cat", Box(1, 2, 4, 8), mask),)
    item = made.items[0]
    example = replace(item.example, objects=truth)
    (score,) = outlines([Answered(example, text, _prediction(item, found))]).per_example
    assert score == is_found


def test_codes_without_an_outline_are_told() -> None:
    def record(*masks: object) -> dict[str, object]:
        objects = [{"codes": [1] * 16, "mask": mask} for mask in masks]
        return {"id": "1", "result": {"objects": objects}}

    assert lacks_mask(record({"size": [1, 1]}, None))
    assert not lacks_mask(record({"size": [1, 1]}))
    assert not lacks_mask({"id": "1", "answer": "x"})


def test_the_categories_are_read_from_the_file_of_the_split(asked: Exam, tmp_path: Path) -> None:
    made = objects_exam(asked, tmp_path, "coco-detections", Task("detect", "detect cat", ("cat",)))
    folder = made.source / "annotations"
    folder.mkdir(exist_ok=True)
    (folder / "instances_train.json").write_text("not read, and far too large")
    categories = {"categories": [{"id": 17, "name": "cat"}]}
    (folder / f"instances_{made.split}.json").write_text(json.dumps(categories))
    assert category_ids(made) == {"cat": 17}


def test_texts_of_boxes_are_read_in_the_pixels_of_their_picture(
    asked: Exam, tmp_path: Path
) -> None:
    made = objects_exam(asked, tmp_path, "refcoco", Task("detect", "detect cat", ("cat",)))
    text = "<loc0000><loc0000><loc1023><loc0512> cat"
    file = lines(
        tmp_path / "a.jsonl", {"id": "1", "answer": text}, {"id": "2", "answer": "nothing"}
    )
    records = read_answers(file, made, Reading())
    box = records["1"]["result"]["objects"][0]["box"]
    assert box == pytest.approx([0, 0, 8.01, 12], abs=0.01)
    assert records["2"]["result"]["unparsed"] == "nothing"


def _prediction(item: Item, result: Detections | Segments):
    from palikit.prediction import Prediction

    return Prediction(
        input="",
        task=item.task.name,
        prompt=item.task.prompt,
        text="",
        result=result,
        score=None,
        score_basis="vocabulary",
        finish_reason="stop",
        width=16,
        height=12,
        model="",
    )
