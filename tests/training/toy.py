"""Examples and runs small enough to be repeated."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from palikit.data.rows import Row
from palikit.model.paligemma import PaliGemma
from palikit.processor import Processor, Query
from palikit.train_options import TrainOptions
from palikit.training import RunResult, finetune
from tests import tiny

OPTIONS = TrainOptions(
    batch_size=4, steps=6, learning_rate=1e-3, warmup=0, checkpoint_every=3, dropout=0.1
)


class Toy:
    """Pictures that are named by a number of dogs; without an end."""

    fingerprint = "toy"

    def __len__(self) -> int:
        return 2**40

    def query(self, index: int, random: np.random.Generator) -> Query:
        words = "dog " * (1 + index % 3) + ("cat" if random.random() < 0.5 else "")
        return Query((tiny.picture(index % 7),), "cat", words)


def cat_rows(folder: Path, number: int) -> list[Row]:
    """Rows with pictures of their own, all of one prompt and answer."""
    made = []
    for seed in range(number):
        tiny.picture(seed).save(folder / f"{seed}.png")
        made.append(Row((folder / f"{seed}.png",), "cat", ("dog",), where=f"row {seed}"))
    return made


class Killed(BaseException):
    """Ends a run as no part of it expects."""


def kill_after(step: int) -> Callable[[object], None]:
    def look(figures) -> None:
        if figures.step == step:
            raise Killed

    return look


def train(output: Path, options: TrainOptions = OPTIONS, *, examples=None, **rest) -> RunResult:
    model = rest.pop("model", None) or tiny.model()
    processor = Processor(tiny.tokenizer(), 28)
    return finetune(model, processor, examples or Toy(), options, output, **rest)


def trained(output: Path, options: TrainOptions = OPTIONS, **rest) -> PaliGemma:
    model = tiny.model()
    train(output, options, model=model, **rest)
    return model


def are_equal(a: PaliGemma, b: PaliGemma) -> bool:
    pairs = zip(a.named_parameters(), b.named_parameters(), strict=True)
    return all(x[0] == y[0] and torch.equal(x[1], y[1]) for x, y in pairs)


def with_options(**changes) -> TrainOptions:
    return replace(OPTIONS, **changes)
