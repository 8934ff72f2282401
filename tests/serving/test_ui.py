"""The page's parts without a browser: what strangers reach, and what is drawn and said."""

import asyncio
import gc
import json
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from palikit.masks import Mask
from palikit.prediction import Prediction
from palikit.results import Box, Segment, Segments
from palikit.serving.problems import Problem
from palikit.serving.ui.overlays import View, drawn, filtered, written
from palikit.serving.ui.words import Words, language_for, sentence_of, words_in

gradio = pytest.importorskip("gradio", reason="the page needs palikit[ui]")

from gradio import networking  # noqa: E402

from palikit.cli.tunnel import open_tunnel  # noqa: E402
from palikit.errors import InputError  # noqa: E402
from palikit.options import ServeOptions  # noqa: E402
from palikit.serving.app import create_app  # noqa: E402
from palikit.serving.keys import ApiKeys  # noqa: E402
from palikit.serving.ui.mount import mount_page  # noqa: E402
from tests.serving.made import KEY, one_key, service_with  # noqa: E402


def client_with_page(keys: ApiKeys | None = None) -> TestClient:
    service = service_with(keys=keys)
    app = create_app(service)
    mount_page(app, service)
    return TestClient(app, base_url="http://localhost:8000", follow_redirects=False)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with client_with_page() as made:
        yield made


def open_loops() -> list[asyncio.AbstractEventLoop]:
    # By type: isinstance would ask the lazy modules of other libraries for their class.
    loops = [each for each in gc.get_objects() if issubclass(type(each), asyncio.AbstractEventLoop)]
    return [loop for loop in loops if not loop.is_closed()]


def asked_about(path: str, **more: str) -> dict[str, Any]:
    file = {"path": path, "meta": {"_type": "gradio.FileData"}, **more}
    return {"data": ["en", file], "fn_index": 1, "session_hash": "abc"}


def test_the_page_is_there_and_the_root_leads_to_it(client: TestClient) -> None:
    assert client.get("/").headers["location"] == "/ui/"
    page = client.get("/ui/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_a_page_leaves_no_event_loop_and_no_folder_behind() -> None:
    before = open_loops()
    with client_with_page():
        folder = Path(os.environ["GRADIO_TEMP_DIR"]).parent
        assert folder.is_dir()
    assert [loop for loop in open_loops() if loop not in before] == []
    assert not folder.exists()


def test_the_routes_of_the_server_stay(client: TestClient) -> None:
    assert client.get("/v1/models").json()["data"][0]["id"] == "fake"
    assert client.get("/nowhere").json()["error"]["code"] == "not_found"


def test_the_page_asks_for_a_key_where_there_are_keys() -> None:
    with client_with_page(one_key()) as client:
        refused = client.get("/ui/")
        assert refused.status_code == 401
        assert any("Basic" in each for each in refused.headers.get_list("www-authenticate"))
        assert client.get("/ui/", auth=("anyone", KEY)).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://127.0.0.1:8000/healthz",
        "/gradio_api/file=http://127.0.0.1:8000/healthz",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../../etc/passwd",
        "/monitoring",
        "/gradio_api/openapi.json",
        "/gradio_api/vibe-code",
        "/login_check",
    ],
)
def test_routes_that_the_page_does_not_need_are_closed(client: TestClient, path: str) -> None:
    assert client.get(f"/ui{path}").status_code == 404


@pytest.mark.parametrize("path", ["/gradio_api/call/ask", "/gradio_api/api/ask", "/login"])
def test_the_page_is_no_second_api(client: TestClient, path: str) -> None:
    assert client.post(f"/ui{path}", json={"data": []}).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["http://127.0.0.1:8000/healthz", "https://example.com/a.png", "/etc/passwd", "a/../b", "\0"],
)
def test_a_question_names_no_file_but_uploads(client: TestClient, path: str) -> None:
    answer = client.post("/ui/gradio_api/queue/join", json=asked_about(path))
    assert answer.status_code == 400


def test_a_question_brings_no_picture_past_the_bounds(client: TestClient) -> None:
    body = asked_about("/tmp/x", url="data:image/png;base64,AAAA")
    assert client.post("/ui/gradio_api/queue/join", json=body).status_code == 400


def test_the_example_is_the_scene_of_the_readme() -> None:
    from palikit.serving.ui.page import SCENE

    scene = Path(__file__).resolve().parents[2] / "examples" / "scene.png"
    ours, theirs = (np.asarray(Image.open(file).convert("RGB"), float) for file in (SCENE, scene))
    assert np.abs(ours - theirs).mean() < 8  # of 255: compressed, not another picture


def test_all_texts_are_there_in_both_languages() -> None:
    english, chinese = words_in("en"), words_in("zh")
    for field in fields(Words):
        ours, theirs = getattr(english, field.name), getattr(chinese, field.name)
        assert bool(theirs) >= bool(ours), field.name
        if isinstance(ours, str):
            assert _places(ours) == _places(theirs), field.name
    assert dict(english.failures).keys() == dict(chinese.failures).keys()


def _places(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-US,zh;q=0.5", "en"), ("de", "en"), ("", "en")],
)
def test_the_browser_chooses_the_first_language(accepted: str, language: str) -> None:
    assert language_for(accepted) == language


def test_a_problem_becomes_a_sentence() -> None:
    busy = Problem(429, "overloaded", "64 requests wait already")
    other = Problem(400, "invalid_value", "the picture has too many pixels", param="image")
    assert sentence_of(busy, words_in("en")) == "The server is busy: ask again in a moment."
    assert sentence_of(other, words_in("en")) == "The picture has too many pixels."
    assert sentence_of(other, words_in("zh")).startswith("无法使用这张图片")


@pytest.fixture
def prediction() -> Prediction[Segments]:
    inside = np.zeros((40, 60), bool)
    inside[10:20, 10:20] = True
    found = (
        Segment(Box(5, 5, 25, 25), "star", tuple(range(16)), Mask.from_array(inside), 0.9),
        Segment(Box(30, 5, 50, 25), "ring", tuple(range(16)), None, 0.2),
    )
    result = Segments(found, 60, 40)
    return Prediction(
        "picture", "segment", "segment star", "...", result, 0.5, "grammar", "stop", 60, 40, "nano"
    )


def changed(before: Image.Image, after: Image.Image) -> Any:
    return (np.asarray(before) != np.asarray(after)).any(axis=2)


def test_toggles_take_boxes_and_outlines_away(prediction: Prediction[Segments]) -> None:
    picture = Image.new("RGB", (60, 40), (200, 200, 200))
    neither = drawn(picture, prediction, View(boxes=False, masks=False))
    assert not changed(picture, neither).any()
    outlines = changed(picture, drawn(picture, prediction, View(boxes=False)))
    assert outlines[10:20, 10:20].all()
    assert outlines.sum() == 100
    boxes = changed(picture, drawn(picture, prediction, View(masks=False)))
    assert not boxes[14:18, 14:18].any()


def test_the_slider_hides_what_scores_less(prediction: Prediction[Segments]) -> None:
    kept = filtered(prediction, View(min_score=0.5)).result
    assert [found.label for found in kept] == ["star"]
    assert len(filtered(prediction, View()).result) == 2


def test_downloads_hold_the_record_the_drawing_and_coco(
    tmp_path: Path, prediction: Prediction[Segments]
) -> None:
    picture = Image.new("RGB", (60, 40))
    record, png, coco = written(tmp_path, picture, prediction)
    assert json.loads(Path(record).read_text())["model"] == "nano"
    with Image.open(png) as opened:
        assert opened.size == (60, 40)
    assert [each["category_id"] for each in json.loads(Path(coco).read_text())] == [1, 2]


def test_a_tunnel_is_guarded_by_a_key_and_the_name_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(networking, "setup_tunnel", lambda *_: "https://abc.gradio.live/")
    address, options, keys = open_tunnel(8000, ServeOptions(allowed_hosts="mine"), ApiKeys())
    assert (address, options.allowed_hosts) == ("https://abc.gradio.live", "mine,abc.gradio.live")
    key = capsys.readouterr().err.split()[-1]
    assert keys.name_of(f"Bearer {key}") is not None
    assert open_tunnel(8000, ServeOptions(), one_key())[2] == one_key()
    assert capsys.readouterr().err == ""


def test_a_tunnel_without_the_internet_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> str:
        raise RuntimeError("Could not get share link")

    monkeypatch.setattr(networking, "setup_tunnel", fails)
    with pytest.raises(InputError, match="no tunnel can be opened for --share"):
        open_tunnel(8000, ServeOptions(), ApiKeys())
