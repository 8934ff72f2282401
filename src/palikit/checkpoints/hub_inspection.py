"""What a model is, wherever it lies; of one on the Hub only headers and small files are fetched."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from palikit.checkpoints.hub import HubName, explaining, fetched_folder, locate
from palikit.checkpoints.inspection import (
    Inspection,
    WeightFile,
    contents_of,
    describe,
    inspect_checkpoint,
)
from palikit.checkpoints.layout import find_files, find_tokenizer
from palikit.checkpoints.safetensors_header import Header, StoredTensor
from palikit.errors import CheckpointError, HubError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_READ = ("config.json", "model.safetensors.index.json")


def inspect_model(
    model: str, revision: str | None = None, *, _endpoint: str | None = None
) -> Inspection:
    """Say what a model is, from headers alone.

    A model on the Hub that was fetched before is looked at where it lies; of another one some
    100 KB a weight file are fetched, and nothing is kept.

    Args:
        model: a path, or a name such as `google/paligemma2-3b-mix-448`, as in `resolve`.
        revision: branch, tag or commit of a model on the Hub.
        _endpoint: another server that answers as the Hub does, for tests.

    Raises:
        CheckpointError: as `inspect_checkpoint`.
        ConfigError: the config is not PaliGemma's.
        HubError: no such model, no access to it, no network, or an `.npz` that was not fetched.
        InputError: a revision of a path, or two that differ.
    """
    place = locate(model, revision)
    if isinstance(place, Path):
        return inspect_checkpoint(place)
    fetched = fetched_folder(place, _endpoint)
    if fetched is not None:
        return inspect_checkpoint(fetched)
    from huggingface_hub import HfApi

    with explaining(place), TemporaryDirectory() as folder:
        return _inspect_on_hub(place, Path(folder), HfApi(endpoint=_endpoint))


def _inspect_on_hub(model: HubName, folder: Path, api: "HfApi") -> Inspection:
    info = api.model_info(model.name, revision=model.revision, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    _mirror(model.name, info.sha, folder, list(sizes), api)
    try:
        files = find_files(folder)
        if files.format == "npz":
            raise HubError(
                f"{model.name} is an .npz, whose headers lie all over the file: fetch it first, "
                f"hf download {model.name}"
            )
        headers = [_header(model.name, info.sha, file, api) for file in files.weights]
        contents = contents_of(files, headers)
    except CheckpointError as error:
        raise type(error)(str(error).replace(str(folder), model.name)) from None
    return describe(
        Path(model.name),
        "transformers",
        contents,
        files=tuple(WeightFile(file.name, sizes[file.name]) for file in files.weights),
        has_tokenizer=find_tokenizer(folder) is not None,
        is_local=False,
    )


def _mirror(name: str, commit: str | None, folder: Path, files: list[str], api: "HfApi") -> None:
    """The repository's own folder of files: those that are read, and the others without content."""
    from huggingface_hub import hf_hub_download

    for file in files:
        if file in _READ:
            # Not into the cache, where a folder without weights would pass for a fetched model.
            hf_hub_download(name, file, revision=commit, local_dir=folder, endpoint=api.endpoint)
        elif Path(file).name == file:
            (folder / file).touch()


def _header(name: str, commit: str | None, file: Path, api: "HfApi") -> Header:
    from huggingface_hub.errors import SafetensorsParsingError

    try:
        stored = api.parse_safetensors_file_metadata(name, file.name, revision=commit)
    except SafetensorsParsingError:
        return Header((), f"{file.name} has a damaged header; fetch it again")
    return Header(
        tuple(
            StoredTensor(
                name=tensor,
                file=file,
                dtype=info.dtype,
                shape=tuple(info.shape),
                start=info.data_offsets[0],
                nbytes=info.data_offsets[1] - info.data_offsets[0],
            )
            for tensor, info in stored.tensors.items()
        )
    )
