"""Which files make up a checkpoint, found by looking at names only."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from palikit.errors import CheckpointError

Format = Literal["transformers", "npz"]

MAX_JSON_BYTES = 64 * 2**20
"""The index of the largest release has 100 KB."""

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.safetensors")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
# What a checkpoint of the transformers layout is made of, beside its weights.
_SIDE_FILES = frozenset(
    {
        "added_tokens.json",
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    }
)
MASK_CODEC_NAMES = ("vae-oid.npz", "mask_codec.safetensors", "mask_codec.npz")
"""What a codec of segmentation masks is called beside a model; it is no model itself."""

_NOT_WEIGHTS = (*MASK_CODEC_NAMES, "adapter_model.safetensors")


class OnlyAnAdapterError(CheckpointError):
    """A folder holds an adapter where a model was looked for."""


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of one checkpoint.

    Attributes:
        format: transformers (safetensors and config.json) or npz (the JAX release).
        directory: where they lie.
        weights: the weight files that exist, in reading order.
        missing: names of weight files that an index or the numbering of shards asks for.
    """

    format: Format
    directory: Path
    weights: tuple[Path, ...]
    missing: tuple[str, ...] = ()


def find_files(path: Path) -> CheckpointFiles:
    """The checkpoint at a folder, a `.safetensors` file or an `.npz` file.

    Raises:
        CheckpointError: nothing there, nothing that can be read, or pickled weights.
    """
    if path.is_dir():
        return _find_in_folder(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file or folder")
    if path.suffix == ".npz":
        return CheckpointFiles("npz", path.parent, (path,))
    if path.suffix == ".safetensors":
        return CheckpointFiles("transformers", path.parent, (path,))
    if path.suffix in _PICKLED:
        raise _pickled(path)
    if ".npz.part" in path.name:
        raise _in_parts(path)
    raise CheckpointError(
        f"{path} is not a checkpoint: give a folder with safetensors, a .safetensors or a .npz file"
    )


def is_weight_file(name: str) -> bool:
    """Whether a name is one that weights of the transformers layout are written under."""
    shard = _SHARD.fullmatch(name)
    return name == _SINGLE or (shard is not None and shard[1] == "model")


def is_checkpoint_file(name: str) -> bool:
    """Whether a name is of a checkpoint of the transformers layout, and not of the user's own."""
    return name in _SIDE_FILES or name == _INDEX or is_weight_file(name)


def find_tokenizer(path: Path) -> Path | None:
    """The `tokenizer.json`, or else the SentencePiece `.model`, beside the weights."""
    directory = path if path.is_dir() else path.parent
    if (file := directory / "tokenizer.json").is_file():
        return file
    models = sorted(directory.glob("*.model"))
    return models[0] if models else None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        CheckpointError: absent, too large, or not a JSON object.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path.parent} has no {path.name}: the checkpoint is incomplete; copy {path.name} "
            "there, or fetch it again"
        )
    if path.stat().st_size > MAX_JSON_BYTES:
        raise CheckpointError(f"{path} has {path.stat().st_size:,} bytes: it is not a {path.name}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}); see who may read it"
        ) from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}); fetch it again") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} holds no JSON object; fetch it again")
    return data


def _find_in_folder(folder: Path) -> CheckpointFiles:
    if (folder / _SINGLE).is_file():
        return CheckpointFiles("transformers", folder, (folder / _SINGLE,))
    if (folder / _INDEX).is_file():
        return _from_names(folder, _indexed_names(folder / _INDEX))
    shards = [f for f in sorted(folder.glob("*.safetensors")) if f.name not in _NOT_WEIGHTS]
    if shards:
        return _from_names(folder, _numbered_names([file.name for file in shards]))
    arrays = [f for f in sorted(folder.glob("*.npz")) if f.name not in _NOT_WEIGHTS]
    if len(arrays) == 1:
        return CheckpointFiles("npz", folder, (arrays[0],))
    if arrays:
        names = ", ".join(file.name for file in arrays)
        raise CheckpointError(f"{folder} holds several .npz files, {names}: give one of them")
    raise _nothing_in(folder)


def _from_names(folder: Path, names: list[str]) -> CheckpointFiles:
    files = [folder / name for name in names]
    return CheckpointFiles(
        "transformers",
        folder,
        weights=tuple(file for file in files if file.is_file()),
        missing=tuple(file.name for file in files if not file.is_file()),
    )


def _indexed_names(index: Path) -> list[str]:
    """Shards in the index's own order; a name that leads out of the folder is refused."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index} has no weight_map; fetch it again")
    names = list(dict.fromkeys(weight_map.values()))
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or "\\" in name:
            raise CheckpointError(f"{index} names {name!r}, which is not a file of its folder")
    return names


def _numbered_names(names: list[str]) -> list[str]:
    """Without an index the numbers in the names tell which shards there should be."""
    matches = [_SHARD.fullmatch(name) for name in names]
    if any(match is None for match in matches):
        return names
    stems = {(match[1], int(match[3])) for match in matches if match}
    if len(stems) > 1:
        return names
    stem, count = stems.pop()
    return [f"{stem}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def _nothing_in(folder: Path) -> CheckpointError:
    if parts := sorted(folder.glob("*.npz.part*")):
        return _in_parts(parts[0])
    if (folder / "adapter_config.json").is_file():
        return OnlyAnAdapterError(
            f"{folder} holds a LoRA adapter and no model: give its base model, or merge the two "
            "(palikit merge BASE ADAPTER OUTPUT)"
        )
    if (folder / "best").is_dir():  # as `palikit finetune` leaves a run
        return CheckpointError(
            f"{folder} is the folder of a run and holds no weights itself: give the model that "
            f"came of it, {folder / 'best'}"
        )
    for file in sorted(folder.iterdir()):
        if file.suffix in _PICKLED and not file.name.startswith("training_args"):
            return _pickled(file)
    return CheckpointError(
        f"{folder} holds no weights: expected {_SINGLE}, its shards, or one .npz file; give the "
        "folder or file that has them"
    )


def _pickled(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} holds pickled weights, which can run code when they are opened and are never "
        "read: take the safetensors files of the model, or convert it with transformers' "
        "save_pretrained"
    )


def _in_parts(path: Path) -> CheckpointError:
    whole = path.name.partition(".part")[0]
    return CheckpointError(
        f"{path} is one part of a file that was split: join the parts first, "
        f"cat {whole}.part* > {whole}"
    )
