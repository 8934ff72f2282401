"""A model and everything needed to ask it about pictures, under the verbs that people use."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

import torch

from palikit import tasks
from palikit.answers import AnswerReader
from palikit.engine import BATCH_SIZE, Engine
from palikit.errors import InputError, PaliKitError
from palikit.model.mask_codec import MaskCodec
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.processor import Processor
from palikit.request import (
    Inquiry,
    ManyInputs,
    PictureInput,
    Request,
    describe_input,
    open_pictures,
    pair_inquiries,
)
from palikit.results import Answer, Box, Caption, Detections, OcrText, Segments
from palikit.tasks import Task
from palikit.vocab import Coordinates, MaskEdges

__all__ = ["BATCH_SIZE", "Predictor"]


class Predictor:
    """A loaded model with everything needed to ask it.

    Every method takes one input and returns one `Prediction`, or a list of inputs and returns a
    list; `answer` and `generate` also take a list of texts, which share the work on a single
    picture. An input is a path, URL, bytes, PIL picture, NumPy array, `Video` or `Pictures`.

    Attributes:
        stored_dtype: of most weights in the files, which `model.dtype` may differ from; None for a
            model that was not loaded.
    """

    def __init__(
        self,
        model: PaliGemma,
        processor: Processor,
        *,
        name: str,
        coordinates: Coordinates = "1023",
        mask_codec: MaskCodec | None = None,
        mask_edges: MaskEdges = "round",
        stored_dtype: torch.dtype | None = None,
    ) -> None:
        self.model = model
        self.stored_dtype = stored_dtype
        self.processor = processor
        self.name = name
        self.coordinates = coordinates
        self.mask_codec = mask_codec
        read = AnswerReader(processor.tokenizer, coordinates, mask_codec, name, mask_edges)
        self.engine = Engine(model, processor, read)

    def __repr__(self) -> str:
        size = self.processor.image_size
        return f"Predictor({self.name!r}, {size} px, {self.model.dtype}, {self.model.device})"

    @overload
    def caption(
        self,
        picture: PictureInput,
        language: str = "en",
        *,
        options: GenerationOptions | None = None,
    ) -> Prediction[Caption]: ...
    @overload
    def caption(
        self, picture: ManyInputs, language: str = "en", *, options: GenerationOptions | None = None
    ) -> list[Prediction[Caption]]: ...
    def caption(
        self,
        picture: PictureInput | ManyInputs,
        language: str = "en",
        *,
        options: GenerationOptions | None = None,
    ) -> Any:
        """A caption."""
        return self.ask(picture, tasks.caption(language), options)

    @overload
    def describe(
        self,
        picture: PictureInput,
        language: str = "en",
        *,
        options: GenerationOptions | None = None,
    ) -> Prediction[Caption]: ...
    @overload
    def describe(
        self, picture: ManyInputs, language: str = "en", *, options: GenerationOptions | None = None
    ) -> list[Prediction[Caption]]: ...
    def describe(
        self,
        picture: PictureInput | ManyInputs,
        language: str = "en",
        *,
        options: GenerationOptions | None = None,
    ) -> Any:
        """A longer description."""
        return self.ask(picture, tasks.describe(language), options)

    @overload
    def answer(
        self,
        picture: PictureInput,
        question: str,
        language: str = "en",
        *,
        options: GenerationOptions | None = None,
    ) -> Prediction[Answer]: ...
    @overload
    def answer(
        self,
        picture: ManyInputs,
        question: str | list[str],
        language: str = "en",
        *,
        options: GenerationOptions | None = None,
    ) -> list[Prediction[Answer]]: ...
    @overload
    def answer(
        self,
        picture: PictureInput,
        question: list[str],
        language: str = "en",
        *,
        options: GenerationOptions | None = None,
    ) -> list[Prediction[Answer]]: ...
    def answer(
        self,
        picture: PictureInput | ManyInputs,
        question: str | list[str],
        language: str = "en",
        *,
        options: GenerationOptions | None = None,
    ) -> Any:
        """The answer to a question, or to each of a list of questions."""
        return self.ask(
            picture, _each(question, lambda text: tasks.answer(text, language)), options
        )

    @overload
    def ocr(
        self, picture: PictureInput, *, options: GenerationOptions | None = None
    ) -> Prediction[OcrText]: ...
    @overload
    def ocr(
        self, picture: ManyInputs, *, options: GenerationOptions | None = None
    ) -> list[Prediction[OcrText]]: ...
    def ocr(
        self, picture: PictureInput | ManyInputs, *, options: GenerationOptions | None = None
    ) -> Any:
        """The text in the picture."""
        return self.ask(picture, tasks.ocr(), options)

    @overload
    def detect(
        self,
        picture: PictureInput,
        labels: str | Sequence[str],
        *,
        options: GenerationOptions | None = None,
    ) -> Prediction[Detections]: ...
    @overload
    def detect(
        self,
        picture: ManyInputs,
        labels: str | Sequence[str],
        *,
        options: GenerationOptions | None = None,
    ) -> list[Prediction[Detections]]: ...
    def detect(
        self,
        picture: PictureInput | ManyInputs,
        labels: str | Sequence[str],
        *,
        options: GenerationOptions | None = None,
    ) -> Any:
        """Boxes around what the labels name: a sequence, or one text such as "cat ; dog"."""
        return self.ask(picture, tasks.detect(labels), options)

    @overload
    def segment(
        self,
        picture: PictureInput,
        labels: str | Sequence[str],
        *,
        options: GenerationOptions | None = None,
    ) -> Prediction[Segments]: ...
    @overload
    def segment(
        self,
        picture: ManyInputs,
        labels: str | Sequence[str],
        *,
        options: GenerationOptions | None = None,
    ) -> list[Prediction[Segments]]: ...
    def segment(
        self,
        picture: PictureInput | ManyInputs,
        labels: str | Sequence[str],
        *,
        options: GenerationOptions | None = None,
    ) -> Any:
        """Boxes and outlines of what the labels name, as `detect` takes them."""
        return self.ask(picture, tasks.segment(labels), options)

    @overload
    def refer(
        self, picture: PictureInput, expression: str, *, options: GenerationOptions | None = None
    ) -> Prediction[Segments]: ...
    @overload
    def refer(
        self, picture: ManyInputs, expression: str, *, options: GenerationOptions | None = None
    ) -> list[Prediction[Segments]]: ...
    def refer(
        self,
        picture: PictureInput | ManyInputs,
        expression: str,
        *,
        options: GenerationOptions | None = None,
    ) -> Any:
        """The outline of what a phrase means, of a checkpoint fine-tuned on RefCOCO."""
        return self.ask(picture, tasks.refer(expression), options)

    @overload
    def generate(
        self, picture: PictureInput, prompt: str, *, options: GenerationOptions | None = None
    ) -> Prediction[Answer]: ...
    @overload
    def generate(
        self,
        picture: ManyInputs,
        prompt: str | list[str],
        *,
        options: GenerationOptions | None = None,
    ) -> list[Prediction[Answer]]: ...
    @overload
    def generate(
        self,
        picture: PictureInput,
        prompt: list[str],
        *,
        options: GenerationOptions | None = None,
    ) -> list[Prediction[Answer]]: ...
    def generate(
        self,
        picture: PictureInput | ManyInputs,
        prompt: str | list[str],
        *,
        options: GenerationOptions | None = None,
    ) -> Any:
        """The reply to any prompt, sent as it is, or to each of a list of prompts."""
        return self.ask(picture, _each(prompt, tasks.plain), options)

    def question(
        self,
        picture: PictureInput,
        answer: str,
        language: str = "en",
        *,
        options: GenerationOptions | None = None,
    ) -> Prediction[Answer]:
        """The question to which `answer` is the answer; pretrained checkpoints know this one."""
        prediction: Prediction[Answer] = self.ask(
            picture, tasks.question(answer, language), options
        )
        return prediction

    def caption_region(
        self, picture: PictureInput, box: Box, *, options: GenerationOptions | None = None
    ) -> Prediction[Caption]:
        """A caption of what is inside `box`, in pixels of the picture."""
        if not isinstance(box, Box):
            raise InputError(f"box is {box!r}: give palikit.Box(x1, y1, x2, y2) in pixels")
        pictures = open_pictures(picture)
        task = tasks.grounded_caption(box, *pictures[0].size, self.coordinates)
        return self.predict([Request(pictures, task, describe_input(picture))], options)[0]

    def stream(
        self, picture: PictureInput, task: Task | str, *, options: GenerationOptions | None = None
    ) -> Iterator[str]:
        """The reply in pieces as it is written; a text is sent as `generate` sends it.

        Under a grammar a piece is a whole object. Beams cannot be streamed.

        Raises:
            InputError: `options` asks for beams.
        """
        task = tasks.plain(task) if isinstance(task, str) else task
        request = Request(open_pictures(picture), task, describe_input(picture))
        return self.engine.stream(request, options or GenerationOptions())

    def predict(
        self,
        requests: Iterable[Request],
        options: GenerationOptions | None = None,
        *,
        batch_size: int | None = None,
    ) -> list[Prediction[Any]]:
        """All of `predict_each`, as a list; every prediction keeps its picture in memory."""
        return list(self.predict_each(requests, options, batch_size=batch_size))

    def predict_each(
        self,
        requests: Iterable[Request],
        options: GenerationOptions | None = None,
        *,
        batch_size: int | None = None,
    ) -> Iterator[Prediction[Any]]:
        """Answer requests in batches, in order, as `Engine.predict_each` does."""
        return self.engine.predict_each(
            requests, options or GenerationOptions(), batch_size=batch_size
        )

    def outcomes(
        self,
        inquiries: Iterable[Inquiry],
        options: GenerationOptions | None = None,
        *,
        batch_size: int | None = None,
    ) -> Iterator[Prediction[Any] | PaliKitError]:
        """Answers with the errors among them, as `Engine.outcomes` gives them."""
        return self.engine.outcomes(
            inquiries, options or GenerationOptions(), batch_size=batch_size
        )

    @overload
    def ask(
        self, picture: PictureInput, task: Task, options: GenerationOptions | None = None
    ) -> Prediction[Any]: ...
    @overload
    def ask(
        self,
        picture: PictureInput | ManyInputs,
        task: Task | list[Task],
        options: GenerationOptions | None = None,
    ) -> Any: ...
    def ask(
        self,
        picture: PictureInput | ManyInputs,
        task: Task | list[Task],
        options: GenerationOptions | None = None,
    ) -> Any:
        """Any task of `palikit.tasks`: what every verb here does with its own.

        One prediction for one input and one task; a list where either is a list: one input is
        asked every task, one task is put to every input, two lists go in step.
        """
        is_single = not isinstance(picture, list | tuple) and isinstance(task, Task)
        sources = list(picture) if isinstance(picture, list | tuple) else [picture]
        task_list = [task] if isinstance(task, Task) else task
        answers = []
        for outcome in self.outcomes(pair_inquiries(sources, task_list), options):
            if isinstance(outcome, PaliKitError):
                raise outcome
            answers.append(outcome)
        return answers[0] if is_single else answers


def _each(text: str | list[str], make: Callable[[str], Task]) -> Task | list[Task]:
    return [make(each) for each in text] if isinstance(text, list) else make(text)
