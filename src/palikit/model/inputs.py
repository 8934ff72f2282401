r"""What the model eats, drawn once.

    pixel_values    float32[U, 3, h, w]  each distinct picture once, in [-1, 1]
    image_index     int64[B, M]          which of them each example looks at, in reading order
    input_ids       int64[B, T]          <bos> prefix "\n" [suffix <eos>] and padding on the right
    prefix_lengths  int64[B]             text tokens up to and including "\n"
    lengths         int64[B]             text tokens before the padding

The sequence of one example is its M * I image tokens followed by its text, so that a token's place
in the sequence is its position and its slot in the cache, with or without padding.

Axes: B examples, U distinct pictures, M pictures an example, I image tokens a picture, T text
tokens, L = M * I + T.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """One batch; see the drawing at the top of this file.

    Attributes:
        has_padding: whether any row is shorter than T.
        has_suffix: whether any row has tokens after its prefix. Both are known when the batch is
            made and kept here, so that the model need not look at the device to learn them.
    """

    pixel_values: Tensor
    image_index: Tensor
    input_ids: Tensor
    prefix_lengths: Tensor
    lengths: Tensor
    has_padding: bool
    has_suffix: bool = False

    def __post_init__(self) -> None:
        B = self.input_ids.shape[0]
        if self.image_index.shape[0] != B or self.prefix_lengths.shape != (B,):
            raise ValueError(
                f"a batch of {B} texts needs {B} rows of image_index and prefix_lengths, "
                f"got {tuple(self.image_index.shape)} and {tuple(self.prefix_lengths.shape)}"
            )
        if self.lengths.shape != (B,):
            raise ValueError(f"a batch of {B} texts needs {B} lengths, got {self.lengths.shape}")

    def to(self, device: torch.device) -> "ModelInputs":
        """The same batch on another device."""
        return replace(
            self,
            pixel_values=self.pixel_values.to(device),
            image_index=self.image_index.to(device),
            input_ids=self.input_ids.to(device),
            prefix_lengths=self.prefix_lengths.to(device),
            lengths=self.lengths.to(device),
        )
