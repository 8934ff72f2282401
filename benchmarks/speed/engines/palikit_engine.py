"""PaliKit as it is measured: the public call for the first token, `Decoding` for the steps."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from benchmarks.speed.cases import Engine
from benchmarks.speed.measurement import Decoded, Prepared
from PIL.Image import Image
from torch import Tensor

import palikit
from palikit import GenerationOptions, tasks
from palikit.generation import Decoding
from palikit.grammar import ObjectGrammar
from palikit.model.inputs import ModelInputs
from palikit.predictor import Predictor
from palikit.processor import Query
from palikit.request import Request

NO_ID = -1
"""An end token that no row ever writes."""

CERTAIN = 1e4
"""A logit above all others, whatever the output cap."""

BOXES = 5


@dataclass(frozen=True)
class PalikitEngine:
    """A loaded predictor."""

    predictor: Predictor

    @property
    def attention(self) -> str:
        """What computes the decoder's attention."""
        return "palikit"

    def prepare(self, pictures: Sequence[Image], prompts: Sequence[str]) -> Prepared:
        """What goes into the model."""
        inputs = self._inputs(pictures, prompts)
        lengths = inputs.lengths.tolist()
        rows = [
            row[:length] for row, length in zip(inputs.input_ids.tolist(), lengths, strict=True)
        ]
        pixels = inputs.pixel_values.float()
        return Prepared(rows, float(pixels.mean()), float(pixels.std()))

    def first_token(self, pictures: Sequence[Image], prompt: str) -> None:
        """One token for each picture, through the public call."""
        task = tasks.plain(prompt)
        requests = [Request((picture,), task, "") for picture in pictures]
        options = GenerationOptions(max_new_tokens=1)
        answers = self.predictor.predict(requests, options, batch_size=len(pictures))
        if any(len(answer.token_scores) != 1 for answer in answers):
            raise RuntimeError("PaliKit wrote another number of tokens than one")

    @torch.inference_mode()
    def decode(self, pictures: Sequence[Image], prompt: str, tokens: int) -> Decoded:
        """So many tokens for each picture, greedily."""
        decoding = self._decoding(self._inputs(pictures, [prompt] * len(pictures)), tokens)
        for row in decoding.rows:
            row.eos_id = NO_ID
        return _all_steps(decoding)

    @torch.inference_mode()
    def decode_boxes(self, picture: Image, tokens: int, *, is_steered: bool) -> Decoded:
        """Five boxes, the same whether the grammar steers or is absent; all work is done.

        The scores are computed as ever, and then the wanted id is given the highest.
        """
        task = tasks.detect("cat")
        grammar = self.predictor.engine.grammar(task)
        if grammar is None:
            raise RuntimeError("detect has no grammar")
        wanted = five_boxes(grammar)
        if len(wanted) != tokens:
            raise RuntimeError(f"five boxes take {len(wanted)} tokens here, not {tokens}")
        inputs = self._inputs([picture], [task.prompt])
        decoding = self._decoding(inputs, tokens, grammar if is_steered else None)
        with self._writing(wanted, decoding):
            decoded = _all_steps(decoding)
        if decoded.ids != [wanted]:
            raise RuntimeError("the model has not written the boxes it was made to write")
        return decoded

    def answer(self, picture: Image, prompts: Sequence[str], tokens: int) -> int:
        """Put many prompts to one picture, through the public call."""
        options = GenerationOptions(max_new_tokens=tokens)
        answers = self.predictor.generate(picture, list(prompts), options=options)
        return sum(len(answer.token_scores) for answer in answers)

    def _inputs(self, pictures: Sequence[Image], prompts: Sequence[str]) -> ModelInputs:
        pairs = zip(pictures, prompts, strict=True)
        inputs = self.predictor.processor([Query((picture,), prompt) for picture, prompt in pairs])
        return inputs.to(self.predictor.model.device)

    def _decoding(
        self, inputs: ModelInputs, tokens: int, grammar: ObjectGrammar | None = None
    ) -> Decoding:
        grammars = [grammar] * len(inputs.input_ids)
        options = GenerationOptions(max_new_tokens=tokens)
        decoding = Decoding(self.predictor.model, inputs, options, grammars)
        if inputs.input_ids.is_cuda:
            torch.cuda.synchronize()
        return decoding

    @contextmanager
    def _writing(self, wanted: Sequence[int], decoding: Decoding) -> Iterator[None]:
        """The single row of a batch is made to write these ids."""
        decoder, row = self.predictor.model.language_model, decoding.rows[0]
        logits = decoder.logits

        def steered(
            hidden: Tensor, ids: Tensor | slice | None = None, *, softcap: bool = True
        ) -> Tensor:
            scores = logits(hidden, ids, softcap=softcap)
            place = wanted[len(row.tokens)]
            if isinstance(ids, slice):
                place -= ids.start
            elif ids is not None:
                place = ids.tolist().index(place)
            scores[..., place] = CERTAIN
            return scores

        decoder.logits = steered
        try:
            yield
        finally:
            del decoder.logits


def load(checkpoint: Path, engine: Engine, device: str) -> PalikitEngine:
    """As a user loads it."""
    name = str(checkpoint)
    if engine.source == "quantised":
        return PalikitEngine(palikit.load(name, device=device))
    if engine.form in ("float32", "bfloat16"):
        return PalikitEngine(palikit.load(name, device=device, dtype=engine.form))
    return PalikitEngine(palikit.load(name, device=device, quantize=engine.form))


def five_boxes(grammar: ObjectGrammar) -> list[int]:
    """Five distinct boxes of the first label, and the end."""
    ids: list[int] = []
    for number in range(BOXES):
        edges = (100 + number, 200, 500 + 7 * number, 900)
        ids += [] if number == 0 else grammar.separator
        ids += [grammar.loc_ids[edge] for edge in edges]
        ids += grammar.labels[0]
    return [*ids, grammar.eos_id]


def _all_steps(decoding: Decoding) -> Decoded:
    """Step to the end; the last step is left out, for nothing is fed after the last token."""
    counts, seconds, made = [], [], 0
    while not decoding.is_done:
        start = time.perf_counter()
        decoding.step()
        seconds.append(time.perf_counter() - start)
        total = sum(len(row.tokens) for row in decoding.rows)
        counts.append(total - made)
        made = total
    ids = [[token.id for token in row.tokens] for row in decoding.rows]
    return Decoded(ids, counts[:-1], seconds[:-1])
