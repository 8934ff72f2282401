"""Reading an adapter's folder, from PaliKit or from PEFT, of any era of names; without PEFT."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from palikit.adapters.adapter import Adapter, FullWeight, LowRank
from palikit.adapters.config_file import CONFIG_NAME, AdapterConfig, read_config
from palikit.adapters.names import PEFT_PREFIX, Era, module_at, path_in
from palikit.checkpoints.names import EMBEDDING, HEAD, from_hub
from palikit.checkpoints.safetensors_header import DTYPES
from palikit.errors import CheckpointError

WEIGHTS_NAME = "adapter_model.safetensors"

_PICKLED_NAME = "adapter_model.bin"
# PEFT leaves the adapter's name out of the file; tools that save a state_dict as it is do not.
_LOW_RANK = re.compile(r"(.+)\.lora_([AB])(?:\.default)?\.weight")
_WRAPPERS = re.compile(r"\.(?:base_layer|modules_to_save(?:\.default)?)(?=\.)")
_SHOWN = 5
_DTYPES = frozenset(DTYPES.values())


def is_adapter(path: Path) -> bool:
    """Whether a folder is that of an adapter."""
    return (path / CONFIG_NAME).is_file()


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter, its weights on the CPU and as stored.

    Raises:
        CheckpointError: files are missing or damaged, are pickled, or ask for what PaliKit cannot
            honour: a method other than LoRA, layers PaliGemma has not, a head of its own.
    """
    if not is_adapter(folder):
        raise CheckpointError(
            f"{folder} is not an adapter: give a folder with {CONFIG_NAME} and {WEIGHTS_NAME}"
        )
    config = read_config(folder)
    tensors = _read_tensors(folder)
    halves: dict[str, dict[str, Tensor]] = {}
    full: dict[str, Tensor] = {}
    unknown = []
    for key, tensor in tensors.items():
        if (match := _LOW_RANK.fullmatch(key)) and module_at(match[1]):
            halves.setdefault(match[1], {})[match[2]] = tensor
        elif not match and (name := _full_name(key)) is not None:
            full[name] = tensor
        else:
            unknown.append(key)
    _refuse(folder, unknown, full)
    layers = tuple(_layer(folder, config, path, pair) for path, pair in halves.items())
    _check_names(folder, [layer.module for layer in layers], list(full))
    return Adapter(
        layers=layers,
        full=tuple(FullWeight(name, value) for name, value in full.items()),
        use_rslora=config.use_rslora,
        dropout=config.dropout,
        base=config.base,
        revision=config.revision,
        path=folder,
    )


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    file = folder / WEIGHTS_NAME
    if not file.is_file():
        if (folder / _PICKLED_NAME).is_file():
            raise CheckpointError(
                f"{folder / _PICKLED_NAME} is pickled, which can run code when it is opened and is "
                "never read: save the adapter again with safe_serialization=True"
            )
        raise CheckpointError(
            f"{folder} has no {WEIGHTS_NAME}: the adapter is incomplete; fetch or save it again"
        )
    try:
        with safe_open(file, framework="pt", device="cpu") as stored:
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (no dict)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} is damaged ({error}); fetch or save it again") from None
    for key, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise CheckpointError(
                f"{file} holds {key} of {tensor.dtype}: adapters are read in float32, float16, "
                "bfloat16 or float64; save it again in one of these"
            )
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{file} holds {key} with values that are not all finite numbers: fetch it again, "
                "or train it anew with a lower learning rate"
            )
    return tensors


def _full_name(key: str) -> str | None:
    """The model's name of a weight that was trained whole."""
    if "lora_" in key:
        return None
    return from_hub(_WRAPPERS.sub("", key.removeprefix(PEFT_PREFIX)))


def _refuse(folder: Path, unknown: list[str], full: Mapping[str, Tensor]) -> None:
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise CheckpointError(
            f"{folder} adapts what PaliKit cannot: {', '.join(unknown[:_SHOWN])}{more}; PaliKit "
            "takes LoRA on PaliGemma's linear layers and weights trained whole"
        )
    if EMBEDDING in full or HEAD in full:
        raise CheckpointError(
            f"{folder} trained the embedding table or the head apart from the other: in PaliGemma "
            "they are one; save the adapter without them, or merge it with PEFT"
        )


def _check_names(folder: Path, modules: list[str], full: list[str]) -> None:
    """Each layer once: two eras' names of one layer would add it twice."""
    if not modules and not full:
        raise CheckpointError(f"{folder / WEIGHTS_NAME} holds nothing: save the adapter again")
    repeated = [module for module, count in Counter(modules).items() if count > 1]
    if repeated:
        raise CheckpointError(
            f"{folder / WEIGHTS_NAME} holds {repeated[0]} under two names: save the adapter again, "
            "under the names of one version of transformers"
        )


def _layer(folder: Path, config: AdapterConfig, path: str, halves: Mapping[str, Tensor]) -> LowRank:
    """One layer of the two tensors under its path."""
    a, b = halves.get("A"), halves.get("B")
    if a is None or b is None:
        raise CheckpointError(
            f"{folder} has only one of lora_A and lora_B of {path}: the adapter is incomplete; "
            "fetch or save it again"
        )
    module = module_at(path)
    if module is None:
        raise ValueError(f"{path} is of no module, which the caller had looked for")
    own = path.removeprefix(PEFT_PREFIX)
    paths = [own, module, *(path_in(module, era) for era in get_args(Era))]
    rank = config.rank_of(paths)
    if a.ndim != 2 or b.ndim != 2 or not a.shape[0] == b.shape[1] == rank:
        raise CheckpointError(
            f"{folder} has lora_A {list(a.shape)} and lora_B {list(b.shape)} of {path}: expected "
            f"[{rank}, in] and [out, {rank}], the rank that {CONFIG_NAME} says; take both files "
            "from one save"
        )
    return LowRank(module, a, b, config.alpha_of(paths))
