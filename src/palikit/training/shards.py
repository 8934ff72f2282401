"""Named tensors on disk, whole or cut: written by some number of processes, read by any other.

By one process:

    weights.safetensors                      whole tensors

By several, each writing what it holds:

    weights-00001-of-00002.safetensors       the rows of the first process, and what is not cut
    weights-00002-of-00002.safetensors
    weights.json                             {"files": [...], "rows": {name: [0, 16, 32]}}: where
                                             each file's rows of a tensor begin, and where they end

A reader takes the rows it needs out of whichever files hold them.
"""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from palikit.checkpoints.layout import read_json
from palikit.checkpoints.tensor_file import write_tensors
from palikit.errors import CheckpointError
from palikit.model.sharded import is_cut
from palikit.training.parts import own_part, row_starts


def write_whole(folder: Path, kind: str, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as the only process."""
    write_tensors(folder / f"{kind}.safetensors", tensors)


def write_shards(
    folder: Path, kind: str, tensors: Mapping[str, Tensor], rank: int, processes: int
) -> None:
    """Write the own rows of tensors; the first process writes the index, too.

    Args:
        folder: exists.
        kind: first word of the file names.
        tensors: cut along the first axis, or alike on all processes.
        rank: of this process.
        processes: how many there are.
    """
    own = {name: own_part(tensor) for name, tensor in tensors.items() if is_cut(tensor)}
    alike = {name: tensor for name, tensor in tensors.items() if name not in own}
    mine = own | alike if rank == 0 else own
    files = [f"{kind}-{n:05d}-of-{processes:05d}.safetensors" for n in range(1, processes + 1)]
    write_tensors(folder / files[rank], mine)
    if rank == 0:
        rows = {name: row_starts(tensors[name].shape[0], processes) for name in own}
        text = json.dumps({"files": files, "rows": rows}) + "\n"
        (folder / f"{kind}.json").write_text(text, encoding="utf-8")


class SavedTensors:
    """The tensors of one kind in a folder; read piece by piece from the mapped files.

    Attributes:
        names: of all.

    Raises:
        CheckpointError: a file is damaged or missing.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        index: dict[str, Any] = {"files": [f"{kind}.safetensors"], "rows": {}}
        if (folder / f"{kind}.json").is_file():
            index = read_json(folder / f"{kind}.json")
        self._rows: dict[str, list[int]] = index["rows"]
        self._paths = [folder / name for name in index["files"]]
        self._files = [_opened(path) for path in self._paths]
        self.names = frozenset(self._files[0].keys())

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a whole tensor."""
        shape = tuple(self._files[0].get_slice(name).get_shape())
        return (self._rows[name][-1], *shape[1:]) if name in self._rows else shape

    def whole(self, name: str) -> Tensor:
        """A whole tensor."""
        if name not in self._rows:
            return self._get(0, name)
        return self.rows(name, slice(0, self._rows[name][-1]))

    def rows(self, name: str, wanted: slice) -> Tensor:
        """Some rows of a tensor."""
        if name not in self._rows:
            return self._get(0, name, wanted)
        parts = []
        for number, (start, end) in enumerate(pairwise(self._rows[name])):
            first, last = max(wanted.start, start), min(wanted.stop, end)
            if first < last:
                parts.append(self._get(number, name, slice(first - start, last - start)))
        return torch.cat(parts) if parts else self._get(0, name, slice(0, 0))

    def _get(self, number: int, name: str, rows: slice | None = None) -> Tensor:
        try:
            file = self._files[number]
            found: Tensor = file.get_tensor(name) if rows is None else file.get_slice(name)[rows]
        except SafetensorError as error:
            raise _damaged(self._paths[number], error) from None
        return found


def _opened(file: Path) -> Any:
    try:
        return safe_open(file, "pt")
    except (OSError, SafetensorError) as error:
        raise _damaged(file, error) from None


def _damaged(file: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{file} is damaged or missing ({error}): remove {file.parent} and resume again, from "
        "the checkpoint before it"
    )
