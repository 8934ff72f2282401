"""The finished model of a run: a checkpoint or an adapter that loads by itself."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from palikit.checkpoints import save_checkpoint
from palikit.model.paligemma import PaliGemma
from palikit.train_options import TrainOptions
from palikit.training.result import Origin

if TYPE_CHECKING:
    from palikit.adapters import Adapter


def export(
    model: PaliGemma, folder: Path, options: TrainOptions, origin: Origin, dtype: torch.dtype
) -> None:
    """Write the model as it is now; what was in the folder is replaced when it is whole.

    Args:
        model: weights of any dtype.
        folder: of the finished model.
        options: of the run; with adapters, these are written, else the whole model.
        origin: brings tokenizer and mask codec.
        dtype: of the weights in the files.

    Raises:
        CheckpointError: it cannot be written.
    """
    if options.method in ("lora", "qlora"):
        from palikit.adapters import adapter_of

        export_adapter(adapter_of(model), folder, origin)
    else:
        export_model(model, folder, origin, dtype)


def export_model(model: PaliGemma, folder: Path, origin: Origin, dtype: torch.dtype) -> None:
    """Write a whole model."""
    save_checkpoint(
        model, folder, tokenizer_file=origin.tokenizer_file, dtype=dtype, overwrite=True
    )
    codec = origin.mask_codec_file
    if codec is not None and not (folder / codec.name).exists():
        half = folder / f".{codec.name}"
        shutil.copyfile(codec, half)
        half.replace(folder / codec.name)


def export_adapter(adapter: "Adapter", folder: Path, origin: Origin) -> None:
    """Write an adapter in the place of the one before."""
    from palikit.adapters import write_adapter

    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for left in (new, old):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    write_adapter(replace(adapter, revision=origin.revision), new, origin.name)
    if folder.exists():
        folder.replace(old)
    new.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
