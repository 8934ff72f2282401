"""What tells one checkpoint from another without reading all of it."""

from palikit.adapters import find_source
from palikit.checkpoints.layout import find_files
from palikit.fingerprint import files_fingerprint


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
    files = [*find_files(source.path).weights]
    if source.adapter is not None and source.adapter.path is not None:
        files += sorted(source.adapter.path.glob("*.safetensors"))
    return files_fingerprint(files)
