"""A headless Chromium, and servers with the page for it."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from palikit.options import ServeOptions
from palikit.serving.app import create_app
from palikit.serving.server import address_of, bind, make_server
from palikit.serving.service import Service
from palikit.serving.ui.mount import mount_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium() -> str | None:
    """Where a Chromium is: CHROMIUM, the path, or Playwright's own folder."""
    given = os.environ.get("CHROMIUM")
    found = given or next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found
    folder = Path.home() / ".cache" / "ms-playwright"
    return next((str(each) for each in sorted(folder.glob("chromium-*/*/chrome"))), None)


@contextmanager
def page_of(service: Service, second: Service | None = None) -> Iterator[str]:
    """The page of a service whose model is there; its address."""
    options = ServeOptions(port=0)
    before = os.environ.get("GRADIO_TEMP_DIR")  # one for the whole process, read at every upload
    app = create_app(service)
    mount_page(app, service, second)
    with bind(options) as opened:
        server = make_server(app, service)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        address = address_of(opened)
        try:
            _wait_for(address)
            yield address
        finally:
            server.should_exit = True
            thread.join(30)
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


def _wait_for(address: str) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if httpx.get(f"{address}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the server did not start")
