"""The pictures of the page in docs/images, from this machine's Chromium.

    python -m benchmarks.serving.pictures

Needs playwright, a Chromium, and a font with Chinese signs.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.serving.paint import NAMES
from benchmarks.serving.process import serving
from playwright.sync_api import Browser, sync_playwright

from palikit.serving.ui.words import words_in

FOLDER = Path(__file__).parents[2] / "docs" / "images"
WIDE = {"width": 1100, "height": 900}
NARROW = {"width": 390, "height": 900}


def main() -> None:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "log", "--compare", "nano", module=("palikit", "ui")) as served,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        address = f"{served.address}/ui/"
        _take(browser, address, "segment", "#drawn img", viewport=WIDE)
        _take(browser, address, "chinese", "#drawn img", viewport=NARROW, locale="zh-CN")
        _take(
            browser, address, "compare", "#compare-drawn-2 img", viewport=WIDE, color_scheme="dark"
        )
        browser.close()


def _take(browser: Browser, address: str, name: str, last: str, **options: Any) -> None:
    """A picture of the answer to a tab's example; `last` is what comes up last."""
    tab = {"chinese": "detect"}.get(name, name)
    page = browser.new_context(**{"locale": "en-US", **options}).new_page()
    page.goto(address)
    page.click("#example")
    page.wait_for_selector("#picture img")
    if name == "chinese":  # on a narrow screen the tab is in a menu
        page.click(".overflow-menu button")
        page.click(f".overflow-dropdown button:text-is('{words_in('zh').detect}')")
    else:
        page.click(f"[data-tab-id={tab}]")
    page.click(f"#{tab}-example")
    page.wait_for_function(f"document.querySelector('#{tab}-text textarea').value")
    page.click(f"#{tab}-ask")
    page.wait_for_selector(last)
    page.wait_for_timeout(1000)
    page.mouse.move(0, 0)
    page.screenshot(path=FOLDER / f"ui-{name}.png", full_page=True)
    page.context.close()


if __name__ == "__main__":
    main()
