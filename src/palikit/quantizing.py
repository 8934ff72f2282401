"""`quantize_checkpoint`: from the name of a float model to a folder that holds it in fewer bits."""

import shutil
import warnings
from pathlib import Path
from typing import get_args

import torch

from palikit.adapters import find_source, merge_adapter
from palikit.checkpoints import check_tokenizer, load_checkpoint
from palikit.checkpoints.stored_form import stored_form
from palikit.errors import CheckpointError, InputError
from palikit.loading import mask_codec_in, mask_codec_of, tokenizer_of
from palikit.options import QuantizedForm
from palikit.quantization import save_quantized
from palikit.tokenizer import Tokenizer


def quantize_checkpoint(
    model: str | Path,
    to: QuantizedForm,
    output: str | Path,
    *,
    revision: str | None = None,
    adapter: str | None = None,
    tokenizer: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model with its weights held in fewer bits; it loads as any other.

    Tokenizer and mask codec beside the model go along. The float weights stay in their file, and
    are quantised about a gigabyte at a time.

    Args:
        model: a float checkpoint, as `load` takes it.
        to: "int8", "int4", "nf4" or "fp8".
        output: the folder.
        revision: branch, tag or commit of a name on the Hub.
        adapter: a LoRA adapter to add into the weights first.
        tokenizer: where there is none beside the model.
        overwrite: replace the files of an existing checkpoint folder.

    Returns:
        The folder.

    Raises:
        CheckpointError: the model or its tokenizer cannot be read, it is quantised already, or the
            folder is not empty or cannot be written.
        InputError: no such form, or no name of a folder.
        MissingExtraError: nf4 without bitsandbytes.
    """
    if to not in get_args(QuantizedForm):
        raise InputError(f"to is {to!r}: choose one of {', '.join(get_args(QuantizedForm))}")
    if not str(output):
        raise InputError("the output is empty: give the name of a folder")
    folder = Path(output)
    source = find_source(str(model), revision, adapter)
    stored = stored_form(source.path)
    if stored is not None:
        raise CheckpointError(
            f"{model} is held in {stored} already: begin with its float checkpoint"
        )
    tokenizer_file = Path(tokenizer) if tokenizer is not None else tokenizer_of(source)
    text = None if tokenizer_file is None else Tokenizer.load(tokenizer_file)
    checkpoint = load_checkpoint(source.path, dtype=None, device=torch.device("cpu"))
    if text is not None:
        check_tokenizer(text, checkpoint.config)
    if source.adapter is not None:
        merge_adapter(checkpoint.model, source.adapter)
    save_quantized(
        checkpoint.model,
        to,
        folder,
        tokenizer_file=tokenizer_file,
        overwrite=overwrite,
    )
    codec = mask_codec_of(source)
    if codec is not None and mask_codec_in([folder]) is None:
        shutil.copyfile(codec, folder / codec.name)
    if source.remark is not None:
        warnings.warn(source.remark, UserWarning, stacklevel=2)
    return folder
