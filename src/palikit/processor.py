"""Pictures and text into `ModelInputs`: the only collator there is, for inference and training.

Axes: B queries, U distinct pictures, M pictures a query, T text tokens; S picture side in pixels.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from palikit.errors import InputError
from palikit.model.inputs import ModelInputs
from palikit.options import Resize
from palikit.tokenizer import Tokenizer

MAX_TEXT_TOKENS = 8192
"""The decoder's trained positions; published text lengths are 512 at most."""

_LEADING_MARKERS = re.compile(r"(?:<image>)+")


@dataclass(frozen=True)
class Query:
    """One text about one or several pictures.

    Attributes:
        pictures: RGB, any size, in reading order; frames of a video count as pictures.
        prompt: the prefix, without its newline.
        suffix: the text to learn, or None to have it generated.
        allow_special: whether control tokens spelled in the prompt are meant as tokens.
    """

    pictures: tuple[Image.Image, ...]
    prompt: str
    suffix: str | None = None
    allow_special: bool = False


@dataclass(frozen=True, eq=False)
class Prepared:
    """A query in tensors, before it is padded to the others of its batch.

    Attributes:
        pictures: those of the query, which are told apart by identity.
        pixels: float32[3, S, S] of each.
        prefix: ids of the prefix, with <bos> and newline.
        suffix: ids of the suffix, with <eos>; empty without one.
    """

    pictures: tuple[Image.Image, ...]
    pixels: tuple[Tensor, ...]
    prefix: list[int]
    suffix: list[int]

    @property
    def known(self) -> dict[int, Tensor]:
        """The pixels by the `id` of their picture, each picture once and in order."""
        pairs = zip(self.pictures, self.pixels, strict=True)
        return {id(picture): pixels for picture, pixels in pairs}


@dataclass(frozen=True)
class Processor:
    """Tokenizer, picture side in pixels, and the way pictures are resized."""

    tokenizer: Tokenizer
    image_size: int
    resize: Resize = "bicubic"

    def __call__(self, queries: Sequence[Query]) -> ModelInputs:
        """One batch; all queries must have the same number of pictures.

        Padding stands on the right and changes no result.

        Raises:
            InputError: no picture, differing numbers of pictures, or a text of too many tokens.
        """
        _check_pictures(queries)
        rows: list[Prepared] = []
        known: dict[int, Tensor] = {}
        for query in queries:
            rows.append(self.prepare(query, known))
            known |= rows[-1].known
        return self.collate(rows)

    def prepare(self, query: Query, known: Mapping[int, Tensor] | None = None) -> Prepared:
        """All of a query that does not depend on its batch; several threads may do so at once.

        Args:
            query: any.
            known: pixels of pictures that were prepared before, by the `id` of the picture.

        Raises:
            InputError: no picture, or a text of too many tokens.
        """
        if not query.pictures:
            raise InputError("a prompt without a picture: PaliGemma needs at least one picture")
        prefix, suffix = self.text_ids(query)
        pixels = dict(known or {})
        for picture in query.pictures:
            if id(picture) not in pixels:
                pixels[id(picture)] = self.pixel_values([picture])[0]
        return Prepared(
            query.pictures, tuple(pixels[id(each)] for each in query.pictures), prefix, suffix
        )

    def collate(self, rows: Sequence[Prepared], *, pinned: bool = False) -> ModelInputs:
        """One batch of queries with the same number of pictures.

        Args:
            rows: one or more.
            pinned: put the pixels where a CUDA device can fetch them while the program goes on.
        """
        # A picture asked about several times goes through the image tower once.
        distinct = {key: pixels for row in rows for key, pixels in row.known.items()}
        place = {key: index for index, key in enumerate(distinct)}
        texts = [row.prefix + row.suffix for row in rows]
        lengths = [len(text) for text in texts]
        T, pad = max(lengths), self.tokenizer.vocabulary.pad_id
        pixel_values = torch.stack(list(distinct.values()))
        return ModelInputs(
            pixel_values=pixel_values.pin_memory() if pinned else pixel_values,
            image_index=torch.tensor([[place[id(each)] for each in row.pictures] for row in rows]),
            input_ids=torch.tensor([text + [pad] * (T - len(text)) for text in texts]),
            prefix_lengths=torch.tensor([len(row.prefix) for row in rows]),
            lengths=torch.tensor(lengths),
            has_padding=min(lengths) < T,
            has_suffix=any(row.suffix for row in rows),
        )

    def text_ids(self, query: Query) -> tuple[list[int], list[int]]:
        """Ids of prefix and suffix.

        The prefix is <bos>, prompt and newline, the newline tokenised on its own so that it never
        joins a neighbour; the suffix, in which control tokens are meant, ends in <eos>.
        """
        vocabulary = self.tokenizer.vocabulary
        prompt = query.prompt
        if not query.allow_special:
            prompt = drop_image_markers(prompt, len(query.pictures))
        prompt_ids = self.tokenizer.encode(prompt, allow_special=query.allow_special)
        prefix = [vocabulary.bos_id, *prompt_ids, vocabulary.newline_id]
        suffix: list[int] = []
        if query.suffix is not None:
            suffix = self.tokenizer.encode(query.suffix, allow_special=True)
            suffix.append(vocabulary.eos_id)
        if len(prefix) + len(suffix) > MAX_TEXT_TOKENS:
            raise InputError(
                f"the text has {len(prefix) + len(suffix)} tokens, at most {MAX_TEXT_TOKENS} fit: "
                "shorten it"
            )
        return prefix, suffix

    def pixel_values(self, pictures: Sequence[Image.Image]) -> Tensor:
        """RGB pictures -> float32[U, 3, S, S] in [-1, 1], the aspect ratio not kept."""
        arrays = [resize_picture(picture, self.image_size, self.resize) for picture in pictures]
        return scale_pixels(torch.from_numpy(np.stack(arrays)))


def scale_pixels(pixels: Tensor) -> Tensor:
    """uint8[U, S, S, 3] on the CPU -> float32[U, 3, S, S] in [-1, 1].

    By NumPy, which looks bytes up as they are and starts no threads, where a worker is one itself.
    """
    channels_first = np.ascontiguousarray(pixels.numpy().transpose(0, 3, 1, 2))
    return torch.from_numpy(_SCALED.take(channels_first))


def drop_image_markers(prompt: str, num_pictures: int) -> str:
    """The prompt without leading `<image>` markers, if there are as many as pictures.

    The released examples write `<image>caption en`; anywhere else, or in any other number, the
    marker is plain text.
    """
    markers = _LEADING_MARKERS.match(prompt)
    if markers is None or len(markers.group()) != num_pictures * len("<image>"):
        return prompt
    return prompt[markers.end() :]


def resize_picture(picture: Image.Image, size: int, how: Resize) -> np.ndarray:
    """An RGB picture squeezed to uint8[size, size, 3].

    `bicubic` is Pillow's, antialiased and rounded, as the published Hugging Face checkpoints are
    used. `bilinear` is big_vision's `resize` with antialias, `bilinear_no_antialias` the same
    without (its transfer configurations use both): computed in float32 and cut, not rounded, to
    whole grey levels.
    """
    if picture.mode != "RGB":
        raise ValueError(f"a picture of mode {picture.mode}; load_picture gives RGB")
    if how == "bicubic":
        return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))
    if how == "bilinear_no_antialias":
        return _sampled(np.asarray(picture), size)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
    resized = F.interpolate(
        pixels, (size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return resized[0].permute(1, 2, 0).clamp(0, 255).byte().numpy()


def _sampled(pixels: np.ndarray, size: int) -> np.ndarray:
    """Bilinear between the four nearest pixels, in the float32 roundings of tf.image.resize.

    PyTorch's kernel orders its sums by the number of threads, which after cutting shows as a whole
    grey level.
    """
    top, bottom, down = _neighbours(pixels.shape[0], size)
    left, right, across = _neighbours(pixels.shape[1], size)

    def mixed(rows: np.ndarray) -> np.ndarray:
        """uint8[h, w, 3] rows -> float32[h, S, 3], mixed from left to right."""
        near, far = (rows[:, columns].astype(np.float32) for columns in (left, right))
        values: np.ndarray = near + (far - near) * across[:, None]
        return values

    upper, lower = mixed(pixels[top]), mixed(pixels[bottom])
    values: np.ndarray = upper + (lower - upper) * down[:, None, None]
    return values.clip(0, 255).astype(np.uint8)


def _neighbours(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each new pixel along a side: the old ones around its centre, and the second's share."""
    half = np.float32(0.5)
    centre = (np.arange(new, dtype=np.float32) + half) * np.float32(old / new) - half
    before = np.floor(centre)
    first = np.maximum(before, 0).astype(np.int64)
    second = np.minimum(np.ceil(centre), old - 1).astype(np.int64)
    return first, second, centre - before


def _scaled_levels() -> npt.NDArray[np.float32]:
    """What each of the 256 grey levels becomes, in the roundings of transformers' processor."""
    rescaled = (np.arange(256) * (1 / 255)).astype(np.float32)
    levels: npt.NDArray[np.float32] = (rescaled - np.float32(0.5)) / np.float32(0.5)
    return levels


_SCALED = _scaled_levels()


def _check_pictures(queries: Sequence[Query]) -> None:
    if not queries:
        raise InputError("an empty batch: give at least one picture and prompt")
    counts = {len(query.pictures) for query in queries}
    if len(counts) > 1:
        raise InputError(
            f"queries of {sorted(counts)} pictures in one batch: batch those of one number together"
        )
