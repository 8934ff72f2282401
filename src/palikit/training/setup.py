"""From a loaded model to one that learns: adapters, freezing, dtypes, optimiser."""

from dataclasses import dataclass

import torch
from torch import nn

from palikit.errors import InputError
from palikit.model.paligemma import PaliGemma
from palikit.train_options import LoraOptions, LossOptions, TrainOptions
from palikit.training.freezing import choose_weights, learning
from palikit.training.loss import TrainingModel
from palikit.training.optimizers import build_optimizer
from palikit.training.precision import compute_dtype
from palikit.training.processes import Processes

FLOAT_INSTEAD = (
    "train the float checkpoint it was made from; method qlora holds its base in 4 bits by itself, "
    "and what is trained can be quantised afterwards (palikit quantize)"
)
"""What to do with a quantised model that is to be trained."""

MAX_STEPS = 10**9
"""More steps than any run has: a generator without an end needs `steps`, not `epochs`."""


@dataclass(frozen=True, eq=False)
class Learner:
    """A model that is ready to learn.

    Attributes:
        model: the model itself.
        module: the same with its loss; what was wrapped or sharded.
        weights: those that learn, by name.
        optimizer: over them.
        dtype: of products.
        stored_dtype: of the loaded weights, and of the finished ones.
    """

    model: PaliGemma
    module: TrainingModel
    weights: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    dtype: torch.dtype
    stored_dtype: torch.dtype


def make_learner(
    model: PaliGemma,
    options: TrainOptions,
    loss: LossOptions,
    lora: LoraOptions | None,
    processes: Processes,
) -> Learner:
    """Changes the model in place.

    Raises:
        InputError: nothing would learn, or the options contradict each other.
        MissingExtraError: a package for the method or the optimiser is not installed.
    """
    stored_dtype = model.dtype
    device = processes.device(model)
    choose_learning(model, options, lora, device)
    dtype = compute_dtype(options.precision, device)
    model.language_model.set_dropout(options.dropout)
    model.language_model.checkpoint_layers = options.gradient_checkpointing
    model.vision_tower.checkpoint_layers = options.gradient_checkpointing
    module = TrainingModel(model, loss)
    module.train()
    processes.shard(module, dtype)
    weights = learning(model)
    optimizer = build_optimizer(weights, options)
    return Learner(model, module, weights, optimizer, dtype, stored_dtype)


def choose_learning(
    model: PaliGemma,
    options: TrainOptions,
    lora: LoraOptions | None,
    device: torch.device | None = None,
) -> None:
    """Puts in the adapters of the method and says which weights learn; also on the meta device.

    Weights of 4 bits are made on `device`, where the model will learn, a layer at a time, so that
    it never holds the float ones of a model on the host; None is where the model is.
    """
    if options.method in ("lora", "qlora"):
        from palikit.adapters.lora import add_lora

        if options.method == "qlora":
            from palikit.quantization import quantize_base_nf4, require_four_bit

            dtype = compute_dtype(options.precision, device or model.device)
            quantize_base_nf4(model, compute_dtype=dtype, device=device)
            require_four_bit(model)
        add_lora(model, lora or LoraOptions(), seed=options.seed)
    choose_weights(model, options)
    if options.cache_features and any(w.requires_grad for w in model.vision_tower.parameters()):
        raise InputError(
            "cache_features is set and the image tower learns, so that its output changes: freeze "
            "it (method frozen_tower, or freeze_image_tower), or leave cache_features out"
        )


def check_float(model: PaliGemma) -> None:
    """Refuse a quantised model.

    Raises:
        InputError: a layer is held in fewer bits.
    """
    from palikit.quantization import is_quantized

    if is_quantized(model):
        raise InputError(f"the model is quantised, and float weights are needed: {FLOAT_INSTEAD}")


def number_of_steps(examples: int, options: TrainOptions) -> int:
    """Steps of the whole run: as given, or of `epochs` over this many examples, rounded.

    Raises:
        InputError: there is no end to the examples and `steps` is not given.
    """
    steps = options.steps or max(1, round(options.epochs * examples / options.batch_size))
    if steps > MAX_STEPS:
        raise InputError(
            f"{options.epochs:g} epochs of {examples:,} examples are {steps:,} steps: give steps"
        )
    return steps
