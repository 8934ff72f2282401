"""`palikit finetune --dry-run`: one example as tokens, what learns, and the memory it takes."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from palikit.cli.command import is_terminal, remark
from palikit.cli.finetune_data import TrainingRows
from palikit.cli.finetune_options import FinetuneOptions

if TYPE_CHECKING:
    import torch

    from palikit.adapters import TrainableParameters
    from palikit.cli.data_model import DataModel
    from palikit.config import PaliGemmaConfig
    from palikit.training.disk import DiskNeed
    from palikit.training.memory import MemoryEstimate
    from palikit.training.tokens import ExampleToken

_COLORS = {
    "image": "bright_black",
    "bos": "bright_black",
    "prefix": "cyan",
    "newline": "bright_black",
    "suffix": "green",
    "eos": "green",
}
_TOWERS = {
    "image_tower": "image tower",
    "projector": "projector",
    "embeddings": "embeddings",
    "decoder": "decoder",
}


def dry_run(
    options: FinetuneOptions, rows: TrainingRows, model: "DataModel", name: str, output: Path
) -> None:
    """Print what a run would do, without reading a weight.

    Args:
        options: of the run.
        rows: of the run.
        model: its tokenizer and picture size.
        name: folder or name of the model.
        output: folder of the run.

    Raises:
        CheckpointError: the disk has not enough room.
    """
    import torch

    from palikit.adapters import find_source, trainable_parameters
    from palikit.checkpoints import inspect_checkpoint
    from palikit.loading import pick_dtype
    from palikit.training.disk import check_room, disk_need, free_bytes
    from palikit.training.freezing import learning
    from palikit.training.memory import meta_model
    from palikit.training.setup import number_of_steps

    found = inspect_checkpoint(find_source(name, options.loading.revision).path)
    config = found.config.with_image_size(model.image_size)
    stored = pick_dtype(options.loading.dtype) or getattr(torch, found.dtypes[0])
    meta = meta_model(config, options.train, options.adapters)
    steps = number_of_steps(rows.number, options.train)
    need = disk_need(
        meta,
        learning(meta),
        options.train,
        stored=stored,
        steps=steps,
        is_replaced=bool(rows.validation),
    )
    _print_example(rows, model, config)
    _print_parameters(trainable_parameters(meta))
    _print_memory(_memory(options, rows, model, config, stored))
    _print_disk(need, free_bytes(output))
    click.echo(f"\n{steps:,} steps of {options.train.batch_size} of {rows.number:,} examples")
    check_room(need, output, remark)
    click.echo("nothing was trained: leave --dry-run out to begin")


def _memory(
    options: FinetuneOptions,
    rows: TrainingRows,
    model: "DataModel",
    config: "PaliGemmaConfig",
    stored: "torch.dtype",
) -> "MemoryEstimate":
    from palikit.loading import pick_device
    from palikit.training.memory import estimate_memory
    from palikit.training.precision import compute_dtype

    longest, pictures = _longest(rows, model)
    device = pick_device(options.loading.device)
    return estimate_memory(
        config,
        options.train,
        options.loss,
        options.adapters,
        text_tokens=longest,
        pictures=pictures,
        stored=stored,
        compute=compute_dtype(options.train.precision, device),
    )


def _print_example(rows: TrainingRows, model: "DataModel", config: "PaliGemmaConfig") -> None:
    import numpy as np

    from palikit.processor import Processor
    from palikit.training import RowExamples
    from palikit.training.tokens import example_tokens

    row = rows.example
    query = RowExamples([row]).query(0, np.random.default_rng(0))
    if model.tokenizer is None:  # of a model there is one always
        return
    processor = Processor(model.tokenizer, model.image_size)
    tokens = example_tokens(query, processor, config.vision_config.num_image_tokens)
    click.echo(f"one example, {row.where or row.images[0]}:")
    click.echo(f"  {' '.join(_token(token) for token in tokens)}")
    click.echo(f"  {', '.join(_roles(tokens))}; underlined (or between [ ]) is what is learnt\n")


def _token(token: "ExampleToken") -> str:
    text = token.text if token.count == 1 else f"{token.text}x{token.count}"
    if "NO_COLOR" in os.environ or not is_terminal(sys.stdout):
        return f"[{text}]" if token.has_loss else text
    return click.style(text, fg=_COLORS[token.role], underline=token.has_loss)


def _roles(tokens: "tuple[ExampleToken, ...]") -> list[str]:
    counts: dict[str, int] = {}
    for token in tokens:
        counts[token.role] = counts.get(token.role, 0) + token.count
    return [f"{count} {role}" for role, count in counts.items()]


def _print_parameters(counts: "TrainableParameters") -> None:
    click.echo(f"{'what learns':<13}{'trainable':>16}{'of':>16}")
    for tower in counts.towers:
        name = _TOWERS[tower.tower]
        click.echo(f"{name:<13}{tower.trainable:>16,}{tower.total:>16,}")
    share = 100 * counts.trainable / counts.total
    click.echo(f"{'together':<13}{counts.trainable:>16,}{counts.total:>16,}  {share:.2f} %\n")


def _print_memory(estimate: "MemoryEstimate") -> None:
    click.echo("memory, estimated")
    for name in ("weights", "gradients", "optimizer", "activations", "logits", "total"):
        click.echo(f"{name:<13}{getattr(estimate, name) / 2**20:>14,.1f} MiB")


def _print_disk(need: "DiskNeed", free: int) -> None:
    click.echo("\ndisk, at most")
    for name, number in (
        (f"checkpoint x{need.checkpoints}", need.checkpoints * need.checkpoint),
        (f"model x{need.models}", need.models * need.model),
        ("at once", need.total),
        ("free", free),
    ):
        click.echo(f"{name:<13}{number / 2**20:>14,.1f} MiB")


def _longest(rows: TrainingRows, model: "DataModel") -> tuple[int, int]:
    """Text tokens and pictures of the largest example."""
    each = [row for part, _ in rows.train for row in part]
    tokens = max(model.count_tokens(row.prefix, text) for row in each for text in row.suffixes)
    return tokens, max(len(row.images) for row in each)
