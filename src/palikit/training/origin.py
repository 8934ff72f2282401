"""Where a model came from, found by its name."""

from pathlib import Path

from palikit.adapters import find_source
from palikit.checkpoints.hub import HubName, locate
from palikit.loading import mask_codec_of, tokenizer_of
from palikit.published import BUILT_IN
from palikit.training.result import Origin


def origin_of(
    model: str,
    revision: str | None = None,
    *,
    tokenizer: str | None = None,
    mask_codec: str | None = None,
) -> Origin:
    """What a finished model needs of the one it begins as, so that it loads by itself.

    Args:
        model: as `palikit.load` takes it.
        revision: of a name on the Hub.
        tokenizer: file of the tokenizer, where none is beside the model.
        mask_codec: file of the mask codec, where none is beside the model.

    Raises:
        CheckpointError: no such model.
        HubError: no such name on the Hub, or no access to it.
        InputError: a revision of a path.
    """
    source = find_source(model, revision)
    place = locate(model, revision)
    named = place if isinstance(place, HubName) else None
    # The folder of an adapter names its base, and may be used from anywhere.
    name = model if model == BUILT_IN else str(Path(model).expanduser().resolve())
    return Origin(
        name if named is None else named.name,
        Path(tokenizer) if tokenizer else tokenizer_of(source),
        Path(mask_codec) if mask_codec else mask_codec_of(source),
        is_adapter=source.adapter is not None,
        revision=None if named is None else named.revision,
    )
