"""Trainings that two processes do together, one after the other: `torchrun two_processes.py OUT`.

Each process writes what became of its trainings to OUT/outcomes-<rank>.json.
"""

import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from palikit.errors import CheckpointError, InputError, PaliKitError
from palikit.model.paligemma import PaliGemma
from palikit.processor import Query
from palikit.scores import Scores
from palikit.train_options import LoraOptions, TrainOptions
from palikit.training import distributed
from palikit.training.distributed import SeveralProcesses
from palikit.training.launch import meet
from tests import tiny
from tests.training.toy import Killed, Toy, kill_after, train, with_options

OPTIONS = with_options(dropout=0.0, learning_rate=1e-4)
"""A low rate: a step of Adam has the size of the rate however small a gradient is, so that high
ones make much of rounding."""

LORA = with_options(method="lora", accumulation=2, dropout=0.0)
LAYERS = LoraOptions(lora_image_tower="q,v", lora_projector="full")
VALIDATED = with_options(dropout=0.0, learning_rate=1e-4, evaluate_every=2, patience=1)
DROPPING = with_options(learning_rate=1e-4)
MUON = with_options(dropout=0.0, learning_rate=1e-4, optimizer="muon")


class Pairs(Toy):
    """Now one picture, now two: so that processes have different numbers of parts."""

    fingerprint = "pairs"

    def query(self, index: int, random: np.random.Generator) -> Query:
        found = super().query(index, random)
        pictures = (*found.pictures, tiny.picture(9)) if index % 3 == 0 else found.pictures
        return Query(pictures, found.prompt, found.suffix)


class Damaged(Toy):
    """Of step 4 the second process cannot make its examples."""

    def query(self, index: int, random: np.random.Generator) -> Query:
        if index >= 4 * OPTIONS.batch_size and os.environ["RANK"] == "1":
            raise InputError("photo.png is damaged")
        return super().query(index, random)


def falling(model: PaliGemma, page: Path) -> Scores:
    """A figure of all weights as they are handed over, the better the later it is asked."""
    size = float(sum(weight.double().abs().sum() for weight in model.parameters()))
    assert not model.training
    later = 2 if page.name == "step-000002" else 1
    return Scores((("size", size), ("later", later)), main="later")


def failing(model: PaliGemma, page: Path) -> Scores:
    raise InputError(f"{page.name} fails")


def given_up(model: PaliGemma, page: Path) -> Scores:
    """A validation in which the process that does it is told to stop."""
    os.kill(os.getpid(), signal.SIGINT)
    raise AssertionError("it went on")


def stopped(figures) -> None:
    if figures.step == 2 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)


def outcome(output: Path, options: TrainOptions, **rest) -> dict[str, object]:
    """How a training ended on this process."""
    try:
        result = train(output, options, **rest)
    except (PaliKitError, Killed) as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"ending": result.ending, "step": result.step, "loss": result.loss}


def without_room(train_it: Callable[[], dict[str, object]]) -> dict[str, object]:
    """A training during which the second process finds the disk full."""
    write = distributed.write_shards

    def fail(*arguments) -> None:
        if os.environ["RANK"] == "1":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(*arguments)

    distributed.write_shards = fail
    try:
        return train_it()
    finally:
        distributed.write_shards = write


def without_model(train_it: Callable[[], dict[str, object]]) -> dict[str, object]:
    """A training whose finished model the first process cannot write."""
    write = distributed.export_model

    def fail(*_: object) -> None:
        raise CheckpointError("best could not be written")

    distributed.export_model = fail
    try:
        return train_it()
    finally:
        distributed.export_model = write


def trainings(out: Path, together: SeveralProcesses) -> dict[str, dict[str, object]]:
    every = {"processes": together}
    frugal = with_options(dropout=0.0, learning_rate=1e-4, gradient_checkpointing=True)
    half = with_options(dropout=0.0, learning_rate=1e-4, precision="bfloat16")
    return {
        "full": outcome(out / "full", OPTIONS, **every),
        "lora": outcome(out / "lora", LORA, lora=LAYERS, **every),
        "frugal": outcome(out / "frugal", frugal, **every),
        "half": outcome(out / "half", half, **every),
        "muon": outcome(out / "muon", MUON, **every),
        "pairs": outcome(out / "pairs", OPTIONS, examples=Pairs(), **every),
        "from one": outcome(out / "one", OPTIONS, resume=True, **every),
        "whole": outcome(out / "whole", DROPPING, **every),
        "killed": outcome(out / "killed", DROPPING, on_step=kill_after(5), **every),
        "resumed": outcome(out / "killed", DROPPING, resume=True, **every),
        "left to one": outcome(out / "left", OPTIONS, on_step=kill_after(5), **every),
        "validated": outcome(out / "validated", VALIDATED, evaluate=falling, **every),
        "failing": outcome(out / "failing", VALIDATED, evaluate=failing, **every),
        "given up": outcome(out / "given-up", VALIDATED, evaluate=given_up, **every),
        "stopped": outcome(out / "stopped", OPTIONS, on_step=stopped, **every),
        "exists": outcome(out / "stopped", OPTIONS, **every),
        "no room": without_room(lambda: outcome(out / "no-room", OPTIONS, **every)),
        "damaged": outcome(out / "damaged", OPTIONS, examples=Damaged(), **every),
        "no model": without_model(
            lambda: outcome(out / "no-model", VALIDATED, evaluate=falling, **every)
        ),
        **{
            name: outcome(out / "refused", with_options(**{option: name}), **every)
            for option, name in (("method", "qlora"), ("optimizer", "adafactor"))
        },
    }


def main() -> None:
    out = Path(sys.argv[1])
    launch = meet()
    together = launch.processes(torch.device("cpu"))
    found = trainings(out, together)
    (out / f"outcomes-{launch.rank}.json").write_text(json.dumps(found))
    together.close()


if __name__ == "__main__":
    main()
