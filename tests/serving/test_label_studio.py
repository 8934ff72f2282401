"""The backend that Label Studio asks for predictions."""

from typing import Any

import pytest

from palikit.serving.label_studio import controls_of
from palikit.serving.problems import Problem
from palikit.serving.remote import Remote
from tests.serving.made import FakeScheduler, data_uri, fake_client, png

INTERFACE = """<View><Image name="img" value="$photo"/>
  <RectangleLabels name="box" toName="img"><Label value="cat"/><Label value="dog"/>
  </RectangleLabels>
  <PolygonLabels name="outline" toName="img"><Label value="cat"/></PolygonLabels>
  <TextArea name="caption" toName="img"/><TextArea name="ocr_text" toName="img"/>
  <Rating name="stars" toName="img"/></View>"""
BOXES = """<View><Image name="img" value="$photo"/>
  <RectangleLabels name="box" toName="img"><Label value="cat"/></RectangleLabels></View>"""

TEXT = """<View><Image name="img" value="$photo"/><TextArea name="a" toName="img"/></View>"""


def predicted(data: dict[str, Any], interface: str = INTERFACE, **options: Any) -> Any:
    body = {"tasks": [{"id": 1, "data": data}], "label_config": interface, "project": "1.2"}
    return fake_client(**options).post("/predict", json=body).json()


def test_every_control_that_can_be_is_filled_in() -> None:
    (result,) = predicted({"photo": data_uri()})["results"]
    kinds = [(each["from_name"], each["type"]) for each in result["result"]]
    assert kinds == [
        ("box", "rectanglelabels"),
        ("box", "rectanglelabels"),
        ("outline", "polygonlabels"),
        ("caption", "textarea"),
        ("ocr_text", "textarea"),
    ]
    assert {each["to_name"] for each in result["result"]} == {"img"}
    assert len({each["id"] for each in result["result"]}) == 5
    assert (result["score"], result["model_version"]) == (0.5, "fake")


def test_boxes_and_outlines_are_in_percent() -> None:
    regions = predicted({"photo": data_uri(png(12, 9))})["results"][0]["result"]
    box, outline = regions[0], regions[2]
    value = box["value"]
    assert value["rectanglelabels"] == ["cat"]
    assert [value[side] for side in ("x", "y", "width", "height")] == pytest.approx(
        [0, 0, 100 / 3, 100 / 3]
    )
    assert (box["original_width"], box["original_height"]) == (12, 9)
    assert outline["value"]["points"][2] == pytest.approx([200 / 12, 200 / 9])


def test_a_task_with_a_question_is_answered() -> None:
    scheduler = FakeScheduler()
    body = {
        "tasks": [{"data": {"photo": data_uri(), "question": "what is it?"}}],
        "label_config": TEXT,
    }
    fake_client(scheduler).post("/predict", json=body)
    assert scheduler.jobs[0].request.task.prompt == "answer en what is it?"


def test_a_task_that_cannot_be_read_does_not_take_the_others_along() -> None:
    tasks = [{"data": {"photo": each}} for each in (data_uri(), "http://10.0.0.1/a.png", None)]
    body = {"tasks": tasks, "label_config": BOXES}
    results = fake_client().post("/predict", json=body).json()["results"]
    assert [len(each["result"]) for each in results] == [1, 0, 0]
    assert "--allow-url-hosts" in results[1]["error"]


def test_pictures_in_label_studio_are_fetched_from_its_address_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetched: list[tuple[str, Any]] = []

    def fetch(self: Remote, url: str) -> bytes:
        fetched.append((url, self.trusted))
        return png()

    monkeypatch.setattr(Remote, "fetch", fetch)
    data = {"photo": "/data/upload/1/a.png"}
    predicted(data, BOXES, label_studio_url="http://localhost:8080")
    assert fetched[0][0] == "http://localhost:8080/data/upload/1/a.png"
    (refused,) = predicted(data, BOXES)["results"]
    assert "--label-studio-url" in refused["error"]
    assert len(fetched) == 1


def test_the_token_goes_to_label_studio_alone() -> None:
    from palikit.serving.remote import Trusted, _split

    remote = Remote(frozenset({"a.example"}), Trusted("http://localhost:8080", "token"))
    headers, _ = remote._admitted(_split("http://localhost:8080/data/a.png"))
    assert headers["Authorization"] == "Token token"
    for url in ("http://localhost:9090/a", "https://localhost:8080/a", "http://127.0.0.1:8080/a"):
        with pytest.raises(Problem):
            remote._admitted(_split(url))


def test_setup_and_health_answer_as_label_studio_expects() -> None:
    client = fake_client()
    assert client.get("/health").json() == {"status": "UP", "model_class": "fake"}
    body = {"project": "1", "schema": BOXES, "hostname": "http://x", "access_token": "t"}
    assert client.post("/setup", json=body).json() == {"model_version": "fake"}
    assert client.post("/setup", json={"schema": "<View/>"}).status_code == 400


def test_outlines_without_a_mask_codec_are_refused() -> None:
    client = fake_client(FakeScheduler(has_masks=False))
    body = {"tasks": [], "label_config": INTERFACE}
    assert "mask codec" in client.post("/predict", json=body).json()["error"]["message"]


@pytest.mark.parametrize(
    "interface",
    [
        "",
        "<View>",
        "<View/>",
        '<View><RectangleLabels name="a" toName="b"/></View>',
        '<!DOCTYPE a [<!ENTITY b "c">]><View/>',
    ],
)
def test_an_interface_that_cannot_be_filled_in_is_refused(interface: str) -> None:
    with pytest.raises(Problem):
        controls_of(interface)


def test_tasks_together_may_hold_more_memory_than_there_is_for_pictures() -> None:
    """One after another: what is answered is held no longer."""
    photo = data_uri(png(600, 400))
    body = {"tasks": [{"data": {"photo": photo}}] * 12, "label_config": BOXES}
    room = fake_client(max_pending_mib=5)  # a picture takes 0.9 MiB, four are in hand at once
    results = room.post("/predict", json=body).json()["results"]
    assert [len(each["result"]) for each in results] == [1] * 12


def test_an_interface_may_hold_comments() -> None:
    (control,) = controls_of(BOXES.replace("<View>", "<View><!-- boxes of <cats> -->"))
    assert control.name == "box"
