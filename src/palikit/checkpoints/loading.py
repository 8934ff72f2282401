"""From files to a model that is ready to run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from palikit.checkpoints import npz_reader, safetensors_reader
from palikit.checkpoints.layout import CheckpointFiles, Format, find_files
from palikit.checkpoints.names import POSITIONS
from palikit.checkpoints.positions import resample_position_table
from palikit.checkpoints.stored_form import require_float
from palikit.checkpoints.weights import DTYPE_NAMES
from palikit.config import PaliGemmaConfig
from palikit.errors import CheckpointError
from palikit.model.paligemma import PaliGemma
from palikit.tokenizer import Tokenizer

ChosenDType: TypeAlias = torch.dtype | Callable[[torch.dtype], torch.dtype] | None
"""A dtype, or a function that chooses one by the stored one, or None for the stored one."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model and where it came from.

    Attributes:
        config: as stored, with the picture size it was loaded for.
        model: in evaluation mode, all weights on one device and of one dtype.
        path: what was loaded.
        format: "transformers" or "npz".
        stored_dtype: dtype of most of the weights in the files.
    """

    config: PaliGemmaConfig
    model: PaliGemma
    path: Path
    format: Format
    stored_dtype: torch.dtype


def load_checkpoint(
    path: Path,
    *,
    dtype: ChosenDType,
    device: torch.device,
    image_size: int | None = None,
) -> Checkpoint:
    """Load a folder of the transformers layout, a `.safetensors` file, or an `.npz` of the JAX one.

    Args:
        path: folder or file.
        dtype: of the loaded weights; where it is not said, the stored one (that of most weights
            where they differ, and float32 for float64).
        device: where to put them. On the CPU, safetensors of this dtype stay mapped to the file.
        image_size: picture side in pixels; the position table is resampled when it is not the
            checkpoint's own.

    Raises:
        CheckpointError: files are missing or damaged, or hold another model or a quantised one;
            all missing, unexpected and mis-shaped names are told at once.
        ConfigError: the config is not PaliGemma's, or `image_size` is not a multiple of the
            patch size.
    """
    files = find_files(path)
    require_float(path)
    config, stored_dtype, tensors = _open(files, dtype, device)
    if image_size is not None:
        config = config.with_image_size(image_size)
    grid = config.vision_config.image_size // config.vision_config.patch_size
    state = dict(tensors)
    state[POSITIONS] = resample_position_table(state[POSITIONS], grid)
    with torch.device("meta"):
        model = PaliGemma(config)
    model.load_state_dict(state, strict=True, assign=True)
    return Checkpoint(config, model.eval(), path, files.format, stored_dtype)


def check_tokenizer(text: Tokenizer, config: PaliGemmaConfig) -> None:
    """Make sure that a tokenizer is of a model's vocabulary: its ids are rows of the table.

    Raises:
        CheckpointError: its control tokens have other ids than the config says.
    """
    vocabulary = text.vocabulary
    expected = (config.image_token_index, config.eos_token_id, config.bos_token_id)
    got = (vocabulary.image_id, vocabulary.eos_id, vocabulary.bos_id)
    if got != expected:
        raise CheckpointError(
            f"the tokenizer is of another model than the weights: its <image>, <eos>, <bos> are "
            f"{got}, the configuration expects {expected}; use the checkpoint's own tokenizer.json"
        )


def _open(
    files: CheckpointFiles, dtype: ChosenDType, device: torch.device
) -> tuple[PaliGemmaConfig, torch.dtype, Iterator[tuple[str, Tensor]]]:
    if files.format == "npz":
        arrays = npz_reader.read_contents(files.weights[0])
        config = arrays.config
        if arrays.mismatch or config is None:
            raise _not_this_model(files, str(arrays.mismatch))
        target = _chosen(dtype, arrays.dtypes[0])
        tensors = npz_reader.read_tensors(arrays, config, target, device)
        return config, arrays.dtypes[0], tensors
    contents = safetensors_reader.read_contents(files)
    if contents.damage:
        raise CheckpointError(f"{files.directory} is incomplete: {'; '.join(contents.damage)}")
    if contents.mismatch:
        raise _not_this_model(files, str(contents.mismatch))
    target = _chosen(dtype, contents.dtypes[0])
    tensors = safetensors_reader.read_tensors(contents, target, device)
    return contents.config, contents.dtypes[0], tensors


def _chosen(dtype: ChosenDType, stored: torch.dtype) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    # float64 is written by accident only: no release has it, and it runs many times slower.
    usable = stored if stored in DTYPE_NAMES else torch.float32
    return usable if dtype is None else dtype(usable)


def _not_this_model(files: CheckpointFiles, mismatch: str) -> CheckpointError:
    source = files.weights[0] if files.format == "npz" else files.directory
    return CheckpointError(
        f"the weights of {source} do not fit the model they say they are: {mismatch}"
    )
