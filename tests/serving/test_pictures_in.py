"""Pictures of requests: what is opened, and the bounds before anything is decoded."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from palikit.serving.problems import Problem
from palikit.serving.remote import Remote
from palikit.serving.uploads import PictureLimits, Source, Upload, open_sources
from tests.serving.made import base64_of, data_uri, fake_client, png

LIMITS = PictureLimits(max_pictures=3, max_pixels=1000, remote=Remote())


def refusal_of(*sources: Source) -> str:
    from palikit.errors import InputError

    with pytest.raises((Problem, InputError)) as told:
        open_sources(sources, LIMITS, lambda _: None)
    return str(told.value)


def saved(file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 12), (200, 40, 90)).save(file, file_format, **options)
    return file.getvalue()


def png_that_states(width: int, height: int) -> bytes:
    """A PNG of few bytes whose header states any size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_common_formats_are_opened(file_format: str) -> None:
    content = saved(file_format)
    for source in (base64_of(content), data_uri(content, "image/png"), Upload(content, "")):
        (picture,) = open_sources([source], LIMITS, lambda _: None)
        assert picture.size == (16, 12)


@pytest.mark.parametrize("file_format", ["PPM", "TGA", "JPEG2000", "PDF", "ICO"])
def test_formats_that_only_a_person_would_open_are_refused(file_format: str) -> None:
    assert "expected a PNG" in refusal_of(base64_of(saved(file_format)))


def test_the_orientation_of_a_camera_is_applied() -> None:
    picture, file = Image.new("RGB", (16, 12)), io.BytesIO()
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(file, "JPEG", exif=exif)
    assert open_sources([base64_of(file.getvalue())], LIMITS, lambda _: None)[0].size == (12, 16)


@pytest.mark.parametrize("size", [(60_000, 60_000), (40, 26), (1_000_000, 1)])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(size: tuple[int, int]) -> None:
    assert "pixels" in refusal_of(base64_of(png_that_states(*size)))


def test_pixels_of_all_pictures_count_together() -> None:
    one = base64_of(png(25, 20))
    assert len(open_sources([one, one], LIMITS, lambda _: None)) == 2
    assert "picture 3" in refusal_of(one, one, base64_of(png(1, 1)))


def test_memory_is_reserved_before_a_picture_is_decoded() -> None:
    held: list[int] = []
    open_sources([Upload(png(20, 10), "image/png")], LIMITS, held.append)
    assert held == [len(png(20, 10)), 20 * 10 * 4]


def test_too_many_pictures_are_refused() -> None:
    assert "at most 3" in refusal_of(*[base64_of(png())] * 4)


@pytest.mark.parametrize(
    "source",
    [
        "no base64 at all!",
        "data:image/png;base64,????",
        "data:text/html;base64,PGI+",
        "data:image/svg+xml,<svg/>",
        "data:",
        "",
        base64_of(b"plain text"),
        base64_of(png()[:40]),
        base64_of(b"\x89PNG\r\n\x1a\n" + bytes(50)),
        Upload(png(), "application/pdf"),
        Upload(png(), "video/mp4"),
        Upload(b"", "image/png"),
    ],
    ids=str,
)
def test_what_is_no_picture_is_refused_in_a_sentence(source: Source) -> None:
    said = refusal_of(source)
    assert "the picture" in said
    assert "0x" not in said
    assert "Error" not in said


def test_an_empty_picture_is_told_to_be_empty() -> None:
    for source in (Upload(b"", "image/png"), "", "data:image/png;base64,"):
        assert refusal_of(source).startswith("the picture is empty")


def test_requests_hold_no_more_memory_than_there_is() -> None:
    client = fake_client(max_pending_mib=1)
    answer = client.post("/v1/ocr", json={"image": base64_of(png(800, 800))})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1


def test_memory_is_free_again_after_each_request() -> None:
    from tests.serving.made import client_of, service_with

    service = service_with()
    client = client_of(service)
    for body in ({"image": data_uri()}, {"image": "?"}, {"image": [data_uri()] * 99}):
        client.post("/v1/ocr", json=body)
    assert service.budget.taken == 0
