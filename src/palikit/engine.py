"""The one way from requests to predictions.

pictures + task -> processor -> model + generation -> tokenizer -> tasks.parse -> Prediction
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

import torch
from PIL.Image import Image

from palikit import tasks
from palikit.answers import AnswerReader
from palikit.beam_search import beam_search
from palikit.errors import InputError
from palikit.generation import generate, stream
from palikit.grammar import ObjectGrammar
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.processor import Processor, Query
from palikit.request import Request
from palikit.tasks import Task
from palikit.vocab import CODES_PER_MASK


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
        batch_size: int,
    ) -> Iterator[Prediction[Any]]:
        """Answer requests in batches, in order.

        In float32 batching changes no text; in half precision its rounding can. Requests are taken
        when their batch is formed, so that an iterator may open its pictures only then. A batch
        holds neighbours with the same number of pictures, and a picture that several neighbours
        ask about goes through the image tower once, however many batches they make.

        Raises:
            InputError: `batch_size` is below 1, or a request has more tokens than the model knows
                positions.
        """
        _check_options(options)
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}: it must be 1 or more")
        embeds = _ImageEmbeds({})
        for _, run in groupby(requests, key=lambda request: len(request.pictures)):
            while batch := list(islice(run, batch_size)):
                inputs = self._inputs(batch)
                embeds = self._encode_images(batch, inputs, embeds)
                yield from self._answer(batch, inputs, embeds, options)

    def stream(self, request: Request, options: GenerationOptions) -> Iterator[str]:
        """The text of one request in pieces; under a grammar a piece is a whole object.

        Raises:
            InputError: `options` asks for beams.
        """
        _check_options(options)
        if options.num_beams > 1:
            raise InputError("a beam search writes its text at the end: stream with num_beams 1")
        inputs = self._inputs([request])
        decoder = self.processor.tokenizer.decoder()
        for token in stream(self.model, inputs, options, self.grammar(request.task)):
            if piece := decoder.push(token.id):
                yield piece
        if rest := decoder.flush():
            yield rest

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

    def _inputs(self, batch: list[Request]) -> ModelInputs:
        inputs = self.processor([_query(request) for request in batch])
        config = self.model.config
        num_image = inputs.image_index.shape[1] * config.vision_config.num_image_tokens
        total, known = num_image + inputs.input_ids.shape[1], config.text_config
        if total > known.max_position_embeddings:
            raise InputError(
                f"{total} tokens ({num_image} of them for {inputs.image_index.shape[1]} pictures): "
                f"the model knows {known.max_position_embeddings} positions; give fewer pictures "
                "or frames, or a model for smaller ones"
            )
        return inputs.to(self.model.device)

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


def _check_options(options: GenerationOptions) -> None:
    if not isinstance(options, GenerationOptions):
        raise InputError(
            f"options is a {type(options).__name__}: give palikit.GenerationOptions(...)"
        )


def _query(request: Request) -> Query:
    task = request.task
    return Query(request.pictures, task.prompt, allow_special=task.allow_special)
