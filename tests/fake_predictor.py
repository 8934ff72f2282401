"""A predictor without a model: canned answers that depend on the request only."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from palikit.errors import InputError, PaliKitError
from palikit.masks import Mask
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.request import Inquiry, Request
from palikit.results import (
    Answer,
    Box,
    Caption,
    Detection,
    Detections,
    OcrText,
    Result,
    Segment,
    Segments,
)

CODES = tuple(range(16))
REFUSED = InputError("the prompt is too long: shorten it")


class FakePredictor:
    """Answers as a `Predictor` does, at once.

    `refuses` names inputs that no inquiry gets an answer about, `interrupt_at` the number of the
    call (from 0) that Ctrl-C comes in.
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        refuses: frozenset[str] = frozenset(),
        interrupt_at: int | None = None,
        finds_nothing: bool = False,
        finish_reason: str = "stop",
    ) -> None:
        self.name = name
        self.mask_codec: object | None = None
        self.model = SimpleNamespace(device=SimpleNamespace(type="none"))
        self.refuses = refuses
        self.interrupt_at = interrupt_at
        self.finds_nothing = finds_nothing
        self.finish_reason = finish_reason
        self.calls: list[list[str]] = []
        self.options: GenerationOptions | None = None
        self.frames: list[int] = []

    def predict(
        self,
        requests: Iterable[Request],
        options: GenerationOptions | None = None,
        *,
        batch_size: int = 8,
    ) -> list[Prediction[Any]]:
        batch = list(requests)
        if len(self.calls) == self.interrupt_at:
            raise KeyboardInterrupt
        self.calls.append([request.input for request in batch])
        self.options = options
        self.frames += [len(request.pictures) for request in batch]
        return [self._answer(request) for request in batch]

    def outcomes(
        self,
        inquiries: Iterable[Inquiry],
        options: GenerationOptions | None = None,
        *,
        batch_size: int | None = None,
    ) -> Iterator[Prediction[Any] | PaliKitError]:
        each_ready = (ready for inquiry in inquiries for ready in self._opened(inquiry))
        while batch := list(islice(each_ready, batch_size or 8)):
            requests = [each for each in batch if isinstance(each, Request)]
            answers = iter(self.predict(requests, options)) if requests else iter(())
            for each in batch:
                if isinstance(each, PaliKitError):
                    yield each
                    continue
                answer = next(answers)
                yield REFUSED if each.input in self.refuses else answer

    @staticmethod
    def _opened(inquiry: Inquiry) -> Iterator[Request | PaliKitError]:
        try:
            pictures = inquiry.open()
        except PaliKitError as error:
            yield from [error] * len(inquiry.task_fors)
            return
        for task_for in inquiry.task_fors:
            try:
                yield Request(pictures, task_for(*pictures[0].size), inquiry.input)
            except PaliKitError as error:
                yield error

    def _answer(self, request: Request) -> Prediction[Any]:
        picture, task = request.pictures[0], request.task
        return Prediction(
            input=request.input,
            task=task.name,
            prompt=task.prompt,
            text=f"{task.prompt} at {picture.width} x {picture.height}",
            result=self._result(request),
            score=0.5,
            score_basis="vocabulary",
            finish_reason=self.finish_reason,
            width=picture.width,
            height=picture.height,
            model=self.name,
            image=picture,
        )

    def _result(self, request: Request) -> Result:
        width, height = request.pictures[0].size
        task, words = request.task, f"picture of {width} x {height}"
        box = Box(0, 0, width / 3, height / 3)
        labels = () if self.finds_nothing else task.labels
        if task.name == "detect":
            found = tuple(Detection(box, label, 0.25) for label in labels)
            return Detections(found, width, height, "<loc0001>", ("The box has 1 of 4 tokens.",))
        if task.name in ("segment", "refer"):
            mask = Mask.from_patch(np.ones((2, 2), np.bool_), 0, 0, width, height)
            return Segments(
                tuple(Segment(box, label, CODES, mask, 0.25) for label in labels), width, height
            )
        if task.name in ("caption", "describe"):
            return Caption(words)
        return OcrText(f"{words}\nsecond line") if task.name == "ocr" else Answer(words)


def write_picture(file: Path, width: int = 16, height: int = 12) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (90, 120, 200)).save(file)
    return file


def write_animation(file: Path, frames: int) -> Path:
    first, *rest = [Image.new("RGB", (8, 8), (40 * i, 20, 10)) for i in range(frames)]
    first.save(file, save_all=True, append_images=rest)
    return file
