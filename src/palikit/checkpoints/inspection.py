"""What a checkpoint is, told from headers alone: no weight is read and no model is built."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from palikit.checkpoints import npz_reader, safetensors_reader
from palikit.checkpoints.layout import CheckpointFiles, Format, find_files, find_tokenizer
from palikit.checkpoints.safetensors_header import Header, read_header
from palikit.checkpoints.stored_form import stored_form
from palikit.config import PaliGemmaConfig, kv_bytes_per_token, parameter_count, size_name
from palikit.errors import CheckpointError
from palikit.model.attention import MAX_SCORES
from palikit.options import QuantizedForm
from palikit.published import PublishedCheckpoint, find_published

TEXT_TOKENS = 256
"""Prompt and answer together, for the estimate of memory: `GenerationOptions`' default answer."""


@dataclass(frozen=True)
class WeightFile:
    """One file of weights and its size in bytes."""

    name: str
    nbytes: int


@dataclass(frozen=True)
class Inspection:
    """A checkpoint as its headers describe it.

    Attributes:
        path: what was looked at; the name of a model that is on the Hub only.
        format: "transformers" or "npz".
        config: of the model.
        family: "PaliGemma" or "PaliGemma 2".
        size: "3B", "10B", "28B", or such as "12M" for other models.
        image_size: picture side in pixels.
        release: the published checkpoint of this name, where family, size and picture side agree;
            weights do not say whether they are pretrained, a mixture or fine-tuned.
        dtypes: names of the stored dtypes, that of most weights first.
        form: how the weights are held where they are not floats.
        files: the weight files.
        parameter_count: number of weights.
        vocab_rows: rows of the embedding table: 257152 as trained, 257216 as Hugging Face pads it.
        memory_bytes: needed to answer about one picture; see `memory_bytes`.
        problems: what is missing, damaged or of another model, a sentence each.
        is_local: whether the weights are on this machine; else `nbytes` are yet to be fetched.
    """

    path: Path
    format: Format
    config: PaliGemmaConfig
    family: str
    size: str
    image_size: int
    release: PublishedCheckpoint | None
    dtypes: tuple[str, ...]
    files: tuple[WeightFile, ...]
    parameter_count: int
    vocab_rows: int
    memory_bytes: int
    problems: tuple[str, ...]
    is_local: bool = True
    form: QuantizedForm | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing is missing or damaged."""
        return not self.problems

    @property
    def nbytes(self) -> int:
        """Bytes of all weight files."""
        return sum(file.nbytes for file in self.files)


@dataclass(frozen=True)
class Contents:
    """What config and headers of a checkpoint say, in any layout and form.

    Attributes:
        config: of the model.
        dtypes: stored dtypes, that of most weights first.
        problems: what is missing, damaged or of another model.
        form: how the weights are held where they are not floats.
        nbytes: of quantised weights; None for floats, which may be held in another dtype.
    """

    config: PaliGemmaConfig
    dtypes: tuple[torch.dtype, ...]
    problems: tuple[str, ...]
    form: QuantizedForm | None = None
    nbytes: int | None = None


def inspect_checkpoint(path: Path) -> Inspection:
    """Read the headers of a checkpoint.

    Raises:
        CheckpointError: nothing there, no config, pickled weights, an `.npz` of another model, or
            weights that are quantised in a way that is not known here.
        ConfigError: the config is not PaliGemma's.
    """
    files = find_files(path)
    return describe(
        path,
        files.format,
        _npz_contents(files) if files.format == "npz" else contents_of(files),
        files=tuple(WeightFile(file.name, file.stat().st_size) for file in files.weights),
        has_tokenizer=find_tokenizer(path) is not None,
    )


def contents_of(files: CheckpointFiles, headers: Iterable[Header] | None = None) -> Contents:
    """Of the transformers layout, floats or not.

    Args:
        files: of the checkpoint.
        headers: of the weight files, where they come from elsewhere.

    Raises:
        CheckpointError, ConfigError: as `inspect_checkpoint`.
    """
    headers = map(read_header, files.weights) if headers is None else headers
    form = stored_form(files.directory)
    if form is None:
        found = safetensors_reader.contents_from_headers(files, headers)
        return Contents(found.config, found.dtypes, found.problems)
    # Quantisation stands on the reading of checkpoints, not the reverse.
    from palikit.quantization.contents import read_quantized_contents

    held = read_quantized_contents(files, form, headers)
    # Without a GPU the layers of int4 are laid out in 8 bits.
    nbytes = max(held.nbytes, parameter_count(held.config)) if form == "int4" else held.nbytes
    return Contents(held.config, held.dtypes, held.problems, form, nbytes)


def describe(
    path: Path,
    layout: Format,
    contents: Contents,
    *,
    files: tuple[WeightFile, ...],
    has_tokenizer: bool,
    is_local: bool = True,
) -> Inspection:
    """An inspection from what the headers say, with all that follows from it."""
    config, problems = contents.config, contents.problems
    if not has_tokenizer:
        problems = (*problems, "there is no tokenizer.json beside the weights; give one with them")
    return Inspection(
        path=path,
        format=layout,
        config=config,
        family=config.family,
        size=size_name(config),
        image_size=config.vision_config.image_size,
        release=_release(path, config),
        dtypes=tuple(str(dtype).removeprefix("torch.") for dtype in contents.dtypes),
        files=files,
        parameter_count=parameter_count(config),
        vocab_rows=config.text_config.vocab_size,
        memory_bytes=memory_bytes(config, _itemsize(contents), weights=contents.nbytes),
        problems=problems,
        is_local=is_local,
        form=contents.form,
    )


def _itemsize(contents: Contents) -> int:
    """Of activations; those of quantised models are float32 on a CPU."""
    if contents.form is not None or not contents.dtypes:
        return 4
    return contents.dtypes[0].itemsize


def memory_bytes(config: PaliGemmaConfig, itemsize: int, *, weights: int | None = None) -> int:
    """An estimate of the memory that one answer about one picture takes.

    The sum of the weights, the key/value cache of the picture and 256 tokens of text, and the
    larger of the two peaks of activations: in the tower's MLP, 2 F + 4 D numbers an image token,
    or in the decoder's, 3 M + 4 W numbers a token, with a block of attention scores in float32
    (three copies of it where scores are capped).

    Args:
        config: the model.
        itemsize: bytes of a weight and of an activation: 2 for bfloat16, 4 for float32.
        weights: bytes of all weights, where they are held in another way than activations.
    """
    vision, text = config.vision_config, config.text_config
    tokens = vision.num_image_tokens + TEXT_TOKENS
    weights = parameter_count(config) * itemsize if weights is None else weights
    cache = kv_bytes_per_token(config, itemsize) * tokens
    tower = vision.num_image_tokens * (2 * vision.intermediate_size + 4 * vision.hidden_size)
    decoder = tokens * (3 * text.intermediate_size + 4 * text.hidden_size)
    scores = min(MAX_SCORES, text.num_attention_heads * tokens**2) * 4 * 3
    return weights + cache + max(tower * itemsize, decoder * itemsize + scores)


def _release(path: Path, config: PaliGemmaConfig) -> PublishedCheckpoint | None:
    """By the name of the file or a folder above it; the Hub's cache writes owner--name."""
    shape = (config.family, size_name(config), config.vision_config.image_size)
    for part in reversed(path.absolute().parts):
        found = find_published(part.rpartition("--")[2].partition(".")[0])
        if found and (found.family, found.size, found.image_size) == shape:
            return found
    return None


def _npz_contents(files: CheckpointFiles) -> Contents:
    arrays = npz_reader.read_contents(files.weights[0])
    if arrays.config is None:
        raise CheckpointError(f"{files.weights[0]} is not a PaliGemma: {arrays.mismatch}")
    problems = (str(arrays.mismatch),) if arrays.mismatch else ()
    return Contents(arrays.config, arrays.dtypes, problems)
