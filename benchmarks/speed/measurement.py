"""What one process has measured, and the interface it measures through."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from PIL.Image import Image


@dataclass(frozen=True)
class Decoded:
    """A batch written to its end, once.

    Attributes:
        ids: the tokens of each row.
        step_tokens: tokens that each step of the loop has made, all rows together.
        step_seconds: what each step took: a token chosen and fed, in either order. The work of the
            prefill is in none of them.
    """

    ids: list[list[int]]
    step_tokens: list[int]
    step_seconds: list[float]

    def median_rate(self) -> float:
        """Tokens/s of the median step; for steps that all make as many tokens."""
        return self.step_tokens[0] / statistics.median(self.step_seconds)

    def total_rate(self) -> float:
        """Tokens/s of all steps together."""
        return sum(self.step_tokens) / sum(self.step_seconds)


@dataclass(frozen=True)
class Prepared:
    """What a library makes of pictures and prompts, for comparison.

    Attributes:
        prompt_ids: of each row, without image tokens and padding.
        pixel_mean, pixel_std: of all pixels in [-1, 1].
    """

    prompt_ids: list[list[int]]
    pixel_mean: float
    pixel_std: float


class LoadedEngine(Protocol):
    """A loaded model of either library. Every call begins with decoded pictures."""

    @property
    def attention(self) -> str:
        """What computes the decoder's attention."""

    def prepare(self, pictures: Sequence[Image], prompts: Sequence[str]) -> Prepared:
        """What goes into the model."""

    def first_token(self, pictures: Sequence[Image], prompt: str) -> None:
        """One token for each picture, pictures resized and the prompt tokenised on the way."""

    def decode(self, pictures: Sequence[Image], prompt: str, tokens: int) -> Decoded:
        """So many tokens for each picture, greedily."""

    def decode_boxes(self, picture: Image, tokens: int, *, is_steered: bool) -> Decoded:
        """So many tokens of five boxes."""

    def answer(self, picture: Image, prompts: Sequence[str], tokens: int) -> int:
        """Put many prompts to one picture; the number of tokens written for all of them."""


@dataclass(frozen=True)
class Measurement:
    """What one process has measured; seconds and bytes.

    Attributes:
        load_seconds: from the call that loads to a model in memory, files in the page cache.
        cold_first_token_seconds: the first call of all, the only warm-up there is.
        first_token_seconds: from decoded pictures to the first id of each, call by call.
        decode_tokens_per_second: run by run: of the median step, or of all steps of boxes.
        reads_beside: bytes/s of each run: the best of five reads of memory right before it and of
            five right after; none where they were not measured.
        step_seconds, step_tokens: each step of each run.
        whole_seconds: all questions of one picture call by call; or the whole process.
        peak_bytes: largest resident memory of the process, loading included.
        peak_device_bytes: most that PyTorch has held on the GPU.
        prompt_ids: as the library made them, to be compared.
        pixel_mean, pixel_std: of what went into the image tower, to be compared.
        output: what was written, ids or texts, to be compared.
        threads: of PyTorch.
        attention: what computes the decoder's attention.
    """

    load_seconds: float | None = None
    cold_first_token_seconds: float | None = None
    first_token_seconds: list[float] = field(default_factory=list)
    decode_tokens_per_second: list[float] = field(default_factory=list)
    reads_beside: list[float] = field(default_factory=list)
    step_seconds: list[list[float]] = field(default_factory=list)
    step_tokens: list[list[int]] = field(default_factory=list)
    whole_seconds: list[float] = field(default_factory=list)
    peak_bytes: int | None = None
    peak_device_bytes: int | None = None
    prompt_ids: list[list[int]] = field(default_factory=list)
    pixel_mean: float | None = None
    pixel_std: float | None = None
    output: list[list[int]] | list[str] = field(default_factory=list)
    threads: int | None = None
    attention: str | None = None


@dataclass(frozen=True)
class Trial:
    """One turn of one contender.

    Attributes:
        turn: from 0.
        error: why there is no measurement.
    """

    contender: str
    turn: int
    measurement: Measurement | None = None
    error: str | None = None
