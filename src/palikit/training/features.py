"""The output of a frozen image tower, computed once a picture and kept on disk.

    FOLDER/<key>/<name>.safetensors   features: [pictures, I, D] of the tower, not yet projected
                                      metadata: the digests of their files, in order

A file's name is of the digests in it, so that runs which compute at the same time write no other
file under the same name. The key is of the tower's weights, the picture size and the way of
resizing, so that one folder serves many runs and models; a picture is known by the bytes of its
file. The projection, which may learn, is computed at each step.

Axes: U pictures, I image tokens a picture, D width of the image tower.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor

from palikit.checkpoints.tensor_file import write_tensors
from palikit.data.rows import Row
from palikit.errors import CheckpointError, InputError
from palikit.model.paligemma import PaliGemma
from palikit.pictures import load_picture
from palikit.processor import Processor
from palikit.training.examples import Examples, Mixture, RowExamples, parts_of
from palikit.training.output import nearest_folder
from palikit.training.precision import autocast

SHARD_PICTURES = 256
"""Pictures a file: what a run that is killed while it computes them loses at most."""

_COMPUTED_TOGETHER = 8
_DIGEST = "features"
"""Under this name a picture that stands for kept features says which."""


class FeatureStore:
    """Features on disk, found by the digest of a picture's file.

    Args:
        folder: of this tower, picture size and way of resizing; made when there is something in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, tuple[Path, int]] = {}
        for shard in sorted(folder.glob("[0-9a-f]*.safetensors")):
            digests = _digests_of(shard)
            self._places |= {digest: (shard, row) for row, digest in enumerate(digests)}
        self._opened = cache(_features_of)

    def __reduce__(self) -> "tuple[type[FeatureStore], tuple[Path]]":
        """To another process goes the folder alone: it opens the files by itself."""
        return FeatureStore, (self._folder,)

    def __contains__(self, digest: str) -> bool:
        return digest in self._places

    def get(self, digest: str) -> Tensor:
        """[I, D], a part of the mapped file."""
        shard, row = self._places[digest]
        features: Tensor = self._opened(shard)[row]
        return features

    def add(self, digests: Sequence[str], features: Tensor) -> None:
        """Keep the features [pictures, I, D] of these files.

        Raises:
            CheckpointError: they cannot be written.
        """
        text = json.dumps(list(digests))
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        shard, temporary = self._folder / f"{name}.safetensors", self._folder / f".{os.getpid()}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_tensors(temporary, {"features": features}, {"digests": text})
            temporary.replace(shard)
        except (OSError, SafetensorError) as error:
            temporary.unlink(missing_ok=True)
            raise CheckpointError(
                f"the features could not be written to {self._folder} ({error}): make room, leave "
                "cache_features out, or give features another folder"
            ) from None
        self._places |= {digest: (shard, row) for row, digest in enumerate(digests)}


@dataclass(frozen=True)
class FeatureProcessor(Processor):
    """A processor whose `pixel_values` are kept features [U, I, D].

    The pictures it is given are 1 x 1 pixels and carry the digest of the file they stand for.
    """

    store: FeatureStore | None = None

    def pixel_values(self, pictures: Sequence[Image.Image]) -> Tensor:
        """The features of the pictures, in place of their pixels."""
        if self.store is None:
            raise ValueError("a FeatureProcessor needs a store")
        return torch.stack([self.store.get(picture.info[_DIGEST]) for picture in pictures])


@dataclass(frozen=True)
class _StandIns:
    """Opens, in place of a picture, one that carries the digest of its file."""

    digests: Mapping[Path, str]

    def __call__(self, path: Path) -> Image.Image:
        picture = Image.new("RGB", (1, 1))
        picture.info[_DIGEST] = self.digests[path]
        return picture


def with_kept_features(
    source: Examples | Mixture,
    processor: Processor,
    model: PaliGemma,
    folder: Path,
    dtype: torch.dtype,
    on_remark: Callable[[str], None],
) -> tuple[Examples | Mixture, FeatureProcessor]:
    """The same examples without pixels, and the processor for them; computes what is not kept.

    Args:
        source: rows, or a mixture of them.
        processor: of the run.
        model: its image tower is frozen.
        folder: for all features.
        dtype: of products, which the features are kept in: the projection would round to it anyway.
        on_remark: told how much is to be computed.

    Raises:
        InputError: the examples are no rows, or there is no room for the features.
    """
    parts = parts_of(source)
    examples = [part for part, _ in parts if isinstance(part, RowExamples)]
    if len(examples) < len(parts) or any(e.open_picture is not load_picture for e in examples):
        raise InputError(
            "cache_features needs rows whose picture files are opened as they are; leave it out"
        )
    store = FeatureStore(folder / _key(model, processor, dtype))
    files = {path: file_digest(path) for rows in examples for path in _files(rows.rows)}
    _compute_missing(store, files, processor, model, dtype, on_remark)
    kept = [RowExamples(rows.rows, _StandIns(files)) for rows in examples]
    new = FeatureProcessor(processor.tokenizer, processor.image_size, processor.resize, store)
    if isinstance(source, Mixture):
        return Mixture(tuple(zip(kept, (weight for _, weight in parts), strict=True))), new
    return kept[0], new


def file_digest(path: Path) -> str:
    """Digest of a file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from None


def _compute_missing(
    store: FeatureStore,
    files: dict[Path, str],
    processor: Processor,
    model: PaliGemma,
    dtype: torch.dtype,
    on_remark: Callable[[str], None],
) -> None:
    missing = {digest: path for path, digest in files.items() if digest not in store}
    vision = model.config.vision_config
    nbytes = len(missing) * vision.num_image_tokens * vision.hidden_size * dtype.itemsize
    if not missing:
        return
    on_remark(f"computing the features of {len(missing)} pictures, {nbytes / 2**20:.0f} MiB")
    free = shutil.disk_usage(nearest_folder(store._folder)).free
    if free < nbytes:
        raise InputError(
            f"the features of {len(missing)} pictures need {nbytes:,} bytes, and the disk has "
            f"{free:,} free: leave cache_features out, or give features another folder"
        )
    for digests in _chunks(list(missing), SHARD_PICTURES):
        features = [
            _features([missing[digest] for digest in some], processor, model, dtype)
            for some in _chunks(digests, _COMPUTED_TOGETHER)
        ]
        store.add(digests, torch.cat(features))


@torch.no_grad()
def _features(
    paths: Sequence[Path], processor: Processor, model: PaliGemma, dtype: torch.dtype
) -> Tensor:
    pixels = processor.pixel_values([load_picture(path) for path in paths]).to(model.device)
    with autocast(model.device, dtype):
        weight = model.vision_tower.patch_embedding.weight
        features: Tensor = model.vision_tower(pixels.to(weight.dtype))
    return features.to("cpu", dtype)


def _digests_of(shard: Path) -> list[str]:
    try:
        with safe_open(shard, "pt") as file:
            digests: list[str] = json.loads(file.metadata()["digests"])
    except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{shard} is damaged ({error}): remove it, and its features are computed again"
        ) from None
    return digests


def _features_of(shard: Path) -> Any:
    with safe_open(shard, "pt") as file:
        return file.get_tensor("features")


def _files(rows: Sequence[Row]) -> Iterator[Path]:
    return (path for row in rows for path in row.images)


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _key(model: PaliGemma, processor: Processor, dtype: torch.dtype) -> str:
    """Of all that features depend on but the picture; the whole weights, not a sample."""
    digest = hashlib.sha256(f"{processor.image_size} {processor.resize} {dtype}".encode())
    for name, weight in sorted(model.vision_tower.named_parameters()):
        values = weight.detach().reshape(-1).cpu().contiguous()
        digest.update(name.encode() + values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
