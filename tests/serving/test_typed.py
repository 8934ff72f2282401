"""The typed routes: the library's verbs, in both forms of a request."""

import io
from typing import Any

import pytest
from PIL import Image

from palikit import tasks
from palikit.request import Request
from palikit.serving import schemas
from tests.fake_predictor import FakePredictor
from tests.serving.made import (
    FakeScheduler,
    base64_of,
    data_uri,
    fake_client,
    png,
    white_share,
)

VERBS: list[tuple[str, dict[str, Any], tasks.Task]] = [
    ("caption", {"language": "de"}, tasks.caption("de")),
    ("describe", {}, tasks.describe()),
    ("answer", {"question": "what is it?", "language": "fr"}, tasks.answer("what is it?", "fr")),
    ("ocr", {}, tasks.ocr()),
    ("detect", {"labels": "cat ; dog"}, tasks.detect("cat ; dog")),
    ("segment", {"labels": ["cat", "dog"]}, tasks.segment("cat ; dog")),
]
MODELS = {"detect": schemas.DetectionsTold, "segment": schemas.SegmentsTold}


def library_record(task: tasks.Task) -> dict[str, Any]:
    """What the library says of the same question."""
    request = Request((Image.new("RGB", (12, 9)),), task, "picture")
    (prediction,) = FakePredictor("fake").predict([request])
    return prediction.to_dict() | {"text": "one two three"}


@pytest.mark.parametrize(("verb", "fields", "task"), VERBS, ids=[each[0] for each in VERBS])
def test_json_gets_what_the_library_says(
    verb: str, fields: dict[str, Any], task: tasks.Task
) -> None:
    answer = fake_client().post(f"/v1/{verb}", json={"image": base64_of(png()), **fields})
    assert answer.status_code == 200
    assert answer.json() == library_record(task)
    MODELS.get(verb, schemas.TextTold).model_validate(answer.json())


@pytest.mark.parametrize(("verb", "fields", "task"), VERBS, ids=[each[0] for each in VERBS])
def test_an_upload_gets_the_same_as_json(
    verb: str, fields: dict[str, Any], task: tasks.Task
) -> None:
    form = {name: " ; ".join(v) if isinstance(v, list) else v for name, v in fields.items()}
    files = {"image": ("photo.png", png(), "image/png")}
    answer = fake_client().post(f"/v1/{verb}", data=form, files=files)
    assert answer.json() == library_record(task)


def test_options_of_generation_reach_the_model() -> None:
    scheduler = FakeScheduler()
    form = {"labels": "cat", "max_new_tokens": "7", "temperature": "0.5", "grammar": "false"}
    fake_client(scheduler).post("/v1/detect", data=form, files={"image": png()})
    options = scheduler.jobs[0].options
    assert (options.max_new_tokens, options.temperature, options.grammar) == (7, 0.5, False)


@pytest.mark.parametrize("verb", ["caption", "describe"])
def test_several_pictures_make_one_question(verb: str) -> None:
    scheduler = FakeScheduler()
    images = [data_uri(), base64_of(png(20, 10))]
    assert fake_client(scheduler).post(f"/v1/{verb}", json={"image": images}).status_code == 200
    assert [each.size for each in scheduler.jobs[0].request.pictures] == [(12, 9), (20, 10)]


def test_several_files_make_one_question() -> None:
    scheduler = FakeScheduler()
    files = [("image", ("a.png", png())), ("image", ("b.png", png(20, 10)))]
    fake_client(scheduler).post("/v1/answer", data={"question": "which?"}, files=files)
    assert len(scheduler.jobs[0].request.pictures) == 2


@pytest.mark.parametrize("verb", ["ocr", "detect", "segment"])
def test_boxes_and_texts_are_of_one_picture(verb: str) -> None:
    fields = {} if verb == "ocr" else {"labels": "cat"}
    answer = fake_client().post(f"/v1/{verb}", json={"image": [data_uri()] * 2, **fields})
    assert answer.status_code == 400
    assert "one picture" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "how", [{"params": {"overlay": "png"}}, {"headers": {"accept": "image/png"}}]
)
@pytest.mark.parametrize(("verb", "fields", "task"), VERBS, ids=[each[0] for each in VERBS])
def test_the_drawn_picture_is_sent_where_asked(
    verb: str, fields: dict[str, Any], task: tasks.Task, how: dict[str, Any]
) -> None:
    client = fake_client()
    answer = client.post(f"/v1/{verb}", json={"image": base64_of(png(64, 48)), **fields}, **how)
    assert answer.headers["content-type"] == "image/png"
    drawn = Image.open(io.BytesIO(answer.content))
    assert drawn.width >= 64
    assert drawn.convert("RGB").getcolors(2) is None


def test_masks_come_in_the_form_asked_for() -> None:
    found = {}
    for form in ("rle", "png", "polygons", "none"):
        body = {"image": data_uri(), "labels": "cat", "masks": form}
        answer = fake_client().post("/v1/segment", json=body).json()
        schemas.SegmentsTold.model_validate(answer)
        found[form] = answer["result"]["objects"][0]["mask"]
    assert found["rle"]["size"] == [9, 12]
    assert white_share(found["png"]) == pytest.approx(4 / (12 * 9))
    assert found["polygons"] == [[0, 0, 2, 0, 2, 2, 0, 2]]
    assert found["none"] is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"labels": ""}, None),
        ({"labels": "a <loc0001>"}, None),
        ({}, "labels"),
        ({"labels": 5}, "labels"),
        ({"labels": "a", "colour": "red"}, "colour"),
        ({"labels": "a", "body": 1}, "body"),
        ({"labels": ["a", 5]}, "labels.1"),
        ({"labels": "a", "max_new_tokens": 100_000}, "max_new_tokens"),
        ({"labels": "a", "max_new_tokens": 2000}, "max_tokens"),
        ({"labels": "a", "temperature": float("nan")}, "temperature"),
        ({"labels": "a", "seed": -1}, "seed"),
        ({"labels": "a", "image": []}, "image"),
        ({"labels": "a", "image": 7}, "image"),
        ({"labels": "word " * 600}, None),
    ],
    ids=str,
)
def test_a_wrong_field_is_refused(fields: dict[str, Any], param: str | None) -> None:
    import json

    content = json.dumps({"image": data_uri(), **fields})
    headers = {"content-type": "application/json"}
    answer = fake_client().post("/v1/detect", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_a_wrong_language_is_refused() -> None:
    answer = fake_client().post("/v1/caption", json={"image": data_uri(), "language": "English!"})
    assert answer.status_code == 400
    assert "language code" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'"text"', "application/json"),
        (b"null", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"image": ' + b"9" * 10_000 + b"}", "application/json"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data; boundary=x"),
        (b"nothing of the kind", "multipart/form-data"),
    ],
    ids=str,
)
def test_a_malformed_body_is_refused(content: bytes, kind: str) -> None:
    client = fake_client()
    answer = client.post("/v1/detect", content=content, headers={"content-type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
    chat = client.post(
        "/v1/chat/completions", content=content, headers={"content-type": "application/json"}
    )
    assert chat.status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_kind_is_refused(kind: str) -> None:
    answer = fake_client().post("/v1/ocr", content=b"image=x", headers={"content-type": kind})
    assert answer.status_code == 415


def test_a_field_may_not_be_given_twice() -> None:
    files = [("image", ("a.png", png())), ("labels", (None, "cat")), ("labels", (None, "dog"))]
    assert fake_client().post("/v1/detect", files=files).status_code == 400


def test_a_file_under_another_name_is_refused() -> None:
    assert fake_client().post("/v1/ocr", files={"picture": png()}).status_code == 400


def test_another_drawing_or_parameter_is_refused() -> None:
    client, body = fake_client(), {"image": data_uri()}
    assert client.post("/v1/ocr?overlay=svg", json=body).status_code == 400
    assert client.post("/v1/ocr?ovrlay=png", json=body).status_code == 400
