"""Which weights learn."""

import re

from torch import nn

from palikit.errors import InputError
from palikit.model.paligemma import PaliGemma
from palikit.model.towers import tower_of
from palikit.train_options import TrainOptions

_ATTENTION = re.compile(r"^language_model\.layers\.\d+\.self_attn\.[qkvo]_proj\b")


def choose_weights(model: PaliGemma, options: TrainOptions) -> None:
    """Sets requires_grad of every weight, as method and switches say.

    With lora and qlora the adapters are there already, and of what requires a gradient the
    switches may take some away.

    Raises:
        InputError: nothing would learn, or `freeze` finds no weight.
    """
    pattern = options.freeze
    if pattern and not any(re.search(pattern, name) for name, _ in model.named_parameters()):
        raise InputError(
            f"freeze is {pattern!r}, which is found in the name of no weight: their names are such "
            f"as {next(name for name, _ in model.named_parameters())}"
        )
    for name, weight in model.named_parameters():
        is_learning = weight.requires_grad if _has_adapters(options) else _by_method(name, options)
        weight.requires_grad_(is_learning and not is_frozen(name, options))
    if not any(weight.requires_grad for weight in model.parameters()):
        raise InputError(
            f"nothing learns with method {options.method} and these switches: every weight is "
            "frozen, or train finds the name of none"
        )


def is_frozen(name: str, options: TrainOptions) -> bool:
    """Whether a switch or an expression leaves a weight of this name as it is."""
    frozen = {
        "image_tower": options.freeze_image_tower or options.method == "frozen_tower",
        "projector": options.freeze_projector,
        "embeddings": options.freeze_embeddings,
        "decoder": options.freeze_decoder,
    }
    if frozen[tower_of(name)]:
        return True
    if options.train is not None and not re.search(options.train, name):
        return True
    return options.freeze is not None and re.search(options.freeze, name) is not None


def learning(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that learn, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _by_method(name: str, options: TrainOptions) -> bool:
    return _ATTENTION.match(name) is not None if options.method == "attention" else True


def _has_adapters(options: TrainOptions) -> bool:
    return options.method in ("lora", "qlora")
