"""From one layout to another."""

from pathlib import Path

import torch

from palikit.checkpoints.layout import Format, find_tokenizer
from palikit.checkpoints.loading import check_tokenizer, load_checkpoint
from palikit.checkpoints.npz_writer import save_npz
from palikit.checkpoints.saving import save_checkpoint
from palikit.checkpoints.stored_form import require_float
from palikit.errors import CheckpointError
from palikit.tokenizer import Tokenizer


def convert_checkpoint(
    source: Path,
    destination: Path,
    *,
    to: Format,
    dtype: torch.dtype | None = None,
    tokenizer_file: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Rewrite a checkpoint in another layout or dtype.

    Memory holds one copy of the weights at most, and next to nothing where safetensors are read:
    they stay in their file, and are converted one by one while writing.

    Args:
        source: any checkpoint that `load_checkpoint` reads.
        destination: a folder for "transformers", a file ending in `.npz` for "npz".
        to: the layout to write.
        dtype: of the written weights; None keeps the stored one.
        tokenizer_file: to put beside the weights; by default the one beside the source, if any.
        overwrite: replace what is there.

    Raises:
        CheckpointError: the source cannot be read, the tokenizer given is of another model, or the
            destination cannot be written.
    """
    if to == "npz" and destination.suffix != ".npz":
        raise CheckpointError(
            f"{destination}: an npz checkpoint is one file ending in .npz: give such a name"
        )
    if to == "transformers" and destination.suffix in (".npz", ".safetensors"):
        raise CheckpointError(
            f"{destination}: a transformers checkpoint is a folder: leave {destination.suffix} out "
            "of its name"
        )
    require_float(
        source,
        "convert the float checkpoint it was made from, and quantise what comes of it "
        "(palikit quantize)",
    )
    text = None if tokenizer_file is None else Tokenizer.load(tokenizer_file)
    checkpoint = load_checkpoint(source, dtype=None, device=torch.device("cpu"))
    if text is not None:
        check_tokenizer(text, checkpoint.config)
    if to == "npz":
        save_npz(checkpoint.model, destination, dtype=dtype, overwrite=overwrite)
        return
    save_checkpoint(
        checkpoint.model,
        destination,
        tokenizer_file=tokenizer_file or find_tokenizer(source),
        dtype=dtype,
        overwrite=overwrite,
    )
