"""Addresses are fetched within bounds of time, size and redirects; a failure is one sentence."""

import base64
import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from PIL import Image

from palikit.errors import InputError
from palikit.pictures import load_picture
from palikit.urls import MAX_REDIRECTS, fetch_url, is_url

BODY = bytes(range(256)) * 4
REDIRECTS = {
    "/to-body": "/body",
    "/to-file": "file:///etc/passwd",
    "/to-ftp": "ftp://127.0.0.1/a",
    "/to-data": "data:,secret",
    "/loop": "/loop",
    **{f"/hop{i}": f"/hop{i - 1}" for i in range(2, 8)},
    "/hop1": "/body",
}


class Site(BaseHTTPRequestHandler):
    """One behaviour a path."""

    agents: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.agents.append(self.headers["User-Agent"])
        try:
            self.answer(self.path)
        except OSError:  # the client has left, as some tests mean it to
            self.close_connection = True

    def answer(self, path: str) -> None:
        if path in REDIRECTS:
            self.head(302, Location=REDIRECTS[path])
        elif path in {"/body", "/caf%C3%A9%20au%20lait?q=%C3%A9"}:
            self.head(200, Content_Length=str(len(BODY)))
            self.wfile.write(BODY)
        elif path == "/chunked":
            self.head(200, Transfer_Encoding="chunked")
            for _ in range(8):
                self.wfile.write(b"400\r\n" + BODY + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        elif path == "/short":
            self.head(200, Content_Length="5000")
            self.wfile.write(BODY)
        elif path == "/announced":
            self.head(200, Content_Length=str(10**12))
            self.wfile.flush()
            time.sleep(1)
        elif path == "/drip":
            self.head(200)
            self.drip(b"x")
        elif path == "/slow-head":
            self.drip(b"HTTP/1.0 200 OK and so on")
        else:
            self.head(404)

    def head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def drip(self, data: bytes) -> None:
        for i in range(200):
            self.wfile.write(data[i % len(data) :][:1])
            self.wfile.flush()
            time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def refused(url: str, **bounds: float) -> str:
    with pytest.raises(InputError) as caught:
        fetch_url(url, **bounds)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_addresses_are_told_from_paths() -> None:
    for url in (
        "http://a/b.png",
        "HTTPS://a",
        "s3://a/b",
        "file:///a",
        "data:image/png;base64,AA",
        "DATA:image/svg+xml;charset=utf-8,<svg/>",
        "data:;base64,AA",
        "data:,a b",
    ):
        assert is_url(url)
    for path in (
        "a.png",
        "/a/b",
        r"C:\a.png",
        "C:/a.png",
        "C://a.png",
        "data:a.png",
        "data: sales, and costs?",
        "data:sales,costs",
        "",
        b"http://a",
    ):
        assert not is_url(path)


def test_a_body_is_fetched_whole_with_and_without_a_length(site: str) -> None:
    assert fetch_url(f"{site}/body") == BODY
    assert fetch_url(f"{site}/chunked") == BODY * 8


def test_the_program_gives_its_name(site: str) -> None:
    fetch_url(f"{site}/body")
    assert Site.agents[-1].startswith("palikit")


def test_spaces_and_other_scripts_are_encoded_and_a_fragment_is_left_out(site: str) -> None:
    assert fetch_url(f"{site}/café au lait?q=é#top") == BODY
    assert fetch_url(f"{site}/caf%C3%A9%20au%20lait?q=%C3%A9") == BODY


def test_a_status_that_is_no_success_is_named(site: str) -> None:
    assert "answered 404 Not Found" in refused(f"{site}/nothing")


def test_a_body_above_the_limit_is_refused_by_its_length_and_by_its_bytes(site: str) -> None:
    assert fetch_url(f"{site}/body", max_bytes=len(BODY)) == BODY
    for path in ("body", "chunked"):
        assert "is larger than 1,023 bytes" in refused(f"{site}/{path}", max_bytes=1023)


def test_a_body_announced_as_too_large_is_not_waited_for(site: str) -> None:
    assert "is larger than" in refused(f"{site}/announced", timeout_s=0.7)


@pytest.mark.parametrize("path", ["drip", "slow-head"])
def test_a_server_that_drips_is_left_when_the_time_is_up(site: str, path: str) -> None:
    start = time.monotonic()
    assert "took longer than 0.5 s" in refused(f"{site}/{path}", timeout_s=0.5)
    assert time.monotonic() - start < 1.5


def test_a_body_cut_short_is_not_handed_on(site: str) -> None:
    assert "ended after 1024 of 5000 bytes" in refused(f"{site}/short")


def test_redirects_are_followed_up_to_the_limit(site: str) -> None:
    assert fetch_url(f"{site}/to-body") == BODY
    assert fetch_url(f"{site}/hop{MAX_REDIRECTS}") == BODY
    for path in (f"hop{MAX_REDIRECTS + 1}", "loop"):
        assert "redirected more than 5 times" in refused(f"{site}/{path}")


@pytest.mark.parametrize("path", ["to-file", "to-ftp", "to-data"])
def test_redirects_to_other_schemes_are_refused(site: str, path: str) -> None:
    assert "expected an http" in refused(f"{site}/{path}")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "s3://bucket/a.png"])
def test_other_schemes_are_refused(url: str) -> None:
    assert f"{url} cannot be fetched: expected an http" in refused(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/a",
        "http://palikit.invalid/a",
        "http://[::1/a",
        "http://a:b/c",
        "http://",
    ],
)
def test_addresses_that_lead_nowhere_are_input_errors(url: str) -> None:
    assert refused(url, timeout_s=15).startswith(url)


def test_data_addresses_are_decoded_in_both_encodings() -> None:
    encoded = base64.b64encode(BODY).decode()
    assert fetch_url(f"data:image/png;base64,{encoded}") == BODY
    assert fetch_url(f"data:;base64,{encoded.replace('+', '%2B')}") == BODY
    assert fetch_url("data:,a%20b") == b"a b"


def test_bad_data_addresses_are_refused_without_repeating_the_data() -> None:
    assert "not valid base64" in refused("data:image/png;base64,AAAA!")
    for text in ("A" * 2000, "A" * 100_000):
        message = refused(f"data:;base64,{text}", max_bytes=1000)
        assert "is larger than 1,000 bytes" in message
        assert len(message) < 200
    assert "is not a data address" in refused("data:image/png")


def test_pictures_load_from_addresses_where_that_is_allowed(site: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(stream, "PNG")
    data = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    assert load_picture(data, allow_urls=True).getpixel((2, 1)) == (255, 0, 0)
    with pytest.raises(InputError, match=f"{site}/body is not a picture"):
        load_picture(f"{site}/body", allow_urls=True)
