"""What a checkpoint of a run is on disk.

    weights.safetensors      the weights that learn, under the model's names
    optimizer.safetensors    see `palikit.training.optimizer_state`
    state.json               `RunState`: the step and the best validation

Several processes write the first two in parts; see `palikit.training.shards`.
Weights that do not learn are those of the model the run began with, and are not here.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from palikit.checkpoints.layout import read_json
from palikit.errors import CheckpointError
from palikit.training.optimizer_state import restore_state, state_tensors
from palikit.training.parts import cut_as, own_part, own_rows
from palikit.training.shards import SavedTensors, write_whole

WEIGHTS, OPTIMIZER, STATE = "weights", "optimizer", "state.json"


@dataclass(frozen=True)
class RunState:
    """Where a run stands.

    Attributes:
        step: steps that are done.
        validated: the step of the latest validation, 0 before the first.
        best_step: the step of the best validation, 0 before the first.
        best: the figure that decided, of the best validation.
        without_better: validations since then.
        metric: the name of that figure, as the option gives it; None before the first validation.
    """

    step: int = 0
    validated: int = 0
    best_step: int = 0
    best: float | None = None
    without_better: int = 0
    metric: str | None = None


def save_learning(
    folder: Path, weights: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Write what learns and the optimiser's state into an existing folder."""
    write_whole(folder, WEIGHTS, {name: weight.detach() for name, weight in weights.items()})
    write_whole(folder, OPTIMIZER, state_tensors(optimizer, weights))


def load_learning(
    folder: Path, weights: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Read back what `save_learning` wrote, into the weights themselves.

    Raises:
        CheckpointError: damaged, or of other weights than those that learn here.
    """
    saved = SavedTensors(folder, WEIGHTS)
    if saved.names != weights.keys():
        odd = sorted(saved.names ^ weights.keys())
        raise CheckpointError(
            f"{folder} is of other weights than those that learn here, {len(odd)} differ, such as "
            f"{odd[0]}: resume with the model and options that the run was begun with"
        )
    with torch.no_grad():
        for name, weight in weights.items():
            if saved.shape(name) != weight.shape:
                raise CheckpointError(
                    f"{folder} has {name} of shape {list(saved.shape(name))}, the model "
                    f"{list(weight.shape)}: resume with the model that the run was begun with"
                )
            own_part(weight).copy_(saved.rows(name, own_rows(weight)))
    restore_state(optimizer, weights, _saved_state(folder, weights))


def learning_bytes(weights: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> int:
    """Bytes that `save_learning` writes, but for the headers."""
    tensors = [*weights.values(), *state_tensors(optimizer, weights).values()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def save_state(folder: Path, state: RunState) -> None:
    """Write `state.json`."""
    replace_text(folder / STATE, json.dumps(asdict(state), indent=2) + "\n")


def replace_text(file: Path, text: str) -> None:
    """Write a text file in one step: it is never seen half written, after a loss of power too."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    _flush(temporary)
    temporary.replace(file)
    _flush_names(file.parent)


def load_state(folder: Path) -> RunState:
    """Read `state.json`.

    Raises:
        CheckpointError: absent or damaged.
    """
    try:
        return RunState(**read_json(folder / STATE))
    except TypeError as error:
        raise CheckpointError(f"{folder / STATE} is not of this version ({error})") from None


@contextmanager
def whole_folder(folder: Path, *, needed_bytes: int, last_good: Path | None) -> Iterator[Path]:
    """A temporary folder that takes its name when the block ends, with everything on the disk.

    Raises:
        CheckpointError: there is no room, or it cannot be written; nothing is left behind, and
            the message names the last good checkpoint.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        free = shutil.disk_usage(temporary).free
        if free < needed_bytes:
            raise OSError(f"it needs {needed_bytes:,} bytes and the disk has {free:,} free")
        yield temporary
        for file in temporary.iterdir():
            _flush(file)
        _flush_names(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
        _flush_names(folder.parent)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        kept = f"the last good one is {last_good}" if last_good else "there is none before it"
        raise CheckpointError(
            f"the checkpoint {folder} could not be written ({reason}); {kept}: make room and run "
            "the same command with --resume"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _saved_state(folder: Path, weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """The optimiser's state; of weights that are cut among processes, the own part."""
    saved, state = SavedTensors(folder, OPTIMIZER), {}
    for name in saved.names:
        weight = weights.get(name.rpartition("/")[0])
        if weight is not None and saved.shape(name) == tuple(weight.shape):
            state[name] = cut_as(weight, saved.rows(name, own_rows(weight)))
        else:
            state[name] = saved.whole(name)
    return state


def _flush(file: Path) -> None:
    """Wait until a file is on the disk, so that no later loss of power leaves it half written."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def _flush_names(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system knows how to."""
    with suppress(OSError):  # Windows opens no folder, and not every file system flushes one
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
