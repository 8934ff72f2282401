"""What `run.json` says of a run, and which of it a resumed run must have in common with it."""

import json
import platform
import sys
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from palikit.errors import InputError
from palikit.model.fingerprint import model_fingerprint
from palikit.model.paligemma import PaliGemma
from palikit.train_options import LoraOptions, LossOptions, TrainOptions
from palikit.training.precision import compute_dtype
from palikit.training.schedules import schedule_factor

FREE = frozenset(
    {
        "accumulation",
        "cache_features",
        "checkpoint_every",
        "evaluate_every",
        "features",
        "gradient_checkpointing",
        "keep",
        "max_chunk_mib",
        "max_text_tokens",
        "metric",
        "num_workers",
        "patience",
        "worker_processes",
    }
)
"""Options that a resumed run may change: the weights come out the same, up to rounding. Parts of a
step draw the random numbers of dropout anew, so `accumulation` is free only without any; so is the
number of processes."""

_LENGTH = frozenset({"epochs", "steps"})
"""Options that say how many steps there are, which is compared itself."""

_DEFAULTS = {
    each.name: each.default
    for options in (TrainOptions, LossOptions, LoraOptions)
    for each in fields(options)
}

_PACKAGES = (
    "palikit",
    "torch",
    "numpy",
    "pillow",
    "tokenizers",
    "safetensors",
    "peft",
    "bitsandbytes",
)


def run_record(
    options: TrainOptions,
    loss: LossOptions,
    lora: LoraOptions | None,
    *,
    model: PaliGemma,
    name: str | None,
    pictures: str,
    data: str,
    examples: int,
    steps: int,
    device: torch.device,
    processes: int,
) -> dict[str, Any]:
    """The content of `run.json`; taken before the model is changed.

    Args:
        options: of the run, as those that follow.
        loss: of the run.
        lora: of the run; None where it has no adapters.
        model: as it was loaded.
        name: what the user called the model; None where nobody said.
        pictures: side in pixels and way of resizing.
        data: fingerprint of the examples.
        examples: how many there are.
        steps: of the whole run.
        device: it learns on.
        processes: that train together.
    """
    return {
        "options": options_record(options, loss, lora, device),
        "model": {"name": name, "fingerprint": model_fingerprint(model)},
        "pictures": pictures,
        "data": {"examples": examples, "fingerprint": data},
        "steps": steps,
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "directory": str(Path.cwd()),
        "versions": {"python": platform.python_version(), **_versions()},
        "device": _device_name(device),
        "processes": processes,
    }


def options_record(
    options: TrainOptions, loss: LossOptions, lora: LoraOptions | None, device: torch.device
) -> dict[str, Any]:
    """All options by name; what has no meaning for the run is left out.

    The precision is the one that products have on the device, for "auto" says it of none.
    """
    adapters = {} if lora is None else asdict(lora)
    precision = str(compute_dtype(options.precision, device)).removeprefix("torch.")
    return {**asdict(options), "precision": precision, **asdict(loss), **adapters}


def resumed_record(old: dict[str, Any], new: dict[str, Any], step: int) -> dict[str, Any]:
    """The content of `run.json` after a resumption: what it was, and when and how it goes on.

    Options that may change, and the number of steps, are from now on as they are.

    Args:
        old: what is there.
        new: as `run_record` gives it now.
        step: how many are done.
    """
    told = {name: new[name] for name in ("command", "directory", "versions", "device", "processes")}
    again = {"step": step, "at": new["begun"], **told}
    changed = {name: new[name] for name in ("options", "steps")}
    return {**old, **changed, "resumed": [*old.get("resumed", []), again]}


def check_same_run(old: dict[str, Any], new: dict[str, Any], step: int) -> None:
    """Refuse to resume with what would lead to other weights.

    Args:
        old: what is there.
        new: as `run_record` gives it now.
        step: how many are done.

    Raises:
        InputError: another model, other data or options; the message names all that differ.
    """
    differing = _differing_options(old, new)
    for part, what in (("model", "the weights of the model"), ("data", "the examples")):
        if old[part]["fingerprint"] != new[part]["fingerprint"]:
            differing.append(f"{what} are not the same")
    pictures = old.get("pictures", new["pictures"])  # was not always recorded
    if pictures != new["pictures"]:
        differing.append(f"pictures were {pictures} and are {new['pictures']}")
    processes = old.get("processes", new["processes"])  # was not always recorded
    if processes != new["processes"] and _has_dropout(new["options"]):
        differing.append(
            f"processes were {processes} and are {new['processes']}, each with random numbers of "
            "its own for dropout"
        )
    if not differing and (other := _other_rates(old, new, step)):
        differing.append(other)
    if differing:
        raise InputError(
            f"the run cannot be resumed: {'; '.join(differing)}. It would end with other weights; "
            "resume it as it was begun, which --resume does of options that are left out, or begin "
            "another one"
        )


def _differing_options(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    before, now = json.loads(json.dumps(old["options"])), json.loads(json.dumps(new["options"]))
    if before.get("precision") == "auto":  # was not always resolved
        before["precision"] = "bfloat16" if old["device"].startswith("cuda") else "float32"
    before = {name: _DEFAULTS[name] for name in now} | before  # some came with later versions
    free = FREE - {"accumulation"} if _has_dropout(now) else FREE
    return [
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if name not in free | _LENGTH and before.get(name) != now.get(name)
    ]


def _has_dropout(options: dict[str, Any]) -> bool:
    return bool(options["dropout"] or options.get("lora_dropout"))


def _other_rates(old: dict[str, Any], new: dict[str, Any], step: int) -> str:
    """What another number of steps would have changed of those that are done; "" for nothing."""
    before, now, options = old["steps"], new["steps"], new["options"]
    schedule, warmup = options["schedule"], options["warmup"]
    if now < step:
        return f"{step} steps are done and the run has {now}"
    is_same = now == before or all(
        schedule_factor(schedule, each, before, warmup)
        == schedule_factor(schedule, each, now, warmup)
        for each in range(step)
    )
    if is_same:
        return ""
    return (
        f"the run had {before} steps and has {now}, with which the {step} that are done would have "
        f"had other learning rates (schedule {schedule}, warmup {warmup:g})"
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)
