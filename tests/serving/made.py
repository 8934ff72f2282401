"""A server without a model: a scheduler with canned answers, and requests to it."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from palikit.errors import PaliKitError
from palikit.options import ServeOptions
from palikit.prediction import Prediction
from palikit.results import TokenScore
from palikit.serving.app import create_app
from palikit.serving.backend import Backend
from palikit.serving.jobs import Job, OverloadedError, Stats
from palikit.serving.keys import ApiKeys, read_keys
from palikit.serving.service import Service
from tests.fake_predictor import FakePredictor

KEY = "a-key-of-thirty-two-characters-.."
TEXT = "one two three"
PIECES = ("one", " two", " three")


class FakeTicket:
    """Ends at once, or when `release` is called."""

    def __init__(self, job: Job, outcome: Prediction[Any] | PaliKitError, *, held: bool) -> None:
        self.job = job
        self.is_cancelled = False
        self._outcome = outcome
        self._released = asyncio.Event()
        if not held:
            self._released.set()

    def release(self) -> None:
        self._released.set()

    async def result(self) -> Prediction[Any]:
        await self._released.wait()
        if isinstance(self._outcome, PaliKitError):
            raise self._outcome
        return self._outcome

    async def pieces(self) -> AsyncIterator[str]:
        prediction = await self.result()
        for score in prediction.token_scores[:-1]:
            yield prediction.text[score.start : score.end]

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeScheduler:
    """Answers as `FakePredictor` does, in a text of three tokens and an end token.

    `fails` is raised instead of an answer, `is_full` refuses every job, `holds` keeps tickets open;
    `room` jobs may be on their way.
    """

    model = "fake"
    image_size = 16

    def __init__(
        self,
        *,
        fails: PaliKitError | None = None,
        is_full: bool = False,
        room: int = 64,
        holds: bool = False,
        has_masks: bool = True,
        finish_reason: str = "stop",
    ) -> None:
        self.fails = fails
        self.is_full = is_full
        self.room = 0 if is_full else room
        self.holds = holds
        self.has_masks = has_masks
        self.tickets: list[FakeTicket] = []
        self._predictor = FakePredictor("secret/path/of/fake", finish_reason=finish_reason)

    @property
    def jobs(self) -> list[Job]:
        return [each.job for each in self.tickets]

    def submit(self, job: Job) -> FakeTicket:
        self.check_room(0)
        outcome = self.fails or self._answer(job)
        self.tickets.append(FakeTicket(job, outcome, held=self.holds))
        return self.tickets[-1]

    def check_room(self, coming: int) -> None:
        if coming >= self.room:
            raise OverloadedError("64 requests wait already: ask again later", retry_after=2.4)

    def stats(self) -> Stats:
        return Stats(queue_depth=3, running=2, batches=((1, 5), (4, 2)), image_cache_hits=7)

    async def drain(self, timeout: float) -> bool:
        return True

    def _answer(self, job: Job) -> Prediction[Any]:
        prediction = self._predictor.predict([job.request])[0]
        scores, start = [], 0
        for piece in PIECES:
            scores.append(TokenScore(start, start + len(piece), -0.5))
            start += len(piece)
        scores.append(TokenScore(start, start, -0.25))
        values = {**vars(prediction), "text": TEXT, "token_scores": tuple(scores)}
        return Prediction(**values)


def service_with(
    scheduler: FakeScheduler | None = None, keys: ApiKeys | None = None, **options: Any
) -> Service:
    """A service whose prompts have a token a word, <bos> and a newline."""
    backend = Backend(
        scheduler or FakeScheduler(),
        tokens_per_picture=4,
        max_positions=4096,
        prompt_tokens=lambda prompt, _: len(prompt.split()) + 2,
        text_tokens=lambda text: len(text.split()),
    )
    return Service(ServeOptions(**options), keys or ApiKeys(), backend=backend)


def client_of(service: Service) -> TestClient:
    return TestClient(create_app(service), base_url="http://localhost:8000")


def fake_client(scheduler: FakeScheduler | None = None, **options: Any) -> TestClient:
    return client_of(service_with(scheduler, **options))


def one_key() -> ApiKeys:
    return read_keys(None, KEY)


def png(width: int = 12, height: int = 9) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 200)).save(file, "PNG")
    return file.getvalue()


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def data_uri(content: bytes | None = None, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64_of(png() if content is None else content)}"


def asked(text: str = "caption en", image: str | None = None, **more: Any) -> dict[str, Any]:
    """A chat request with one picture."""
    content = [
        {"type": "image_url", "image_url": {"url": image or data_uri()}},
        {"type": "text", "text": text},
    ]
    return {"model": "fake", "messages": [{"role": "user", "content": content}], **more}


def events_of(text: str) -> list[Any]:
    """The objects of a stream of server-sent events, without [DONE]."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def white_share(uri: str) -> float:
    """Of a mask as a data: URI, the share that is inside."""
    content = base64.b64decode(uri.partition(",")[2])
    return float(np.asarray(Image.open(io.BytesIO(content)).convert("L")).mean() / 255)
