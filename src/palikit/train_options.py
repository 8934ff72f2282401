"""Every option of training, once: frozen, documented, validated. No torch here."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from palikit.errors import InputError
from palikit.options import option

LossMean = Literal["example", "token"]
"""Over what the loss of a batch is averaged; see `LossOptions.mean`."""


@dataclass(frozen=True)
class LossOptions:
    """How the loss of a batch is made; the defaults are those of big_vision.

    The loss of `transformers` is LossOptions(mean="token", softcap=True, padding_rows=True).
    """

    mean: LossMean = option(
        "example",
        "example: a short answer counts as much as a long one; token: one mean over all tokens of "
        "the batch.",
    )
    label_smoothing: float = option(
        0.0,
        "Share of the probability that the target gives to all other tokens.",
    )
    softcap: bool = option(
        default=False, doc="Cap the logits as in generation, where the model has a cap."
    )
    padding_rows: bool = option(
        default=False,
        doc="Let the table's rows behind the last real token take part in the softmax.",
    )
    max_chunk_mib: int = option(64, "Largest block of float32 logits held at once, in MiB.")

    def __post_init__(self) -> None:
        if self.mean not in get_args(LossMean):
            raise InputError(f"mean is {self.mean!r}: it must be 'example' or 'token'")
        smoothing = self.label_smoothing
        if not isinstance(smoothing, int | float) or not 0 <= smoothing < 1:
            raise InputError(f"label_smoothing is {smoothing!r}: it must be at least 0 and below 1")
        if type(self.max_chunk_mib) is not int or self.max_chunk_mib < 1:
            raise InputError(
                f"max_chunk_mib is {self.max_chunk_mib!r}: it must be a whole number, 1 or more"
            )


Method = Literal["full", "frozen_tower", "attention", "lora", "qlora"]
"""What learns; see `TrainOptions.method`."""

OptimizerName = Literal["adamw", "adamw8bit", "adafactor", "sgd", "muon"]
Schedule = Literal["cosine", "linear", "constant"]
Precision = Literal["auto", "float32", "bfloat16"]
Augment = Literal["none", "mirror", "turn"]

DECAYING = r"^(vision_tower\.(patch_embedding|layers)|multi_modal_projector)\b.*\.weight$"
"""The weights that big_vision's mask for decay (names that end in "/kernel") reaches in PaliGemma:
the matrices of image tower and projector. No weight of the decoder has such a name there."""


_Range: TypeAlias = tuple[tuple[str, ...], Callable[[float], bool], str]
"""Names of fields, the test of their values, and what it expects in words."""


@dataclass(frozen=True)
class TrainOptions:
    """How a model is trained; the defaults follow big_vision's own recipe to copy (forkme)."""

    method: Method = option(
        "full",
        "full: everything; frozen_tower: all but the image tower; attention: the decoder's "
        "attention, as the published Colab; lora: adapters; qlora: adapters on a base of 4 bits.",
    )
    train: str | None = option(
        None, "Of these, train only weights whose name this regular expression finds."
    )
    freeze: str | None = option(
        None, "Leave weights whose name this regular expression finds as they are."
    )
    freeze_image_tower: bool = option(default=False, doc="Leave the image tower as it is.")
    freeze_projector: bool = option(
        default=False, doc="Leave the projection between the towers as it is."
    )
    freeze_decoder: bool = option(default=False, doc="Leave the decoder's layers as they are.")
    freeze_embeddings: bool = option(
        default=False, doc="Leave the embedding table and output head as it is."
    )
    epochs: float = option(10.0, "How often every example is seen, unless --steps says it.")
    steps: int | None = option(None, "Updates of the weights, instead of epochs.")
    batch_size: int = option(32, "Examples a step, over all processes together.")
    accumulation: int = option(1, "Parts that a step is computed in one by one: less memory.")
    learning_rate: float = option(1e-5, "The highest one, after the warm-up.")
    rate_multipliers: str | None = option(
        None,
        'Of the learning rate, as "vision_tower=0.1, embed_tokens=0.5": regular expressions for '
        "names of weights, of which the first found counts.",
    )
    optimizer: OptimizerName = option(
        "adamw",
        "adamw; adamw8bit (bitsandbytes; paged on a GPU); adafactor; sgd (no momentum); muon, for "
        "training from scratch: AdamW where a weight is no matrix of a layer.",
    )
    beta1: float = option(0.9, "AdamW's decay of the mean of gradients.")
    beta2: float = option(0.999, "AdamW's decay of the mean of their squares.")
    eps: float = option(1e-8, "Added by AdamW to the root of the squares.")
    weight_decay: float = option(
        0.0,
        "Share of a weight taken off at each step, as big_vision counts it: PyTorch's figure times "
        "the learning rate.",
    )
    weight_decay_on: str = option(
        DECAYING,
        "Regular expression for names of matrices that decay; by default those of image tower and "
        "projector, as in the published transfers.",
    )
    schedule: Schedule = option(
        "cosine", "How the rate goes on after the warm-up: to 0, or constant."
    )
    warmup: float = option(0.05, "Share of the steps in which the rate rises from 0.")
    clip_norm: float = option(1.0, "Largest norm of the gradient; 0 for no limit.")
    dropout: float = option(0.0, "Share of the decoder's activations dropped.")
    precision: Precision = option(
        "auto",
        "Of products; with bfloat16 what learns is float32 and what is frozen as stored. auto: "
        "bfloat16 on a GPU, float32 on the CPU.",
    )
    gradient_checkpointing: bool = option(
        default=False, doc="Compute activations twice instead of keeping them: less memory."
    )
    seed: int = option(0, "Seed of everything drawn at random.")
    augment: Augment = option(
        "none",
        "Turn pictures of detect and segment at random: mirror, left and right; turn, all eight "
        "turns and mirrorings.",
    )
    max_text_tokens: int = option(
        512, "Most tokens of prompt and answer; a longer row is an error."
    )
    checkpoint_every: int = option(500, "Steps between checkpoints.")
    keep: int = option(2, "How many of the latest checkpoints are kept.")
    evaluate_every: int | None = option(None, "Steps between validations; by default an epoch.")
    metric: str | None = option(
        None,
        "Figure that decides which model is best, instead of the task's own; with a minus before "
        "it (-cer) where less is better.",
    )
    patience: int = option(0, "Stop after so many validations without a better score; 0 for never.")
    cache_features: bool = option(
        default=False,
        doc="Keep the output of a frozen image tower on disk, computed once a picture.",
    )
    features: str | None = option(None, "Folder for that output, to be shared among runs.")
    num_workers: int = option(2, "Threads that prepare the next batches; 0 for none.")
    worker_processes: bool = option(
        default=False,
        doc="Processes instead of threads: for examples that Python code draws.",
    )

    def __post_init__(self) -> None:
        for name, choices in (
            ("method", Method),
            ("optimizer", OptimizerName),
            ("schedule", Schedule),
            ("precision", Precision),
            ("augment", Augment),
        ):
            known = get_args(choices)
            _require(getattr(self, name) in known, self, name, f"one of {', '.join(known)}")
        self._check_counts()
        self._check_numbers()
        for name in ("train", "freeze", "weight_decay_on"):
            _check_pattern(getattr(self, name), name)
        _ = self.multipliers
        if self.cache_features and self.augment != "none":
            raise InputError(
                f"augment is {self.augment!r} and cache_features is set: pictures that are turned "
                "each time anew have no output to keep; leave one of them out"
            )
        if self.features is not None and not self.cache_features:
            raise InputError(
                f"features is {self.features!r} and cache_features is not set: set it too, or "
                "leave features out"
            )

    @property
    def multipliers(self) -> tuple[tuple[str, float], ...]:
        """`rate_multipliers` as pairs of a regular expression and a factor above 0."""
        pairs = []
        for text in filter(None, map(str.strip, (self.rate_multipliers or "").split(","))):
            pattern, _, factor = text.rpartition("=")
            try:
                pairs.append((pattern, float(factor)))
            except ValueError:
                pairs.append(("", 0.0))
            if not pattern or not 0 < pairs[-1][1] < math.inf:
                raise InputError(
                    f"rate_multipliers has {text!r}: expected such as vision_tower=0.1, with a "
                    "factor above 0; to freeze weights, use freeze"
                )
            _check_pattern(pattern, "rate_multipliers")
        return tuple(pairs)

    def _check_counts(self) -> None:
        minima = {
            "batch_size": 1,
            "accumulation": 1,
            "max_text_tokens": 3,
            "checkpoint_every": 1,
            "keep": 1,
            "patience": 0,
            "num_workers": 0,
            "seed": 0,
        }
        for name, least in minima.items():
            value = getattr(self, name)
            is_right = type(value) is int and value >= least
            _require(is_right, self, name, f"a whole number, {least} or more")
        for name in ("steps", "evaluate_every"):
            value = getattr(self, name)
            is_right = value is None or (type(value) is int and value >= 1)
            _require(is_right, self, name, "a whole number, 1 or more")
        parts = self.accumulation
        _require(self.batch_size % parts == 0, self, "batch_size", f"a multiple of {parts} parts")

    def _check_numbers(self) -> None:
        ranges: tuple[_Range, ...] = (
            (("epochs", "learning_rate", "eps"), lambda x: 0 < x < math.inf, "above 0"),
            (("beta1", "beta2", "warmup", "dropout"), lambda x: 0 <= x < 1, "0 to below 1"),
            (("clip_norm", "weight_decay"), lambda x: 0 <= x < math.inf, "0 or more"),
        )
        for names, is_in_range, expected in ranges:
            for name in names:
                value = getattr(self, name)
                is_right = isinstance(value, int | float) and is_in_range(value)
                _require(is_right, self, name, expected)
        if self.weight_decay > self.learning_rate:
            raise InputError(
                f"weight_decay is {self.weight_decay:g}: it must be at most the learning rate, "
                f"{self.learning_rate:g}, by which it is not multiplied; PyTorch's "
                f"{self.weight_decay:g} is {self.weight_decay * self.learning_rate:g} here"
            )


def _require(holds: bool, options: object, name: str, expected: str) -> None:  # noqa: FBT001
    if not holds:
        raise InputError(f"{name} is {getattr(options, name)!r}: it must be {expected}")


def _check_pattern(pattern: str | None, name: str) -> None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise InputError(f"{name} is {pattern!r}: no regular expression ({error})") from None


ProjectorTraining = Literal["frozen", "lora", "full"]

_DECODER_LAYERS = ("q", "k", "v", "o", "gate", "up", "down")
_IMAGE_TOWER_LAYERS = {
    "q": "q_proj",
    "k": "k_proj",
    "v": "v_proj",
    "out": "out_proj",
    "fc1": "fc1",
    "fc2": "fc2",
}


@dataclass(frozen=True)
class LoraOptions:
    """Which layers get LoRA, tower by tower, and of what rank.

    The recipe of the release post is LoraOptions(lora_image_tower="q,k,v").
    """

    lora_rank: int = option(8, "Rank of the LoRA layers, 1 or more.")
    lora_alpha: float = option(8.0, "What LoRA layers add is scaled by alpha / rank; above 0.")
    lora_dropout: float = option(0.0, "Share of a LoRA layer's input that is dropped, below 1.")
    use_rslora: bool = option(
        default=False, doc="Scale by alpha / sqrt(rank), which keeps high ranks learning."
    )
    lora_decoder: str = option(
        "q,k,v,o,gate,up,down",
        "Layers of the decoder that get LoRA, separated by commas, or none.",
    )
    lora_image_tower: str = option(
        "none", "Layers of the image tower that get LoRA: of q,k,v,out,fc1,fc2, or none."
    )
    lora_projector: ProjectorTraining = option(
        "frozen", "The projection between the towers: frozen, with LoRA, or trained in full."
    )

    def __post_init__(self) -> None:
        if type(self.lora_rank) is not int or self.lora_rank < 1:
            raise InputError(
                f"lora_rank is {self.lora_rank!r}: it must be a whole number, 1 or more"
            )
        alpha, dropout = self.lora_alpha, self.lora_dropout
        if not isinstance(alpha, int | float) or not 0 < alpha < float("inf"):
            raise InputError(f"lora_alpha is {alpha!r}: it must be a number above 0")
        if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise InputError(f"lora_dropout is {dropout!r}: it must be at least 0 and below 1")
        if self.lora_projector not in get_args(ProjectorTraining):
            raise InputError(
                f"lora_projector is {self.lora_projector!r}: it must be 'frozen', 'lora' or 'full'"
            )
        _ = self.decoder_layers, self.image_tower_layers

    @property
    def decoder_layers(self) -> tuple[str, ...]:
        """Names of the decoder's layers that get LoRA, such as `gate_proj`."""
        known = {name: f"{name}_proj" for name in _DECODER_LAYERS}
        return _layer_names("lora_decoder", self.lora_decoder, known)

    @property
    def image_tower_layers(self) -> tuple[str, ...]:
        """Names of the image tower's layers that get LoRA, such as `out_proj` and `fc1`."""
        return _layer_names("lora_image_tower", self.lora_image_tower, _IMAGE_TOWER_LAYERS)

    @property
    def is_empty(self) -> bool:
        """Whether no layer gets LoRA."""
        has_projector = self.lora_projector == "lora"
        return not (self.decoder_layers or self.image_tower_layers or has_projector)


def _layer_names(option_name: str, text: str, known: dict[str, str]) -> tuple[str, ...]:
    """Names separated by commas, each short (`q`) or whole (`q_proj`), in the order of `known`."""
    given = [name.strip() for name in text.split(",") if name.strip()]
    if given == ["none"]:
        given = []
    chosen = {short for short, whole in known.items() if short in given or whole in given}
    for name in given:
        if name not in known and name not in known.values():
            raise InputError(
                f"{option_name} is {text!r}: {name!r} is no layer there; choose of "
                f"{','.join(known)}, or none"
            )
    return tuple(whole for short, whole in known.items() if short in chosen)
