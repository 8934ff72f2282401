"""The options of a run: what learns, how long, how fast, and how it is kept."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from palikit.errors import InputError
from palikit.options import option

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
        512,
        "Most tokens of prompt and answer; a longer row is an error. If not given, `palikit "
        "finetune` takes what the model was trained with.",
        is_default_shown=False,
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
        if self.worker_processes and not self.num_workers:
            raise InputError(
                "num_workers is 0 and worker_processes is set: give a number of processes, or "
                "leave worker_processes out"
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
                    "factor above 0; freeze is what leaves weights as they are"
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


def idle_options(options: TrainOptions) -> Iterator[tuple[str, str]]:
    """Options that do nothing beside the others, each with a sentence for one who gives it."""
    if options.optimizer in ("sgd", "adafactor"):
        why = f"optimizer is {options.optimizer}, which has none: leave one of them out"
        for name in ("beta1", "beta2", "eps"):
            yield name, f"{name} is given and {why}"
    if not options.weight_decay:
        why = "weight_decay is 0: give a weight_decay, or leave it out"
        yield "weight_decay_on", f"weight_decay_on is given and {why}"


def _require(holds: bool, options: object, name: str, expected: str) -> None:  # noqa: FBT001
    if not holds:
        raise InputError(f"{name} is {getattr(options, name)!r}: it must be {expected}")


def _check_pattern(pattern: str | None, name: str) -> None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise InputError(f"{name} is {pattern!r}: no regular expression ({error})") from None
