"""Reading the transformers layout: safetensors, in one file or in shards, and a `config.json`.

Weights that keep dtype and device are mapped from the file, not copied. Others are read and
converted one tensor at a time, past the mapping: pages of a mapping would count as memory beside
the copy for as long as the file is open.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from palikit.checkpoints.layout import CheckpointFiles, read_json
from palikit.checkpoints.names import EMBEDDING, HEAD, expected_shapes, from_hub, is_computed
from palikit.checkpoints.report import Mismatch, compare
from palikit.checkpoints.safetensors_header import DTYPES, Header, StoredTensor, read_header
from palikit.config import PaliGemmaConfig
from palikit.config_json import config_from_json
from palikit.errors import CheckpointError

_SHOWN_FILES = 20
"""Missing files that are told by name; the largest release has 12."""


@dataclass(frozen=True)
class SafetensorsContents:
    """What headers and config say, before any weight is read.

    Attributes:
        config: with the number of rows that the stored table has.
        dtypes: dtypes of the stored weights, that of most numbers first.
        tensors: stored weights by the model's names.
        head: the stored head, where there is one beside the table.
        damage: missing and broken files.
        mismatch: what differs from the model of this config.
    """

    config: PaliGemmaConfig
    dtypes: tuple[torch.dtype, ...]
    tensors: dict[str, StoredTensor]
    head: StoredTensor | None
    damage: tuple[str, ...]
    mismatch: Mismatch

    @property
    def problems(self) -> tuple[str, ...]:
        """Damage and mismatch, a sentence each."""
        return (*self.damage, str(self.mismatch)) if self.mismatch else self.damage


def read_contents(files: CheckpointFiles) -> SafetensorsContents:
    """Read config and headers.

    Raises:
        CheckpointError: there is no config.json.
        ConfigError: it is not PaliGemma's.
    """
    return contents_from_headers(files, (read_header(file) for file in files.weights))


def contents_from_headers(files: CheckpointFiles, headers: Iterable[Header]) -> SafetensorsContents:
    """As `read_contents`, with the headers of the weight files from elsewhere."""
    config = config_from_json(read_json(files.directory / "config.json"))
    damage = missing_files(files.missing)
    tensors: dict[str, StoredTensor] = {}
    unexpected = []
    for header in headers:
        damage += [header.problem] if header.problem else []
        for tensor in header.tensors:
            name = from_hub(tensor.name)
            if name is not None and name not in tensors:
                tensors[name] = tensor
            elif not is_computed(tensor.name):
                unexpected.append(tensor.name)
    damage += _dtype_problems(tensors)
    head = tensors.pop(HEAD, None)
    if head is not None and EMBEDDING not in tensors:
        tensors[EMBEDDING], head = head, None
    config = _with_stored_rows(config, tensors)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    return SafetensorsContents(
        config=config,
        dtypes=_dtypes(tensors),
        tensors=tensors,
        head=head,
        damage=tuple(damage),
        mismatch=compare(shapes, expected_shapes(config), unexpected),
    )


def read_tensors(
    contents: SafetensorsContents, dtype: torch.dtype, device: torch.device
) -> Iterator[tuple[str, Tensor]]:
    """The weights by the model's names, one after another.

    Raises:
        CheckpointError: a stored head differs from the table.
    """
    if contents.head is not None:
        _check_tied(contents.tensors[EMBEDDING], contents.head)
    mapped: dict[Path, list[tuple[str, StoredTensor]]] = {}
    copied: list[tuple[str, StoredTensor]] = []
    for name, tensor in contents.tensors.items():
        if device.type == "cpu" and DTYPES[tensor.dtype] == dtype:
            mapped.setdefault(tensor.file, []).append((name, tensor))
        else:
            copied.append((name, tensor))
    for file, tensors in mapped.items():
        yield from _map(file, tensors)
    # One buffer for all: buffers that come and go between weights that stay tear the heap.
    buffer = _buffer(max((tensor.nbytes for _, tensor in copied), default=0))
    for name, tensor in copied:
        yield name, _read(tensor, buffer).to(device=device, dtype=dtype)


def _map(file: Path, tensors: list[tuple[str, StoredTensor]]) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(file, framework="pt", device="cpu") as stored:
            for name, tensor in tensors:
                yield name, stored.get_tensor(tensor.name)
    except SafetensorError as error:
        raise CheckpointError(f"{file} is damaged ({error}); fetch it again") from None


def _buffer(nbytes: int) -> Tensor:
    return torch.empty(nbytes, dtype=torch.uint8)


def _read(tensor: StoredTensor, buffer: Tensor) -> Tensor:
    """A tensor in the front of the buffer."""
    data = buffer[: tensor.nbytes]
    with tensor.file.open("rb") as stream:
        stream.seek(tensor.start)
        if stream.readinto(data.numpy().data) != tensor.nbytes:
            raise CheckpointError(f"{tensor.file} is cut short; fetch it again")
    return data.view(DTYPES[tensor.dtype]).reshape(tensor.shape)


def _check_tied(table: StoredTensor, head: StoredTensor) -> None:
    same = table.shape == head.shape and table.dtype == head.dtype
    if not (
        same and torch.equal(*(_read(tensor, _buffer(tensor.nbytes)) for tensor in (table, head)))
    ):
        raise CheckpointError(
            f"{head.name} and {table.name} differ: PaliGemma's head is its embedding table, a "
            "model that was trained with a head of its own is not supported"
        )


def missing_files(names: tuple[str, ...]) -> list[str]:
    """A sentence for each weight file that should be there and is not, and one for very many."""
    more = len(names) - _SHOWN_FILES
    shown = [f"{name} is missing" for name in names[:_SHOWN_FILES]]
    return [*shown, f"{more:,} more files are missing"] if more > 0 else shown


def _dtype_problems(tensors: dict[str, StoredTensor]) -> list[str]:
    other = {tensor.dtype: tensor.name for tensor in tensors.values() if tensor.dtype not in DTYPES}
    return [
        f"{name} is stored as {dtype}: quantised files are not read, take the model in "
        "bfloat16 or float32 and quantise it while loading"
        for dtype, name in other.items()
    ]


def _dtypes(tensors: dict[str, StoredTensor]) -> tuple[torch.dtype, ...]:
    counts: Counter[torch.dtype] = Counter()
    for tensor in tensors.values():
        if tensor.dtype in DTYPES:
            counts[DTYPES[tensor.dtype]] += tensor.nbytes // DTYPES[tensor.dtype].itemsize
    return tuple(dtype for dtype, _ in counts.most_common())


def _with_stored_rows(config: PaliGemmaConfig, tensors: dict[str, StoredTensor]) -> PaliGemmaConfig:
    """The table's own row count: 257152 as trained, 257216 as released, whatever config.json says.

    Fewer rows than predictable ids are another model's and stay a mismatch.
    """
    table = tensors.get(EMBEDDING)
    if table is None or len(table.shape) != 2 or table.shape[0] < config.image_token_index:
        return config
    return config.with_vocab_size(table.shape[0])
