"""How much of the disk a run takes at most, known before its first step.

checkpoint    what learns in float32 and the optimiser's state; the next is whole before the
              oldest goes, so there is one more than are kept
model         the finished one, or adapter; a better one is whole before the one before it goes

Features that are kept (`cache_features`) are counted where they are computed.
"""

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from palikit.errors import CheckpointError
from palikit.model.paligemma import PaliGemma
from palikit.train_options import TrainOptions
from palikit.training.memory import optimizer_bytes
from palikit.training.output import nearest_folder

_CLOSE = 1.1
"""Of the room that a run needs: with less than this there is a remark, for others write too."""


@dataclass(frozen=True)
class DiskNeed:
    """What a run writes, in bytes.

    Attributes:
        checkpoint: of one checkpoint.
        checkpoints: most of them at once.
        model: of the finished model or adapter.
        models: most of them at once.
        total: most at once of both together.
    """

    checkpoint: int
    checkpoints: int
    model: int
    models: int
    total: int


def disk_need(
    model: PaliGemma,
    weights: Mapping[str, nn.Parameter],
    options: TrainOptions,
    *,
    stored: torch.dtype,
    steps: int,
    is_replaced: bool,
) -> DiskNeed:
    """What a run writes at most at once.

    Args:
        model: ready to learn, on any device, the meta device included.
        weights: those that learn, by name.
        options: of the run.
        stored: dtype of the loaded weights, and of the finished ones.
        steps: of the run.
        is_replaced: whether a better model may take the place of a finished one.
    """
    learnt = 4 * sum(weight.numel() for weight in weights.values())
    checkpoint = learnt + optimizer_bytes(weights, options.optimizer)
    finished = learnt
    if options.method not in ("lora", "qlora"):
        finished = stored.itemsize * sum(weight.numel() for weight in model.parameters())
    number = math.ceil(steps / options.checkpoint_every)
    checkpoints, models = min(number, options.keep + 1), 1 + is_replaced
    # Of the two only one is written at a time.
    total = max(
        checkpoints * checkpoint + finished,
        min(number - 1, options.keep) * checkpoint + models * finished,
    )
    return DiskNeed(checkpoint, checkpoints, finished, models, total)


def free_bytes(output: Path) -> int:
    """What a run may write: what is free where its folder is or will be, and what it will replace.

    Checkpoints and model of an earlier run there are replaced, or are those of this run already.
    """
    own = [output / name for name in ("checkpoints", "best")]
    files = [file for folder in own for file in folder.rglob("*") if file.is_file()]
    free = shutil.disk_usage(nearest_folder(output)).free
    return free + sum(file.stat().st_size for file in files)


def check_room(need: DiskNeed, output: Path, on_remark: Callable[[str], None]) -> None:
    """Refuse a run that would fill its disk.

    Raises:
        CheckpointError: it has not enough room, by these figures.
    """
    free = free_bytes(output)
    what = (
        f"{output} needs {shown_bytes(need.total)}, for checkpoints of "
        f"{shown_bytes(need.checkpoint)}, {need.checkpoints} at once, and the finished model of "
        f"{shown_bytes(need.model)}, and its disk has {shown_bytes(free)} free"
    )
    if free < need.total:
        raise CheckpointError(
            f"{what}: make room, give another folder as output, or keep fewer checkpoints (keep is "
            "how many)"
        )
    if free < _CLOSE * need.total:
        on_remark(f"{what}, which is hardly more")


def shown_bytes(number: int) -> str:
    """A number of bytes as people read it: 23.4 GiB, 1.5 MiB."""
    unit, name = (2**30, "GiB") if number >= 2**30 else (2**20, "MiB")
    return f"{number / unit:,.1f} {name}"
