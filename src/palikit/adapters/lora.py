"""LoRA layers of PEFT in our modules: put in, filled from files, taken out again."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from palikit.adapters.adapter import Adapter, FullWeight, LowRank, check_fits
from palikit.adapters.merging import merge_adapter
from palikit.adapters.trainable import is_low_rank
from palikit.errors import CheckpointError, InputError, MissingExtraError
from palikit.model.paligemma import PaliGemma
from palikit.model.sharded import whole
from palikit.train_options import LoraOptions

if TYPE_CHECKING:
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer

_NAME = "default"
"""PEFT's name for the only adapter of a model."""

_BASE = ".base_layer"


def add_lora(model: PaliGemma, options: LoraOptions, *, seed: int = 0) -> None:
    """Put LoRA layers into a model and freeze all else.

    The model computes exactly what it did: lora_B begins as zeros. The new weights are float32
    whatever the base is, and work on a base in bfloat16 or 4 bits.

    Args:
        model: changed in place; may be on the meta device.
        options: which layers, and their rank and scale.
        seed: of lora_A; the same on every device.

    Raises:
        InputError: the options name no layer, or the model has LoRA layers already.
        MissingExtraError: PEFT is not installed.
    """
    if options.is_empty:
        raise InputError(
            "the LoRA options name no layer to adapt: give lora_decoder, lora_image_tower, or "
            "lora_projector lora"
        )
    names = _chosen_layers(model, options)
    _inject(
        model,
        names,
        seed,
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        use_rslora=options.use_rslora,
    )
    if options.lora_projector == "full":
        model.multi_modal_projector.requires_grad_()


def load_adapter(model: PaliGemma, adapter: Adapter) -> None:
    """Put a saved adapter into a model as LoRA layers that learn on; `merge_adapter` only runs it.

    Args:
        model: changed in place; on any device, any dtype, 4-bit too.
        adapter: as `read_adapter` gives it.

    Raises:
        CheckpointError: it does not fit the model.
        InputError: the model has LoRA layers already.
        MissingExtraError: PEFT is not installed.
    """
    check_fits(adapter, model)
    ranks = {layer.module: layer.rank for layer in adapter.layers}
    alphas = {layer.module: layer.alpha for layer in adapter.layers}
    _inject(
        model,
        list(ranks),
        0,
        r=next(iter(ranks.values()), 8),
        lora_alpha=next(iter(alphas.values()), 8),
        lora_dropout=adapter.dropout,
        use_rslora=adapter.use_rslora,
        rank_pattern=ranks,
        alpha_pattern=alphas,
    )
    with torch.no_grad():
        for layer in adapter.layers:
            lora: Any = model.get_submodule(layer.module)
            lora.lora_A[_NAME].weight.copy_(layer.a)
            lora.lora_B[_NAME].weight.copy_(layer.b)
        for full in adapter.full:
            weight = model.get_parameter(_inside(model, full.name))
            weight.copy_(full.value)
            weight.requires_grad_()


def adapter_of(model: PaliGemma) -> Adapter:
    """The LoRA layers of a model as a value, with all else that learns in it.

    Weights that are sharded over processes are gathered, which every process must take part in.

    Raises:
        CheckpointError: the embedding table learns too, so that an adapter cannot hold the change.
    """
    layers = dict(_lora_layers(model))
    if not layers:
        raise CheckpointError("the model has no LoRA layers: add_lora puts them in")
    first = next(iter(layers.values()))
    return Adapter(
        layers=tuple(
            LowRank(
                name,
                _whole(lora.lora_A[_NAME].weight),
                _whole(lora.lora_B[_NAME].weight),
                lora.lora_alpha[_NAME],
            )
            for name, lora in layers.items()
        ),
        full=_trained_whole(model),
        use_rslora=bool(first.use_rslora[_NAME]),
        dropout=float(getattr(first.lora_dropout[_NAME], "p", 0.0)),
    )


def merge(model: PaliGemma) -> None:
    """Add the LoRA layers into the weights below them and take them out: a plain model again.

    Raises:
        CheckpointError: there are none, or the weights below are quantised.
    """
    adapter = adapter_of(model)
    quantised = next((n for n, p in model.named_parameters() if not p.is_floating_point()), None)
    if quantised is not None:
        raise CheckpointError(
            f"{quantised} is quantised, and the adapter would be lost in its rounding: save the "
            "adapter, and merge it into the model in bfloat16 or float32"
        )
    for name, lora in _lora_layers(model):
        model.set_submodule(name, lora.get_base_layer())
    del model.peft_config  # PEFT's mark on the model
    merge_adapter(model, adapter)


def _chosen_layers(model: PaliGemma, options: LoraOptions) -> list[str]:
    """Full names: `q_proj` alone would name layers of both the decoder and the image tower."""
    leaves = {"language_model": options.decoder_layers, "vision_tower": options.image_tower_layers}
    names = []
    for name, module in model.named_modules():
        tower, _, rest = name.partition(".")
        is_projector = name == "multi_modal_projector" and options.lora_projector == "lora"
        is_chosen = rest.rpartition(".")[2] in leaves.get(tower, ())
        if isinstance(module, nn.Linear) and (is_projector or is_chosen):
            names.append(name)
    return names


def _inject(model: PaliGemma, names: list[str], seed: int, **fields: Any) -> None:
    """PEFT's own config is the seam here, so its fields pass through by name."""
    config = _lora_config(target_modules=names, **fields)
    from peft import inject_adapter_in_model

    if _lora_layers(model):
        raise InputError("the model has LoRA layers already: merge them first")
    # By this PEFT knows that Linear4bit is not a float layer.
    is_4bit = any(not weight.is_floating_point() for weight in model.parameters())
    model.is_loaded_in_4bit = is_4bit  # type: ignore[assignment]
    on_meta = model.device.type == "meta"
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # PEFT makes weights on the CPU, then moves them
        inject_adapter_in_model(config, model, _NAME, low_cpu_mem_usage=on_meta)
    for name, weight in model.named_parameters():
        if is_low_rank(name):
            weight.data = weight.data.float()  # PEFT gives them the dtype of the base


def _lora_config(**fields: Any) -> "LoraConfig":
    from palikit.quantization import quiet_bitsandbytes

    quiet_bitsandbytes()  # PEFT imports it
    try:
        from peft import LoraConfig
    except ImportError:
        raise MissingExtraError("peft", "train", "train LoRA adapters") from None
    return LoraConfig(**fields)


def _lora_layers(model: PaliGemma) -> "list[tuple[str, LoraLayer]]":
    return [(n, m) for n, m in model.named_modules() if hasattr(m, "lora_A")]


def _trained_whole(model: PaliGemma) -> tuple[FullWeight, ...]:
    """Weights that learn beside the LoRA layers, with their module's other weights."""
    modules = {
        name.rpartition(".")[0]
        for name, weight in model.named_parameters()
        if weight.requires_grad and not is_low_rank(name)
    }
    if "language_model.embed_tokens" in modules:
        raise CheckpointError(
            "the embedding table learns too, which an adapter cannot hold, for it is the head as "
            "well: freeze it, or save the whole model"
        )
    return tuple(
        FullWeight(f"{module}.{name}".replace(_BASE, ""), _whole(weight))
        for module in sorted(modules)
        for name, weight in model.get_submodule(module).named_parameters(recurse=False)
    )


def _whole(weight: Any) -> Tensor:
    """A weight of its own memory."""
    return whole(weight).detach().clone()


def _inside(model: PaliGemma, name: str) -> str:
    """The name a parameter has while its layer is wrapped."""
    module, _, leaf = name.rpartition(".")
    is_wrapped = hasattr(model.get_submodule(module), "base_layer")
    return f"{module}{_BASE}.{leaf}" if is_wrapped else name
