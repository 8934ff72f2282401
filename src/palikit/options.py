"""Every option a user can set, once: frozen, documented, validated.

The command line derives from these fields. No torch here.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from palikit.errors import InputError
from palikit.vocab import Coordinates, MaskEdges

Resize = Literal["bicubic", "bilinear", "bilinear_no_antialias"]
RecordFormat = Literal["text", "json", "jsonl", "coco", "csv"]
"""How answers are written down; see `palikit.records`."""

MAX_NEW_TOKENS = 8192
"""The positions the decoder was trained with."""

MAX_IMAGE_SIZE = 4096
"""85,264 image tokens: over ten times the positions the decoder was trained with."""

MAX_BEAMS = 64
"""Each beam is a row of the batch with a cache of its own."""

DType = Literal["auto", "float32", "bfloat16", "float16"]


def option(default: Any, doc: str, *, is_default_shown: bool = True) -> Any:
    """A dataclass field with its help text, to which the command line adds the default."""
    return field(default=default, metadata={"doc": doc, "is_default_shown": is_default_shown})


@dataclass(frozen=True)
class GenerationOptions:
    """How text is generated."""

    max_new_tokens: int = option(256, "Largest number of tokens to write, 1 to 8192.")
    temperature: float = option(
        0.0, "0 takes the likeliest token; above 0 samples, the higher the more varied."
    )
    top_p: float = option(1.0, "Sample from the likeliest tokens that together reach this share.")
    top_k: int = option(0, "Sample from this many likeliest tokens; 0 for all.")
    seed: int = option(0, "Seed of the sampling: the same seed gives the same text.")
    num_beams: int = option(1, "Beams of a beam search without length normalisation; 1 is greedy.")
    grammar: bool = option(
        default=True,
        doc="Hold the answers of detect and segment to the form of boxes and the labels asked for.",
    )

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "top_k", "seed", "num_beams"):
            _require(type(getattr(self, name)) is int, name, getattr(self, name), "a whole number")
        for name in ("temperature", "top_p"):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and math.isfinite(value)
            _require(is_number, name, value, "a finite number")
        _require_in(1, self.max_new_tokens, MAX_NEW_TOKENS, "max_new_tokens")
        _require(self.temperature >= 0, "temperature", self.temperature, "0 or more")
        _require(0 < self.top_p <= 1, "top_p", self.top_p, "above 0 and at most 1")
        _require(self.top_k >= 0, "top_k", self.top_k, "0 or more")
        _require_in(1, self.num_beams, MAX_BEAMS, "num_beams")
        _require_in(0, self.seed, 2**63 - 1, "seed")
        if self.num_beams > 1 and self.temperature > 0:
            raise InputError(
                f"num_beams is {self.num_beams} and temperature is {self.temperature}: "
                "a beam search does not sample; set one of them to its default"
            )


@dataclass(frozen=True)
class LoadOptions:
    """How a model is loaded and how its pictures and coordinates are read."""

    device: str = option("auto", "Where to run: auto, cpu, cuda, cuda:1, mps.")
    dtype: DType = option("auto", "Precision of the weights; auto keeps the checkpoint's own.")
    revision: str | None = option(None, "Branch, tag or commit of a model named on the Hub.")
    adapter: str | None = option(
        None,
        "LoRA adapter to add to the model: a folder, or a name on the Hub; from PaliKit or PEFT.",
    )
    image_size: int | None = option(
        None,
        "Picture side in pixels, a multiple of the patch size; the position table is resampled "
        "when it is not the checkpoint's own.",
    )
    resize: Resize = option(
        "bicubic", "How pictures are resized: bicubic (transformers) or bilinear (big_vision)."
    )
    coordinates: Coordinates = option(
        "1023", "Grid of the location tokens: 1023 (the authors' code) or 1024 (the release post)."
    )
    mask_edges: MaskEdges = option(
        "round", "How box edges become pixels for a mask: round, or truncate (the evaluator's way)."
    )
    tokenizer: str | None = option(
        None,
        "tokenizer.json or SentencePiece .model file, where the checkpoint has none beside it.",
    )
    mask_codec: str | None = option(
        None, "vae-oid.npz, the decoder of segmentation codes, where it is not beside the model."
    )

    def __post_init__(self) -> None:
        _require_one_of(self.dtype, DType, "dtype")
        _require_one_of(self.resize, Resize, "resize")
        _require_one_of(self.coordinates, Coordinates, "coordinates")
        _require_one_of(self.mask_edges, MaskEdges, "mask_edges")
        size = self.image_size
        if size is not None and (not isinstance(size, int) or not 14 <= size <= MAX_IMAGE_SIZE):
            raise InputError(
                f"image_size is {size!r}: it must be a whole number of pixels, "
                f"14 to {MAX_IMAGE_SIZE}"
            )


def _require_one_of(got: object, choices: Any, name: str) -> None:
    known = get_args(choices)
    _require(got in known, name, got, f"one of {', '.join(map(repr, known))}")


def _require_in(low: int, got: int, high: int, name: str) -> None:
    _require(low <= got <= high, name, got, f"between {low} and {high}")


def _require(holds: bool, name: str, got: object, expected: str) -> None:  # noqa: FBT001
    if not holds:
        raise InputError(f"{name} is {got!r}: it must be {expected}")
