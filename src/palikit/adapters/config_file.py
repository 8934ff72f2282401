"""adapter_config.json, as PEFT writes it: what PaliKit takes from it, and what it cannot honour."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palikit.checkpoints.layout import read_json
from palikit.errors import CheckpointError

CONFIG_NAME = "adapter_config.json"

# Methods beside plain LoRA are switched on by a field of their own; those that are none:
_HARMLESS = frozenset(
    {
        "use_rslora",
        # How A and B began; the base is as it was.
        "eva_config",
        "corda_config",
        "loftq_config",
        "lora_ga_config",
    }
)
_METHOD = re.compile(r"use_.+|.+_config")
_OTHER_METHODS = (
    "alora_invocation_tokens",
    "layer_replication",
    "lora_bias",
    "target_parameters",
    "trainable_token_indices",
)
# All others (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) take from the base what they begin with, so that
# the adapter belongs to a base that is not in any file.
_KEEPING_THE_BASE = (True, False, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True)
class AdapterConfig:
    """What is used of adapter_config.json.

    Attributes:
        base: base_model_name_or_path; None where it is not known.
        revision: of the base on the Hub.
        rank: r, for layers that no pattern names.
        alpha: lora_alpha, likewise.
        dropout: share of a layer's input dropped in training.
        use_rslora: whether the scale is alpha / sqrt(r) in place of alpha / r.
        rank_pattern: regular expressions of module paths with their rank; the first that fits.
        alpha_pattern: the same with their alpha.
    """

    base: str | None
    revision: str | None
    rank: int
    alpha: float
    dropout: float
    use_rslora: bool
    rank_pattern: tuple[tuple[str, int], ...]
    alpha_pattern: tuple[tuple[str, float], ...]

    def rank_of(self, paths: Iterable[str]) -> int:
        """Rank of a layer, by any of its paths."""
        return int(_by_pattern(self.rank_pattern, paths, self.rank))

    def alpha_of(self, paths: Iterable[str]) -> float:
        """Alpha of a layer, by any of its paths."""
        return _by_pattern(self.alpha_pattern, paths, self.alpha)


def read_config(folder: Path) -> AdapterConfig:
    """Read and check adapter_config.json.

    Raises:
        CheckpointError: absent, damaged, or of a method that PaliKit does not know.
    """
    file = folder / CONFIG_NAME
    fields = read_json(file)
    _refuse_other_methods(file, fields)
    return AdapterConfig(
        base=_text(file, fields, "base_model_name_or_path"),
        revision=_text(file, fields, "revision"),
        rank=_whole(file, "r", fields.get("r", 8)),
        alpha=_number(file, "lora_alpha", fields.get("lora_alpha", 8)),
        dropout=_number(file, "lora_dropout", fields.get("lora_dropout") or 0.0),
        use_rslora=bool(fields.get("use_rslora")),
        rank_pattern=tuple(
            (key, _whole(file, "rank_pattern", value))
            for key, value in _pattern(file, fields, "rank_pattern").items()
        ),
        alpha_pattern=tuple(
            (key, _number(file, "alpha_pattern", value))
            for key, value in _pattern(file, fields, "alpha_pattern").items()
        ),
    )


def _refuse_other_methods(file: Path, fields: Mapping[str, Any]) -> None:
    """PEFT keeps many methods in one file format; one that is ignored would give other answers."""
    if (kind := fields.get("peft_type")) != "LORA":
        raise CheckpointError(
            f"{file} is of peft_type {kind!r}: PaliKit reads LoRA adapters; merge this one into "
            "its base with PEFT and load the merged model"
        )
    for name, value in fields.items():
        if value and name not in _HARMLESS and (_METHOD.fullmatch(name) or name in _OTHER_METHODS):
            method = "DoRA" if name == "use_dora" else f"{name} = {value!r}"
            raise CheckpointError(
                f"{file} asks for {method}, which PaliKit does not know: merge this adapter into "
                "its base with PEFT and load the merged model"
            )
    init = fields.get("init_lora_weights", True)
    if init not in _KEEPING_THE_BASE:
        raise CheckpointError(
            f"{file} says init_lora_weights = {init!r}, which changes the base model too: save the "
            "adapter with PEFT's path_initial_model_for_weight_conversion, or merge it with PEFT"
        )


def _by_pattern(
    patterns: tuple[tuple[str, float], ...], paths: Iterable[str], default: float
) -> float:
    """As PEFT matches: the pattern is the path, or its end after a dot; the first one wins."""
    listed = tuple(paths)
    for pattern, value in patterns:
        if any(re.fullmatch(rf"(?:.*\.)?(?:{pattern})", path) for path in listed):
            return value
    return default


def _pattern(file: Path, fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = fields.get(name) or {}
    if not isinstance(found, dict):
        raise _bad(file, name, found, "an object of module names and numbers")
    for key in found:
        try:
            re.compile(key)
        except re.error:
            raise _bad(file, name, key, "a regular expression") from None
    return found


def _text(file: Path, fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name) or None
    if value is not None and not isinstance(value, str):
        raise _bad(file, name, value, "a text or null")
    return value


def _whole(file: Path, name: str, value: object) -> int:
    if type(value) is not int or value < 1:
        raise _bad(file, name, value, "a whole number, 1 or more")
    return value


def _number(file: Path, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _bad(file, name, value, "a number")
    return value


def _bad(file: Path, name: str, got: object, expected: str) -> CheckpointError:
    return CheckpointError(f"{file} has {name} = {got!r}: it must be {expected}")
