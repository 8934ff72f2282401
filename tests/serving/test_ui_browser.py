"""The page as a person meets it: a real Chromium, the built-in model behind it."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the page needs palikit[ui]")
sync_api = pytest.importorskip("playwright.sync_api", reason="a browser needs playwright")

from palikit.options import LoadOptions, ServeOptions  # noqa: E402
from palikit.published import BUILT_IN, BUILT_IN_FOLDER  # noqa: E402
from palikit.serving.service import Service  # noqa: E402
from tests.serving.browsing import chromium, page_of  # noqa: E402
from tests.serving.made import FakeScheduler, service_with  # noqa: E402

SCENE = Path(__file__).resolve().parents[2] / "examples" / "scene.png"
TEXT_TABS = ("caption", "describe", "answer", "ocr")
OBJECT_TABS = ("detect", "segment", "free")
TITLES = {
    "caption": "Caption",
    "describe": "Describe",
    "answer": "Question",
    "ocr": "OCR",
    "detect": "Detect",
    "segment": "Segment",
    "free": "Free prompt",
    "compare": "Compare",
}

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium on this machine"),
    pytest.mark.skipif(not BUILT_IN_FOLDER.is_dir(), reason="the built-in model is not there"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium(),
            # Chromium's sandbox does not run as root, and containers share little memory; the pages
            # are our own.
            args=[
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
            ],
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def nano() -> Iterator[str]:
    """The page of nano, compared with itself."""
    from palikit.cli.asking import load_predictor
    from palikit.cli.server_start import scheduler_of
    from palikit.serving.backend import backend_of

    options = ServeOptions(upload_timeout=2)  # open pages hold the end up for so long
    predictor = load_predictor(BUILT_IN, LoadOptions())
    scheduler = scheduler_of(predictor, BUILT_IN, options)
    backend = backend_of(predictor, scheduler)
    with page_of(Service(options, backend=backend), Service(options, backend=backend)) as address:
        yield address
    scheduler.close()


@pytest.fixture
def page(browser: Any, nano: str) -> Iterator[Any]:
    with opened(browser, nano) as made:
        yield made


class opened:  # noqa: N801 (reads as a function)
    """A fresh page; requests to elsewhere and errors of its scripts are kept."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**{"locale": "en-US", **options})
        self.address = address

    def __enter__(self) -> Any:
        page = self.context.new_page()
        page.elsewhere, page.faults = [], []
        page.on("request", lambda request: self._note(page, request.url))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(f"{self.address}/ui/")
        page.wait_for_selector("#caption-ask")
        return page

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def _note(self, page: Any, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            page.elsewhere.append(url)


def take(page: Any, file: Path | None = None) -> None:
    """The example, or an upload."""
    if file is None:
        page.click("#example")
    else:
        page.set_input_files("#picture input[type=file]", str(file))
    page.wait_for_selector("#picture img")


def turn_to(page: Any, tab: str) -> None:
    page.get_by_role("tab", name=TITLES[tab], exact=True).click()


def take_example_text(page: Any, tab: str) -> None:
    page.click(f"#{tab}-example")
    sync_api.expect(page.locator(f"#{tab}-text textarea")).not_to_have_value("")


def status(page: Any) -> Any:
    return page.locator("#status")


def expect_done(page: Any) -> None:
    sync_api.expect(status(page)).to_contain_text("Done", timeout=30_000)


def expect_sentence(page: Any, sentence: str) -> None:
    told = page.locator("#status [role=alert]")
    sync_api.expect(told).to_contain_text(sentence, timeout=15_000)
    assert "Traceback" not in page.content()
    assert 'File "' not in page.content()


def downloaded(page: Any, name: str) -> bytes:
    with page.expect_download() as waiting:
        page.click(f"#download-{name}")
    return Path(waiting.value.path()).read_bytes()


@pytest.mark.parametrize("tab", TEXT_TABS)
def test_a_tab_of_texts_answers(page: Any, tab: str) -> None:
    take(page)
    turn_to(page, tab)
    if tab == "answer":
        take_example_text(page, tab)
    page.click(f"#{tab}-ask")
    expect_done(page)
    assert page.input_value("#answer textarea").strip()
    assert not page.is_visible("#view")
    assert json.loads(downloaded(page, "json"))["task"] == tab


@pytest.mark.parametrize("tab", OBJECT_TABS)
def test_a_tab_of_objects_draws_them(page: Any, tab: str) -> None:
    take(page)
    turn_to(page, tab)
    take_example_text(page, tab)
    page.click(f"#{tab}-ask")
    expect_done(page)
    page.wait_for_selector("#drawn img")
    record = json.loads(downloaded(page, "json"))
    labels = {found["label"] for found in record["result"]["objects"]}
    assert labels == {"circle", "star"}
    assert "/" not in record["input"]


def test_two_models_answer_side_by_side(page: Any) -> None:
    take(page)
    turn_to(page, "compare")
    take_example_text(page, "compare")
    page.click("#compare-ask")
    page.wait_for_selector("#compare-drawn-2 img")
    first, second = (page.input_value(f"#compare-answer-{n} textarea") for n in (1, 2))
    assert first == second
    assert "star" in first


def test_an_upload_is_asked_about_and_its_downloads_fit(page: Any) -> None:
    take(page, SCENE)
    turn_to(page, "segment")
    take_example_text(page, "segment")
    page.click("#segment-ask")
    expect_done(page)
    coco = json.loads(downloaded(page, "coco"))
    assert coco
    assert all(each["segmentation"]["size"] == [640, 640] for each in coco)
    assert downloaded(page, "png").startswith(b"\x89PNG")


def test_toggles_and_the_slider_redraw(page: Any) -> None:
    take(page)
    turn_to(page, "segment")
    take_example_text(page, "segment")
    page.click("#segment-ask")
    expect_done(page)
    seen = {page.get_attribute("#drawn img", "src")}
    for change in ("#boxes input", "#masks input"):
        page.locator(change).click()
        page.wait_for_function(
            "seen => !seen.includes(document.querySelector('#drawn img').src)", arg=list(seen)
        )
        seen.add(page.evaluate("document.querySelector('#drawn img').src"))
    page.locator("#score input[type=range]").focus()
    page.keyboard.press("End")
    page.locator("#score input[type=number]").fill("1")
    page.locator("#score input[type=number]").press("Enter")
    page.locator("#score input[type=number]").blur()
    until = time.monotonic() + 15
    while json.loads(downloaded(page, "json"))["result"]["objects"]:
        assert time.monotonic() < until, "the slider hides nothing"


def test_the_keyboard_is_enough(page: Any) -> None:
    page.focus("#example")
    page.keyboard.press("Enter")
    page.wait_for_selector("#picture img")
    turn_to(page, "detect")
    page.focus("#detect-text textarea")
    page.keyboard.type("star")
    page.keyboard.press("Enter")
    expect_done(page)
    assert "circle" not in page.input_value("#answer textarea")


@pytest.mark.parametrize("tab", ["answer", "detect", "segment", "free", "compare"])
def test_what_is_typed_as_soon_as_a_tab_is_up_stays(page: Any, tab: str) -> None:
    # Gradio sets first values again at the frame after the one in which a tab came up: here late.
    page.evaluate("""() => {
        const soon = window.requestAnimationFrame.bind(window)
        window.requestAnimationFrame = act => soon(() => setTimeout(() => act(0), 300))
    }""")
    turn_to(page, tab)
    page.focus(f"#{tab}-text textarea")
    page.keyboard.type("star")
    page.wait_for_timeout(800)
    assert page.input_value(f"#{tab}-text textarea") == "star"


@pytest.mark.parametrize("language", ["de", "pt-BR"])
def test_replies_are_asked_for_in_the_chosen_language(page: Any, language: str) -> None:
    take(page)
    page.fill("#reply-language input", language)
    page.keyboard.press("Enter")
    turn_to(page, "describe")
    page.click("#describe-ask")
    expect_done(page)
    assert json.loads(downloaded(page, "json"))["prompt"] == f"describe {language}"


def test_a_question_without_a_picture_gets_a_sentence(page: Any) -> None:
    page.click("#caption-ask")
    expect_sentence(page, "There is no picture yet")


def test_an_empty_prompt_gets_a_sentence(page: Any) -> None:
    take(page)
    told = {"answer": "question is empty", "detect": "nothing to look for", "free": "prompt is"}
    for tab, sentence in told.items():
        turn_to(page, tab)
        page.fill(f"#{tab}-text textarea", "  " if tab == "free" else "")
        page.click(f"#{tab}-ask")
        expect_sentence(page, sentence)


def test_a_wrong_file_gets_a_sentence(page: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "picture.png"
    wrong.write_bytes(b"not a picture at all")
    page.set_input_files("#picture input[type=file]", str(wrong))
    page.wait_for_selector("#picture img", state="attached")
    page.click("#caption-ask")
    expect_sentence(page, "no picture that is taken here")


def test_a_decompression_bomb_gets_a_sentence(page: Any, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(bomb)
    take_unseen(page, bomb)
    page.click("#caption-ask")
    expect_sentence(page, "pixels")


def take_unseen(page: Any, file: Path) -> None:
    page.set_input_files("#picture input[type=file]", str(file))
    page.wait_for_selector("#picture img", state="attached")


def test_a_busy_server_gets_a_sentence(browser: Any) -> None:
    service = service_with(FakeScheduler(is_full=True), upload_timeout=2)
    with page_of(service) as address, opened(browser, address) as page:
        take(page)
        page.click("#caption-ask")
        expect_sentence(page, "The server is busy")


def test_stop_ends_an_answer_and_its_job(browser: Any) -> None:
    scheduler = FakeScheduler(holds=True)
    with (
        page_of(service_with(scheduler, upload_timeout=2)) as address,
        opened(browser, address) as page,
    ):
        take(page)
        page.click("#caption-ask")
        sync_api.expect(status(page)).to_contain_text("Working")
        page.click("#stop")
        sync_api.expect(status(page)).to_contain_text("Stopped")
        until = time.monotonic() + 10
        while not scheduler.tickets[0].is_cancelled and time.monotonic() < until:
            page.wait_for_timeout(50)
        assert scheduler.tickets[0].is_cancelled


def test_the_page_speaks_chinese_to_chinese_browsers_and_switches(browser: Any, nano: str) -> None:
    with opened(browser, nano, locale="zh-CN") as page:
        sync_api.expect(page.get_by_role("tab", name="分割")).to_be_visible()
        page.click("#caption-ask")
        expect_sentence(page, "还没有图片")
        page.get_by_label("English", exact=True).click()
        sync_api.expect(page.get_by_role("tab", name="Segment")).to_be_visible()


def test_nothing_is_fetched_from_elsewhere(page: Any) -> None:
    take(page)
    turn_to(page, "detect")
    take_example_text(page, "detect")
    page.click("#detect-ask")
    expect_done(page)
    assert page.elsewhere == []
    assert page.faults == []


def test_the_note_names_the_model(page: Any) -> None:
    sync_api.expect(page.locator("#note")).to_contain_text(re.compile("nano.*demonstration"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_does_not_scroll_sideways(browser: Any, nano: str, scheme: str) -> None:
    size = {"width": 375, "height": 700}
    with opened(browser, nano, viewport=size, color_scheme=scheme) as page:
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
        assert (int(red) < 100) == (scheme == "dark")


def test_the_camera_can_be_chosen(browser: Any, nano: str) -> None:
    with opened(browser, nano, permissions=["camera"]) as page:
        page.get_by_label("Capture from camera").click()
        page.locator("#picture").get_by_text("Click to Access Webcam").click()
        page.locator("#picture video").wait_for(state="visible")
