"""Every option a user can set, once: frozen, documented, validated.

The command line derives from these fields. No torch here.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

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

QuantizedForm = Literal["int8", "int4", "nf4", "fp8"]
"""How weights are held in fewer bits; see `palikit.quantization`."""


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
    quantize: QuantizedForm | None = option(
        None,
        "Hold the weights in fewer bits: int8 (the fastest on a CPU), int4, nf4 or fp8; "
        "`palikit quantize` does it once for all.",
    )
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
        if self.quantize is not None:
            _require_one_of(self.quantize, QuantizedForm, "quantize")
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


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _require(holds: bool, name: str, got: object, expected: str) -> None:  # noqa: FBT001
    if not holds:
        raise InputError(f"{name} is {got!r}: it must be {expected}")


@dataclass(frozen=True)
class ServeOptions:
    """Who may ask a server, how much at a time, and how long it tries."""

    host: str = option(
        "127.0.0.1", "Address to listen on; 0.0.0.0 for every network this machine is in."
    )
    port: int = option(8000, "Port to listen on; 0 for any that is free.")
    served_name: str | None = option(
        None, "What clients call the model; by default its name, or the last part of its path."
    )
    api_keys: str | None = option(
        None,
        "File of API keys, a line each: the key, or a name and the key. Keys in PALIKIT_API_KEYS, "
        "separated by commas, count too. With none, whoever reaches the port may ask.",
    )
    allowed_hosts: str | None = option(
        None,
        "Names, separated by commas, that requests may call this server by. By default any, but "
        "only names of this machine itself where it listens to nobody else.",
    )
    requests_per_minute: int | None = option(
        None,
        "Requests a key may make in a minute, those that only read (GET) not counted; without "
        "keys, an address. Unbounded if not set.",
    )
    max_queue: int = option(64, "Requests that wait at most; further ones are told to come later.")
    max_batch: int = option(16, "Requests whose texts are written together at most.")
    image_cache_mib: int = option(
        256, "Memory for the features of pictures that may be asked about again; 0 for none."
    )
    max_connections: int = option(512, "Connections open at a time.")
    max_request_mib: int = option(32, "Largest body of a request.")
    max_pending_mib: int = option(
        1024, "Memory for bodies and decoded pictures of all requests in hand together."
    )
    max_pixels: int = option(50_000_000, "Pixels of all pictures of a request together.")
    max_pictures: int = option(16, "Pictures of a request.")
    max_prompt_tokens: int = option(512, "Tokens of a prompt, those of its pictures not counted.")
    max_output_tokens: int = option(1024, "Tokens that a request may ask for.")
    max_choices: int = option(4, "Answers that a request may ask for (n).")
    request_timeout: float = option(
        120.0, "Seconds from the last byte of a request to its answer's end."
    )
    upload_timeout: float = option(
        30.0, "Seconds for the body of a request to arrive, and for an answer's bytes to be taken."
    )
    drain_timeout: float = option(
        60.0, "Seconds that SIGTERM leaves to the requests that are being answered."
    )
    allow_url_hosts: str | None = option(
        None,
        "Hosts, separated by commas, that pictures are fetched from when a request gives an "
        "address; never from private addresses. None by default.",
    )
    label_studio_url: str | None = option(
        None,
        "Label Studio whose pictures are fetched for /predict, such as http://localhost:8080; its "
        "token is taken from LABEL_STUDIO_API_KEY.",
    )
    log_prompts: bool = option(default=False, doc="Write prompts and answers to the log.")

    def __post_init__(self) -> None:
        _require(bool(self.host), "host", self.host, "a name or address")
        _require_in(0, self.port, 65_535, "port")
        for name, low, high in _SERVE_RANGES:
            _require_in(low, getattr(self, name), high, name)
        url = self.label_studio_url
        if url is not None:
            expected = "an address such as http://localhost:8080"
            _require(_is_web_address(url), "label_studio_url", url, expected)
        if self.requests_per_minute is not None:
            _require_in(1, self.requests_per_minute, 10**6, "requests_per_minute")
        for name in ("request_timeout", "upload_timeout", "drain_timeout"):
            value = getattr(self, name)
            _require(0 < value <= 86_400, name, value, "above 0 and at most a day")


_SERVE_RANGES = (
    ("max_queue", 1, 100_000),
    ("max_batch", 1, 1024),
    ("image_cache_mib", 0, 2**20),
    ("max_connections", 1, 65_536),
    ("max_request_mib", 1, 4096),
    ("max_pending_mib", 1, 2**20),
    ("max_pixels", 1, 2**32 - 1),
    ("max_pictures", 1, 512),
    ("max_prompt_tokens", 1, MAX_NEW_TOKENS),
    ("max_output_tokens", 1, MAX_NEW_TOKENS),
    ("max_choices", 1, 128),
)
