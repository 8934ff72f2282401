"""Answers in the formats people take them away in."""

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from palikit import tasks
from palikit.errors import InputError
from palikit.prediction import Prediction
from palikit.records import Layout, coco_dataset, json_line, prediction_from_dict, text_lines
from palikit.request import Request
from palikit.results import Answer, Box, Detection, Detections, Segments
from palikit.tasks import Task
from tests.fake_predictor import FakePredictor

ALL_TASKS = (
    tasks.caption(),
    tasks.describe("de"),
    tasks.answer("who?"),
    tasks.question("a cat"),
    tasks.ocr(),
    tasks.detect("cat ; dog"),
    tasks.segment("cat"),
    tasks.refer("the left cat"),
    tasks.plain("any"),
)


def predict(task: Task, name: str = "a.png", size: tuple[int, int] = (16, 12)) -> Prediction[Any]:
    picture = Image.new("RGB", size)
    return FakePredictor().predict([Request((picture,), task, name)])[0]


def found(label: str, name: str = "a.png") -> Prediction[Any]:
    prediction = predict(tasks.detect("cat"), name)
    objects = (Detection(Box(1, 2, 11, 7), label, 0.5),) if label else ()
    return replace(prediction, result=Detections(objects, 16, 12))


def test_one_prompt_numbers_the_classes_alike_in_every_picture() -> None:
    asked = predict(tasks.detect("moon ; star"))
    objects = tuple(Detection(Box(1, 2, 11, 7), label) for label in ("sun", "star"))
    answer = replace(asked, result=Detections(objects, 16, 12))
    assert [each["category_id"] for each in answer.to_coco()] == [3, 2]
    arrays = answer.to_arrays()
    assert arrays.class_names == ("moon", "star", "sun")
    assert arrays.class_id.tolist() == [2, 1]
    assert [each["category_id"] for each in answer.to_coco(category_ids={"star": 7})] == [7]
    assert answer.to_arrays(["star"]).class_id.tolist() == [-1, 0]


def test_a_referring_expression_is_its_own_class_whatever_it_begins_with() -> None:
    answer = predict(tasks.refer("detect cat"))
    assert answer.to_arrays().class_names == ("detect cat",)
    assert {each["category_id"] for each in answer.to_coco()} == {1}


@pytest.mark.parametrize("task", ALL_TASKS, ids=lambda task: task.name)
def test_a_record_read_back_writes_the_same_record(task: Task) -> None:
    record = predict(task).to_dict()
    assert prediction_from_dict(json.loads(json.dumps(record))).to_dict() == record


@pytest.mark.parametrize("task", ALL_TASKS, ids=lambda task: task.name)
def test_a_record_read_back_has_the_result_type_of_its_task(task: Task) -> None:
    prediction = predict(task)
    assert type(prediction_from_dict(prediction.to_dict()).result) is type(prediction.result)


def test_one_input_is_one_json_object_and_a_list_is_a_list_even_of_one() -> None:
    prediction = predict(tasks.caption())
    assert json.loads(Layout("json", "caption").whole([prediction])) == prediction.to_dict()
    many = Layout("json", "caption", many=True)
    assert json.loads(many.whole([prediction])) == [prediction.to_dict()]


def test_json_lines_are_one_line_each_whatever_the_text_holds() -> None:
    prediction = replace(predict(tasks.ocr()), text="one\ntwo\u2028three\r é")
    line = json_line(prediction)
    assert line.count("\n") == 1
    assert json.loads(line)["text"] == prediction.text
    assert "é" in line


def test_text_has_a_line_for_each_object_with_label_score_and_box() -> None:
    lines = Layout("text", "detect").one(predict(tasks.detect("cat ; dog"), size=(300, 150)))
    assert lines == "cat  0.25  0,0,100,50\ndog  0.25  0,0,100,50\n"


def test_text_of_a_segment_tells_the_size_of_its_mask() -> None:
    assert list(text_lines(predict(tasks.segment("cat")).result)) == [
        "cat  0.25  0,0,5,4  mask of 4 px"
    ]


def test_text_says_when_nothing_was_found() -> None:
    assert Layout("text", "detect").one(found("")) == "nothing found\n"


def test_text_begins_every_line_with_the_input_where_there_are_several() -> None:
    lines = Layout("text", "ocr", many=True).one(predict(tasks.ocr(), "scans/1.png"))
    assert lines == "scans/1.png: picture of 16 x 12\nscans/1.png: second line\n"


def test_an_empty_text_is_an_empty_line() -> None:
    assert list(text_lines(Answer(""))) == [""]


def test_csv_quotes_what_would_break_a_row() -> None:
    awkward = 'a "cat", or\ntwo'
    prediction = replace(predict(tasks.caption(), "a,b.png"), text=awkward)
    rows = list(csv.DictReader(io.StringIO(Layout("csv", "caption").whole([prediction]))))
    assert [(row["input"], row["text"]) for row in rows] == [("a,b.png", awkward)]


def test_csv_has_a_row_for_each_object() -> None:
    predictions = [predict(tasks.detect("cat ; dog")), found("", "b.png"), found("cat", "c.png")]
    rows = list(csv.DictReader(io.StringIO(Layout("csv", "detect").whole(predictions))))
    assert [(row["input"], row["label"]) for row in rows] == [
        ("a.png", "cat"),
        ("a.png", "dog"),
        ("b.png", ""),
        ("c.png", "cat"),
    ]
    assert {rows[2][name] for name in ("label", "score", "x1", "y1", "x2", "y2")} == {""}
    assert [rows[3][name] for name in ("x1", "y1", "x2", "y2")] == ["1", "2", "11", "7"]


def test_csv_of_segments_holds_their_masks() -> None:
    prediction = predict(tasks.segment("cat"))
    empty = replace(prediction, result=Segments((), 16, 12))
    row, nothing = csv.DictReader(io.StringIO(Layout("csv", "segment").whole([prediction, empty])))
    assert (nothing["width"], nothing["label"], nothing["mask"]) == ("16", "", "")
    assert (row["area"], row["mask"]) == ("4", prediction.result.objects[0].mask.to_rle()["counts"])


@pytest.mark.parametrize("task", ALL_TASKS, ids=lambda task: task.name)
def test_every_csv_row_is_as_wide_as_its_head(task: Task) -> None:
    head, *rows = csv.reader(io.StringIO(Layout("csv", task.name).whole([predict(task)])))
    assert rows
    assert {len(row) for row in rows} == {len(head)}


def test_coco_numbers_labels_as_asked_and_then_as_found() -> None:
    dataset = coco_dataset([found("zebra"), found("cat", "b.png")], ["dog", "cat"])
    names = {each["id"]: each["name"] for each in dataset["categories"]}
    assert names == {1: "dog", 2: "cat", 3: "zebra"}
    assert [each["category_id"] for each in dataset["annotations"]] == [3, 2]


def test_coco_keeps_pictures_in_which_nothing_was_found() -> None:
    dataset = coco_dataset([found("", "empty.png"), found("cat", "b.png")])
    assert [each["file_name"] for each in dataset["images"]] == ["empty.png", "b.png"]
    assert [each["image_id"] for each in dataset["annotations"]] == [2]


def test_coco_annotations_have_ids_areas_and_scores() -> None:
    (annotation,) = coco_dataset([found("cat")])["annotations"]
    assert annotation == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [1, 2, 10, 5],
        "score": 0.5,
        "area": 50,
        "iscrowd": 0,
    }


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools'
def test_coco_tools_read_the_data_set() -> None:
    coco = pytest.importorskip("pycocotools.coco")
    dataset = coco.COCO()
    dataset.dataset = json.loads(
        Layout("coco", "segment", labels=("cat",)).whole([predict(tasks.segment("cat"))])
    )
    dataset.createIndex()
    (annotation,) = dataset.loadAnns(dataset.getAnnIds(catIds=dataset.getCatIds(["cat"])))
    mask = dataset.annToMask(annotation)
    assert (mask.shape, int(mask.sum())) == ((12, 16), 4)


def test_coco_of_captions_are_caption_annotations() -> None:
    dataset = coco_dataset([predict(tasks.caption())])
    assert dataset["annotations"] == [{"id": 1, "image_id": 1, "caption": "picture of 16 x 12"}]


@pytest.mark.parametrize("task", ["answer", "ocr", "generate", "question"])
def test_coco_is_refused_for_tasks_it_has_no_records_for(task: Any) -> None:
    with pytest.raises(InputError, match="choose json"):
        Layout("coco", task)
