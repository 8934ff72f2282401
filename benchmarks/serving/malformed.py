"""Requests that are wrong in any way, for a running server: two sources, half of each.

    schemathesis      bodies against the OpenAPI document, by fields that break it
    pictures          files of seven formats with bytes changed or cut off, as JSON and as forms

Not all of them are wrong in the end: a picture may bear a changed byte. What counts is that each
gets an answer, and none an answer that tells of a failure.
"""

import base64
import io
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import requests
from benchmarks.serving.process import Answer, Client, Served
from hypothesis import HealthCheck, given, seed, settings
from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
FORM = "multipart/form-data; boundary=edge"
NOT_TOLD = ("Traceback", "site-packages", 'File "', "/root/", "/home/", "palikit.")


class Seen:
    """What came back."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.telling: list[str] = []
        """Answers that tell of the inside."""

    def count(self, status: int, text: str) -> None:
        self.statuses[status] += 1
        if any(word in text for word in NOT_TOLD):
            self.telling.append(text[:300])

    def __str__(self) -> str:
        told = ", ".join(f"{n} x {status}" for status, n in sorted(self.statuses.items()))
        return f"{told}; {len(self.telling)} answers tell of the inside"


def send_cases(served: Served, number: int, seen: Seen) -> None:
    """About so many bodies against the document; blocks."""
    import schemathesis
    from schemathesis import GenerationMode

    session = requests.Session()
    document = session.get(f"{served.address}/openapi.json", timeout=60).json()
    schema = schemathesis.openapi.from_dict(document)
    asked = [each.ok() for each in schema.get_all_operations() if each.ok().body]
    for operation in asked:

        @seed(1)
        @settings(
            max_examples=-(-number // len(asked)),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        def send(case: Any) -> None:
            try:
                answer = case.call(base_url=served.address, session=session, timeout=120)
            except (ValueError, requests.exceptions.InvalidHeader):
                return  # the client itself cannot write it
            seen.count(answer.status_code, answer.text)

        send()


async def send_pictures(served: Served, number: int, seen: Seen) -> None:
    """So many damaged pictures."""
    client = Client(served.port)
    for n, content in zip(range(number), damaged(random.Random(2)), strict=False):
        answer = await _send_picture(client, content, is_form=n % 2 == 1)
        seen.count(answer.status, answer.content.decode("utf-8", "replace"))


async def _send_picture(client: Client, content: bytes, *, is_form: bool) -> Answer:
    if is_form:
        head = b'--edge\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        body = head + content + b"\r\n--edge--\r\n"
        return await client.ask("/v1/ocr", body, content_type=FORM)
    image = base64.b64encode(content).decode()
    return await client.ask("/v1/ocr", json.dumps({"image": image, "max_new_tokens": 2}).encode())


def damaged(draw: random.Random) -> Iterator[bytes]:
    """Pictures without end, format by format."""
    sound = [_encoded(each) for each in FORMATS]
    while True:
        for content in map(bytearray, sound):
            for _ in range(draw.randint(1, 8)):
                content[draw.randrange(len(content))] = draw.randrange(256)
            cut = draw.random() < 0.3
            yield bytes(content[: draw.randrange(1, len(content))] if cut else content)


def _encoded(file_format: str) -> bytes:
    picture, file = Image.radial_gradient("L").resize((64, 48)).convert("RGB"), io.BytesIO()
    picture.save(file, file_format)
    return file.getvalue()
