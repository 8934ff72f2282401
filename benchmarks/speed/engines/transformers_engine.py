"""transformers as its documentation uses it: processor, `generate`, default attention.

The end token is barred by `min_new_tokens`, so that every run has the same length.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from benchmarks.speed.cases import Engine
from benchmarks.speed.measurement import Decoded, Prepared
from PIL.Image import Image
from transformers import (
    AutoProcessor,
    BatchFeature,
    BitsAndBytesConfig,
    PaliGemmaForConditionalGeneration,
)
from transformers.generation.streamers import BaseStreamer


class Clock(BaseStreamer):
    """When each token was there."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        """Called with the prompt first, then with every new token of the batch."""
        del value
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Called after the last."""


@dataclass(frozen=True)
class TransformersEngine:
    """A loaded model and its processor."""

    model: PaliGemmaForConditionalGeneration
    processor: Any

    @property
    def attention(self) -> str:
        """What computes the decoder's attention."""
        return str(self.model.config.text_config._attn_implementation)

    def prepare(self, pictures: Sequence[Image], prompts: Sequence[str]) -> Prepared:
        """What goes into the model."""
        given, image = self._given(pictures, prompts), self.model.config.image_token_id
        is_text = (given["input_ids"] != image) & given["attention_mask"].bool()
        pairs = zip(given["input_ids"], is_text, strict=True)
        rows = [row[keep].tolist() for row, keep in pairs]
        pixels = given["pixel_values"].float()
        return Prepared(rows, float(pixels.mean()), float(pixels.std()))

    def first_token(self, pictures: Sequence[Image], prompt: str) -> None:
        """One token for each picture."""
        self._generate(self._given(pictures, [prompt] * len(pictures)), 1)

    def decode(self, pictures: Sequence[Image], prompt: str, tokens: int) -> Decoded:
        """So many tokens for each picture, greedily."""
        clock = Clock()
        given = self._given(pictures, [prompt] * len(pictures))
        ids = self._generate(given, tokens, clock)
        times = clock.times[1:]  # the first is the prompt's
        seconds = [after - before for before, after in pairwise(times)]
        return Decoded(ids, [len(ids)] * len(seconds), seconds)

    def decode_boxes(self, picture: Image, tokens: int, *, is_steered: bool) -> Decoded:
        """As many tokens as five boxes take, whichever: all ids cost the same, so none are told."""
        if is_steered:
            raise RuntimeError("transformers has no grammar of boxes")
        return replace(self.decode([picture], "detect cat", tokens), ids=[])

    def answer(self, picture: Image, prompts: Sequence[str], tokens: int) -> int:
        """A call for every prompt."""
        calls = (self._generate(self._given([picture], [prompt]), tokens) for prompt in prompts)
        return sum(len(row) for ids in calls for row in ids)

    def _given(self, pictures: Sequence[Image], prompts: Sequence[str]) -> BatchFeature:
        given = self.processor(
            text=["<image>" + prompt for prompt in prompts],
            images=[[picture] for picture in pictures],
            return_tensors="pt",
            padding=True,
        )
        given.pop("labels", None)
        return given.to(self.model.device)

    @torch.inference_mode()
    def _generate(
        self, given: BatchFeature, tokens: int, clock: Clock | None = None
    ) -> list[list[int]]:
        """The new ids of every row, on the host."""
        # The image tower takes pixels in the dtype of its weights.
        given = given.to(self.model.get_input_embeddings().weight.dtype)
        ids = self.model.generate(
            **given,
            do_sample=False,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            streamer=clock,
        )
        rows: list[list[int]] = ids[:, given["input_ids"].shape[1] :].tolist()
        if any(len(row) != tokens for row in rows):
            raise RuntimeError(f"transformers wrote another number of tokens than {tokens}")
        return rows


def load(checkpoint: Path, engine: Engine, device: str) -> TransformersEngine:
    """As its documentation loads it; with bitsandbytes in the dtype that is fastest here."""
    processor = AutoProcessor.from_pretrained(checkpoint)
    form = engine.form
    if form == "int8":
        model = PaliGemmaForConditionalGeneration.from_pretrained(
            checkpoint,
            dtype=torch.float32 if device == "cpu" else torch.bfloat16,
            quantization_config=BitsAndBytesConfig(load_in_8bit=True),
            device_map={"": device},
        )
    else:
        dtype = getattr(torch, form)
        model = PaliGemmaForConditionalGeneration.from_pretrained(checkpoint, dtype=dtype)
        model.to(device)
    return TransformersEngine(model.eval(), processor)
