"""Writing an adapter's folder as PEFT does, so that transformers and PEFT load it."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from torch import Tensor

from palikit.adapters.adapter import Adapter
from palikit.adapters.config_file import CONFIG_NAME
from palikit.adapters.lora import adapter_of
from palikit.adapters.names import PEFT_PREFIX, Era, path_in
from palikit.adapters.reading import WEIGHTS_NAME
from palikit.checkpoints.atomic import replacing_folder
from palikit.checkpoints.tensor_file import write_tensors
from palikit.checkpoints.transformers_files import json_text, write_tokenizer
from palikit.errors import CheckpointError
from palikit.model.paligemma import PaliGemma

_LAYER = re.compile(r"(language_model|vision_tower)\.layers\.(\d+)\.(.+)")
_TREES = {
    "language_model": r"language_model\.(?:model\.)?layers",
    "vision_tower": r"vision_tower\.(?:vision_model\.)?encoder\.layers",
}


def save_adapter(
    model: PaliGemma,
    folder: Path,
    base: str | None,
    *,
    names: Era = "5",
    tokenizer_file: Path | None = None,
) -> None:
    """Write the LoRA layers of a model, and what else learns in it.

    Args:
        model: with LoRA layers.
        folder: appears when it is whole; an existing one must be empty.
        base: the model the layers were trained on, a path or a name on the Hub.
        names: the module tree the names are of, by the version of transformers that began it: "5",
            "4.52" or "4.41". PaliKit reads all, PEFT with transformers 5 too.
        tokenizer_file: `tokenizer.json` or SentencePiece `.model` to put beside the adapter, with
            what transformers' AutoTokenizer wants beside it.

    Raises:
        CheckpointError: there are no LoRA layers, or the folder cannot be written.
    """
    write_adapter(adapter_of(model), folder, base, names=names, tokenizer_file=tokenizer_file)


def write_adapter(
    adapter: Adapter,
    folder: Path,
    base: str | None,
    *,
    names: Era = "5",
    tokenizer_file: Path | None = None,
) -> None:
    """As `save_adapter`, of an adapter taken from its model before."""
    if tokenizer_file is not None and not tokenizer_file.is_file():
        raise CheckpointError(f"{tokenizer_file}: no such tokenizer file; give tokenizer.json")
    tensors = _tensors(adapter, names)
    needed = sum(tensor.nbytes for tensor in tensors.values())
    with replacing_folder(folder, needed_bytes=needed, overwrite=False) as temporary:
        write_tensors(temporary / WEIGHTS_NAME, tensors, {"format": "pt"})
        text = json_text(_config(adapter, base, names))
        (temporary / CONFIG_NAME).write_text(text, encoding="utf-8")
        if tokenizer_file is not None:
            write_tokenizer(temporary, tokenizer_file)


def _tensors(adapter: Adapter, names: Era) -> dict[str, Tensor]:
    stored = {}
    for layer in adapter.layers:
        path = PEFT_PREFIX + path_in(layer.module, names)
        stored[f"{path}.lora_A.weight"] = layer.a.cpu()
        stored[f"{path}.lora_B.weight"] = layer.b.cpu()
    for full in adapter.full:
        module, _, leaf = full.name.rpartition(".")
        key = f"{PEFT_PREFIX}{path_in(module, names)}.{leaf}"
        stored[key] = full.value.cpu()
    return stored


def _config(adapter: Adapter, base: str | None, names: Era) -> dict[str, Any]:
    rank = _commonest([layer.rank for layer in adapter.layers])
    alpha = _commonest([layer.alpha for layer in adapter.layers])
    whole = sorted({full.name.rpartition(".")[0] for full in adapter.full})
    return {
        "alpha_pattern": {
            _pattern(layer.module): layer.alpha for layer in adapter.layers if layer.alpha != alpha
        },
        # By this peft.AutoPeftModel knows what to load the base as.
        "auto_mapping": {
            "base_model_class": "PaliGemmaForConditionalGeneration",
            "parent_library": "transformers.models.paligemma.modeling_paligemma",
        },
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": alpha,
        "lora_dropout": adapter.dropout,
        # PEFT compares the ends of paths.
        "modules_to_save": [path_in(name, names).removeprefix("model.") for name in whole] or None,
        "peft_type": "LORA",
        "r": rank,
        "rank_pattern": {
            _pattern(layer.module): layer.rank for layer in adapter.layers if layer.rank != rank
        },
        "revision": adapter.revision,
        "target_modules": _targets(adapter),
        "task_type": None,
        "use_rslora": adapter.use_rslora,
    }


def _targets(adapter: Adapter) -> str:
    """One expression for exactly the adapted layers, in the module tree of every era.

    A list of last names, as is usual, would adapt layers of both towers.
    """
    numbers: dict[tuple[str, str], set[int]] = {}
    others = set()
    for layer in adapter.layers:
        if match := _LAYER.fullmatch(layer.module):
            numbers.setdefault((match[1], match[3]), set()).add(int(match[2]))
        else:
            others.add(_pattern(layer.module))
    leaves: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (tower, leaf), found in numbers.items():
        leaves.setdefault((tower, tuple(sorted(found))), []).append(leaf)
    layers = [
        rf"{_TREES[tower]}\.(?:{'|'.join(map(str, found))})\.(?:{'|'.join(map(re.escape, names))})"
        for (tower, found), names in leaves.items()
    ]
    return rf"(?:.*\.)?(?:{'|'.join([*layers, *sorted(others)])})"


def _pattern(module: str) -> str:
    """One layer's path in the module tree of every era."""
    if match := _LAYER.fullmatch(module):
        return rf"{_TREES[match[1]]}\.{match[2]}\.{re.escape(match[3])}"
    return re.escape(path_in(module, "4.41"))


def _commonest(values: list[Any]) -> Any:
    return Counter(values).most_common(1)[0][0]
