"""The one way from requests to predictions.

pictures + task -> processor -> model + generation -> tokenizer -> tasks.parse -> Prediction
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, TypeAlias

import torch
from PIL.Image import Image

from palikit import tasks
from palikit.ahead import mapped_ahead
from palikit.answers import AnswerReader
from palikit.beam_search import beam_search
from palikit.errors import InputError, PaliKitError
from palikit.generation import generate, stream
from palikit.grammar import ObjectGrammar
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.processor import Prepared, Processor, Query
from palikit.request import Inquiry, Request
from palikit.tasks import Task
from palikit.vocab import CODES_PER_MASK

BATCH_SIZE = 8
"""Requests that go through the model together where nobody says how many."""

SMALL_BATCH_SIZE = 16
"""The same for a model that answers them within a second or less on a CPU."""

MAX_BATCH_TOKENS = 8192
"""Image tokens of such a batch: as many as a single request may have, so that a batch needs no more
memory than the largest request does. At 896 px it holds 2 pictures, at 448 px still 8.
"""

MAX_BATCH_SLOTS = 2 * MAX_BATCH_TOKENS
"""Tokens of such a batch that there is room for in its cache, those that may yet be written too."""

_SMALL = 2**26
"""With fewer weights than these, opening and resizing a picture is no small part of the work."""

_Ready: TypeAlias = tuple[Request, Prepared]


@dataclass(frozen=True)
class _ImageEmbeds:
    """Encoded pictures by identity, in the order of a batch.

    Attributes:
        known: the picture, held so that its id stays its own, and its embeddings [I, D].
    """

    known: dict[int, tuple[Image, torch.Tensor]]

    def stacked(self) -> torch.Tensor:
        """[U, I, D], as `ModelInputs.image_index` counts them."""
        return torch.stack([embeds for _, embeds in self.known.values()])


@dataclass(frozen=True)
class Engine:
    """Model, processor and the reader of answers, put together."""

    model: PaliGemma
    processor: Processor
    read: AnswerReader

    def predict_each(
        self,
        requests: Iterable[Request],
        options: GenerationOptions,
        *,
        batch_size: int | None = None,
    ) -> Iterator[Prediction[Any]]:
        """Answer requests in batches, in order.

        In float32 batching changes no text; in half precision its rounding can. Requests are taken
        when their batch is formed, so that an iterator may open its pictures only then. A batch
        holds neighbours with the same number of pictures, and a picture that several neighbours
        ask about goes through the image tower once, however many batches they make.

        Args:
            requests: any number.
            options: how text is generated.
            batch_size: requests in a batch; None for up to `BATCH_SIZE` (`SMALL_BATCH_SIZE` with a
                small model), and fewer where they have more than `MAX_BATCH_TOKENS` image tokens
                together, or with their answers more than `MAX_BATCH_SLOTS` tokens.

        Raises:
            InputError: `batch_size` is below 1, or a request has more tokens than the model knows
                positions.
        """
        _check_options(options, batch_size)
        for answer in self._answer_each(self._prepare_each(requests), options, batch_size):
            if isinstance(answer, PaliKitError):
                raise answer
            yield answer

    def outcomes(
        self,
        inquiries: Iterable[Inquiry],
        options: GenerationOptions,
        *,
        batch_size: int | None = None,
    ) -> Iterator[Prediction[Any] | PaliKitError]:
        """For each question of each inquiry its answer, or the error in its place.

        Batches are those of `predict_each`. While the model is at work on one, threads open and
        resize the pictures of the inquiries that come next: as many pictures as a batch has, or two
        inquiries of more.

        Raises:
            InputError: `batch_size` is below 1.
        """
        _check_options(options, batch_size)
        ahead = self._batch_size(1, options, batch_size) + 1
        prepared = mapped_ahead(
            self._prepare_inquiry, inquiries, ahead=ahead, weigh=lambda each: each.num_pictures
        )
        with closing(prepared):
            each_ready = chain.from_iterable(prepared)
            yield from self._answer_each(each_ready, options, batch_size)

    def stream(self, request: Request, options: GenerationOptions) -> Iterator[str]:
        """The text of one request in pieces; under a grammar a piece is a whole object.

        Raises:
            InputError: `options` asks for beams.
        """
        _check_options(options, None)
        if options.num_beams > 1:
            raise InputError("a beam search writes its text at the end: stream with num_beams 1")
        inputs = self.collate([self.prepare(request)])
        decoder = self.processor.tokenizer.decoder()
        for token in stream(self.model, inputs, options, self.grammar(request.task)):
            if piece := decoder.push(token.id):
                yield piece
        if rest := decoder.flush():
            yield rest

    def prepare(self, request: Request, before: Prepared | None = None) -> Prepared:
        """A request in tensors; several threads may do so at once.

        Args:
            request: any.
            before: one whose pixels are taken, where both are about the same picture objects.

        Raises:
            InputError: it has more tokens than the model knows positions.
        """
        known = before.known if before is not None else None
        prepared = self.processor.prepare(_query(request), known)
        num_pictures, config = len(request.pictures), self.model.config
        num_image = num_pictures * config.vision_config.num_image_tokens
        total, positions = num_image + len(prepared.prefix), config.text_config
        if total > positions.max_position_embeddings:
            raise InputError(
                f"{total} tokens ({num_image} of them for {num_pictures} pictures): the model "
                f"knows {positions.max_position_embeddings} positions; give fewer pictures or "
                "frames, or a model for smaller ones"
            )
        return prepared

    def collate(self, rows: list[Prepared]) -> ModelInputs:
        """One batch on the model's device."""
        device = self.model.device
        if device.type != "cuda":
            return self.processor.collate(rows).to(device)
        inputs = self.processor.collate(rows, pinned=True)
        pixels = inputs.pixel_values.to(device, non_blocking=True)
        return replace(inputs, pixel_values=pixels).to(device)

    def grammar(self, task: Task) -> ObjectGrammar | None:
        """The form of the answer to `detect` and `segment`; None for other tasks."""
        if task.name not in ("detect", "segment"):
            return None
        text = self.processor.tokenizer
        return ObjectGrammar(
            loc_ids=text.vocabulary.loc_ids,
            seg_ids=text.vocabulary.seg_ids,
            num_codes=CODES_PER_MASK if task.name == "segment" else 0,
            labels=[tuple(text.encode(f" {label}")) for label in task.labels],
            separator=tuple(text.encode(tasks.SEPARATOR)),
            eos_id=text.vocabulary.eos_id,
        )

    def _prepare_inquiry(self, inquiry: Inquiry) -> list[_Ready | PaliKitError]:
        try:
            pictures = inquiry.open()
        except PaliKitError as error:
            return [error] * len(inquiry.task_fors)
        ready: list[_Ready | PaliKitError] = []
        before: Prepared | None = None
        for task_for in inquiry.task_fors:
            try:
                request = Request(pictures, task_for(*pictures[0].size), inquiry.input)
                before = self.prepare(request, before)
            except PaliKitError as error:
                ready.append(error)
            else:
                ready.append((request, before))
        return ready

    def _prepare_each(self, requests: Iterable[Request]) -> Iterator[_Ready]:
        before: Prepared | None = None
        for request in requests:
            before = self.prepare(request, before)
            yield request, before

    def _batch_size(self, num_pictures: int, options: GenerationOptions, given: int | None) -> int:
        if given is not None:
            return given
        tokens = num_pictures * self.model.config.vision_config.num_image_tokens
        most = SMALL_BATCH_SIZE if self.is_small else BATCH_SIZE
        return max(1, min(most, MAX_BATCH_TOKENS // tokens, rows_with_room(tokens, options)))

    def _answer_each(
        self,
        each_ready: Iterable[_Ready | PaliKitError],
        options: GenerationOptions,
        batch_size: int | None,
    ) -> Iterator[Prediction[Any] | PaliKitError]:
        embeds = _ImageEmbeds({})
        for batch in self._batches(each_ready, options, batch_size):
            if rows := [each for each in batch if not isinstance(each, PaliKitError)]:
                requests = [request for request, _ in rows]
                inputs = self.collate([prepared for _, prepared in rows])
                embeds = self._encode_images(requests, inputs, embeds)
                answers = iter(self._answer(requests, inputs, embeds, options))
            for each in batch:
                yield each if isinstance(each, PaliKitError) else next(answers)

    @cached_property
    def is_small(self) -> bool:
        """Whether, on a CPU, the model is not most of the work by far."""
        # What is held in fewer bits are buffers.
        weights = chain(self.model.parameters(), self.model.buffers())
        return self.model.device.type == "cpu" and sum(map(torch.numel, weights)) < _SMALL

    def _batches(
        self,
        each_ready: Iterable[_Ready | PaliKitError],
        options: GenerationOptions,
        batch_size: int | None,
    ) -> Iterator[list[_Ready | PaliKitError]]:
        """Neighbours with the same number of pictures; errors keep their place and count nothing.

        A full batch is handed on before anything more is taken.
        """
        batch: list[_Ready | PaliKitError] = []
        rows = num_pictures = 0
        for each in each_ready:
            if not isinstance(each, PaliKitError):
                count = len(each[0].pictures)
                if rows and count != num_pictures:
                    yield batch
                    batch, rows = [], 0
                rows, num_pictures = rows + 1, count
            batch.append(each)
            if rows and rows == self._batch_size(num_pictures, options, batch_size):
                yield batch
                batch, rows = [], 0
        if batch:
            yield batch

    def _encode_images(
        self, batch: list[Request], inputs: ModelInputs, earlier: _ImageEmbeds
    ) -> _ImageEmbeds:
        """Embeddings of the batch's pictures; those of the batch before are taken over."""
        # The processor counts distinct pictures in this very order.
        distinct = {id(picture): picture for request in batch for picture in request.pictures}
        kept = {key: earlier.known[key] for key in distinct if key in earlier.known}
        new = [place for place, key in enumerate(distinct) if key not in kept]
        if new:
            with torch.inference_mode():
                encoded = iter(self.model.encode_images(inputs.pixel_values[new]))
            kept |= {
                key: (distinct[key], next(encoded)) for key in distinct if key not in earlier.known
            }
        return _ImageEmbeds({key: kept[key] for key in distinct})

    def _answer(
        self,
        batch: list[Request],
        inputs: ModelInputs,
        embeds: _ImageEmbeds,
        options: GenerationOptions,
    ) -> list[Prediction[Any]]:
        grammars = [self.grammar(request.task) for request in batch]
        decode = beam_search if options.num_beams > 1 else generate
        generations = decode(self.model, inputs, options, grammars, embeds.stacked())
        return [
            self.read(request, generation)
            for request, generation in zip(batch, generations, strict=True)
        ]


def rows_with_room(image_tokens: int, options: GenerationOptions) -> int:
    """Requests of so many image tokens each that `MAX_BATCH_SLOTS` have room for; 0 for none."""
    return MAX_BATCH_SLOTS // ((image_tokens + options.max_new_tokens) * options.num_beams)


def _check_options(options: GenerationOptions, batch_size: int | None) -> None:
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size is {batch_size}: it must be 1 or more")
    if not isinstance(options, GenerationOptions):
        raise InputError(
            f"options is a {type(options).__name__}: give palikit.GenerationOptions(...)"
        )


def _query(request: Request) -> Query:
    task = request.task
    return Query(request.pictures, task.prompt, allow_special=task.allow_special)
