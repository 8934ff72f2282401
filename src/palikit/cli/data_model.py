"""What data commands need of a model: tokenizer, picture size, mask codec; no weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from palikit.data.check_tokens import TokenLimit, estimated_tokens, text_limit
from palikit.errors import CheckpointError, InputError
from palikit.options import LoadOptions
from palikit.published import BUILT_IN, BUILT_IN_TEXT_LENGTH
from palikit.results import Segments
from palikit.vocab import MaskEdges

if TYPE_CHECKING:
    from palikit.adapters import Source
    from palikit.checkpoints import Inspection
    from palikit.data.rows import Encode
    from palikit.recipes import ModelSize
    from palikit.tokenizer import Tokenizer

_PATCH = 14
"""Side of a patch in pixels of every published checkpoint."""

_NO_MODEL_SIZE = 448
"""Side in pixels that is shown where no model says another."""


@dataclass(frozen=True)
class DataModel:
    """Of a model, what has to do with data.

    Attributes:
        tokenizer: None where neither a model nor a file was given.
        image_size: picture side in pixels.
        tokens_per_image: image tokens of one picture.
        text_tokens: most of prompt and answer together that a row may have, in `palikit data
            check` and `palikit finetune` alike, unless it is said otherwise: what the model was
            trained with.
        mask_codec_file: None where there is none.
        size: which of the released sizes it has; None for none of them.
    """

    tokenizer: "Tokenizer | None"
    image_size: int
    tokens_per_image: int
    text_tokens: int
    mask_codec_file: Path | None
    size: "ModelSize | None" = None

    def limit(self, max_text_tokens: int | None) -> TokenLimit:
        """The limit of text tokens and how they are counted."""
        most = self.text_tokens if max_text_tokens is None else max_text_tokens
        if self.tokenizer is None:
            return TokenLimit(most, estimated_tokens, is_exact=False)
        return TokenLimit(most, self.count_tokens)

    def count_tokens(self, prefix: str, suffix: str) -> int:
        """<bos>, prefix, newline, suffix and <eos>."""
        return len(self._ids(prefix, False)) + len(self._ids(suffix, True)) + 3  # noqa: FBT003

    def pieces(self, text: str, allow_special: bool) -> Sequence[str]:  # noqa: FBT001 (a callable's)
        """The text of each token."""
        if self.tokenizer is None:
            return [text]
        pieces = (self.tokenizer.piece(token) for token in self._ids(text, allow_special))
        return [(piece or "<control token>").replace("▁", " ") for piece in pieces]

    def encoder(self) -> "Encode | None":
        """What turns outlines into codes; None without a mask codec. Raises CheckpointError."""
        file = self.mask_codec_file
        return None if file is None else outline_encoder(file)

    def decoder(self, edges: MaskEdges) -> Callable[[Segments], Segments] | None:
        """What gives segments the masks of their codes; None without a mask codec.

        Args:
            edges: how edges of boxes become pixels.

        Raises:
            CheckpointError: its file is missing, damaged or no codec.
        """
        if self.mask_codec_file is None:
            return None
        from palikit.model.mask_codec import load_mask_codec
        from palikit.model.mask_coding import with_masks

        return partial(with_masks, load_mask_codec(self.mask_codec_file), edges=edges)

    def _ids(self, text: str, allow_special: bool) -> list[int]:  # noqa: FBT001
        if self.tokenizer is None:
            raise AssertionError("tokens are counted without a tokenizer")
        return self.tokenizer.encode(text, allow_special=allow_special)


def outline_encoder(file: Path) -> "Encode":
    """What turns outlines into codes: a mask codec, on the CPU.

    Raises:
        CheckpointError: the file is missing, damaged or no codec.
    """
    from palikit.model.mask_codec import load_mask_codec
    from palikit.model.mask_coding import mask_encoder

    return mask_encoder(load_mask_codec(file))


def open_data_model(model: str | None, options: LoadOptions) -> DataModel:
    """Of a model, or of a tokenizer file alone, what has to do with data; no weight is read.

    Raises:
        InputError: an image size that the model cannot have.
        CheckpointError: missing or damaged files.
    """
    if model is None:
        size = options.image_size or _NO_MODEL_SIZE
        return _data_model(options, size, _PATCH, text_limit(size), None)
    from palikit.adapters import find_source
    from palikit.checkpoints import inspect_checkpoint
    from palikit.loading import mask_codec_of

    source = find_source(model, options.revision, options.adapter)
    path = source.path
    found = inspect_checkpoint(path)
    size = options.image_size or found.image_size
    patch = found.config.vision_config.patch_size
    if options.tokenizer is None:
        options = replace(options, tokenizer=str(_tokenizer_beside(source)))
    known = _data_model(
        options, size, patch, _text_tokens(model, found, size), mask_codec_of(source)
    )
    return replace(known, size=_released_size(found))


def _text_tokens(model: str, found: "Inspection", size: int) -> int:
    """Text tokens a model was trained with, at its own picture side or the one it gets.

    Transfers to short answers saw fewer than what they began with: the larger number holds.
    """
    if model == BUILT_IN:
        return BUILT_IN_TEXT_LENGTH
    published = found.release.text_length if found.release else 0
    return max(published, text_limit(size))


def _released_size(found: "Inspection") -> "ModelSize | None":
    """By the shape of the model, whatever its name."""
    from palikit.recipes import RATE_FACTORS

    name = f"{found.family.replace(' ', '')}-{found.size}".lower()
    return next((size for size, _ in RATE_FACTORS if size == name), None)


def _data_model(
    options: LoadOptions, size: int, patch: int, text: int, codec: Path | None
) -> DataModel:
    if size % patch:
        raise InputError(f"--image-size is {size}: it must be a multiple of the patch size {patch}")
    return DataModel(
        _tokenizer(options.tokenizer),
        size,
        (size // patch) ** 2,
        text,
        Path(options.mask_codec) if options.mask_codec is not None else codec,
    )


def _tokenizer_beside(source: "Source") -> Path:
    from palikit.loading import tokenizer_of

    found = tokenizer_of(source)
    if found is None:
        raise CheckpointError(
            f"{source.path} has no tokenizer.json beside its weights: give one with --tokenizer"
        )
    return found


def _tokenizer(file: str | None) -> "Tokenizer | None":
    from palikit.tokenizer import Tokenizer

    return None if file is None else Tokenizer.load(Path(file))
