"""How soon the page of `palikit serve --ui` shows something in this machine's Chromium.

    python -m benchmarks.serving.paint --runs 9

Milliseconds from the request to the first contentful paint, each in a browser that has kept
nothing. Needs playwright and a Chromium.
"""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from benchmarks.serving.process import serving
from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PAINT = "performance.getEntriesByName('first-contentful-paint').map(each => each.startTime)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--model", default="nano")
    given = parser.parse_args()
    path = next(filter(None, map(shutil.which, NAMES)), None)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "log", "--ui", "--model", given.model) as served,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        paints = []
        for _ in range(given.runs):
            page = browser.new_context().new_page()
            page.goto(f"{served.address}/ui/")
            page.wait_for_selector("#caption-ask")
            paints += page.evaluate(PAINT)
            page.context.close()
        browser.close()
    print(f"first paint: median {statistics.median(paints):.0f} ms, of {len(paints)}: ", end="")
    print(", ".join(f"{each:.0f}" for each in paints))


if __name__ == "__main__":
    main()
