"""What tells one checkpoint from another without reading all of it."""

import hashlib
from pathlib import Path

from palikit.adapters import find_source
from palikit.checkpoints.layout import find_files

_SAMPLES, _BYTES = 64, 4096
"""Stretches of each weight file that are read, and their length."""


def checkpoint_fingerprint(
    model: str, revision: str | None = None, adapter: str | None = None
) -> str:
    """A digest of the sizes of a model's weight files and of evenly spaced bytes in them.

    It tells models apart that people mix up, and does not depend on what the files are called; it
    is no proof against one who wants to be mistaken.

    Args:
        model: as `palikit.load` takes it.
        revision: of a name on the Hub.
        adapter: of the model.

    Raises:
        CheckpointError: no such model.
        HubError: no such name on the Hub, or no access to it.
    """
    source = find_source(model, revision, adapter)
    digest = hashlib.sha256()
    for file in find_files(source.path).weights:
        _add(digest, file)
    if source.adapter is not None and source.adapter.path is not None:
        for file in sorted(source.adapter.path.glob("*.safetensors")):
            _add(digest, file)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", file: Path) -> None:
    size = file.stat().st_size
    digest.update(f"{size} ".encode())
    with file.open("rb") as stream:
        for place in range(_SAMPLES):
            stream.seek(max(0, size - _BYTES) * place // (_SAMPLES - 1))
            digest.update(stream.read(_BYTES))
