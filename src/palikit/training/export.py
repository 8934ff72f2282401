"""The finished model of a run: a checkpoint or an adapter that loads by itself."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from palikit.checkpoints import save_checkpoint
from palikit.checkpoints.layout import MASK_CODEC_NAMES
from palikit.errors import CheckpointError
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
    """Write a whole model in the place of the one before."""
    with _replaced(folder, origin) as new:
        save_checkpoint(model, new, tokenizer_file=origin.tokenizer_file, dtype=dtype)


def export_adapter(adapter: "Adapter", folder: Path, origin: Origin) -> None:
    """Write an adapter in the place of the one before, with all that its base may come without."""
    from palikit.adapters import write_adapter

    with _replaced(folder, origin) as new:
        write_adapter(
            replace(adapter, revision=origin.revision),
            new,
            origin.name,
            tokenizer_file=origin.tokenizer_file,
        )


@contextmanager
def _replaced(folder: Path, origin: Origin) -> Iterator[Path]:
    """A name to write under; with its mask codec the new folder then takes the place of the old."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for left in (new, old):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    yield new
    if origin.mask_codec_file is not None:
        _put_codec(origin.mask_codec_file, new)
    if folder.exists():
        folder.replace(old)
    new.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def _put_codec(file: Path, folder: Path) -> None:
    """Copy a mask codec into a folder, under a name that it is looked for under."""
    name = file.name if file.name in MASK_CODEC_NAMES else f"mask_codec{file.suffix}"
    try:
        shutil.copyfile(file, folder / name)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise CheckpointError(
            f"the mask codec {file} could not be copied ({error.strerror}): put it back, or make "
            "room"
        ) from None
