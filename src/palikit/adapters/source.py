"""From the names of a model and an adapter to their files; an adapter alone names its base."""

from dataclasses import dataclass
from pathlib import Path

from palikit.adapters.adapter import Adapter
from palikit.adapters.reading import is_adapter, read_adapter
from palikit.checkpoints.hub import resolve
from palikit.checkpoints.layout import is_weight_file
from palikit.errors import CheckpointError, InputError
from palikit.published import BUILT_IN


@dataclass(frozen=True)
class Source:
    """What a model is made of.

    Attributes:
        path: folder or file of the base.
        adapter: to be added to it, if any.
        remark: what a person should know of the pair, if anything.
    """

    path: Path
    adapter: Adapter | None = None
    remark: str | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where a tokenizer and a mask codec are looked for: beside the adapter, then the base."""
        base = self.path if self.path.is_dir() else self.path.parent
        own = None if self.adapter is None else self.adapter.path
        return (base,) if own is None else (own, base)


def find_source(model: str, revision: str | None = None, adapter: str | None = None) -> Source:
    """Find a model and read its adapter; names on the Hugging Face Hub are fetched once.

    Args:
        model: as `palikit.checkpoints.resolve` takes it, or the folder or name of an adapter,
            whose configuration then says what its base is.
        revision: branch, tag or commit of `model` on the Hub.
        adapter: folder or name of an adapter for `model`.

    Raises:
        CheckpointError: a path that does not exist, or an adapter that cannot be used or whose
            base cannot be found.
        HubError: no such model, no access to it, or no network and no earlier copy.
        InputError: two adapters, or a revision of a path.
    """
    path = resolve(model, revision)
    if adapter is None:
        return _with_base(model, path) if _is_adapter_alone(path) else Source(path)
    if _is_adapter_alone(path):
        raise InputError(
            f"{model} is an adapter itself: give its base as the model and {adapter} as the "
            "adapter, or leave one of the two adapters out"
        )
    found = read_adapter(resolve(adapter))
    return Source(path, found, _difference(model, adapter, found))


def _is_adapter_alone(path: Path) -> bool:
    """An adapter's folder that holds no model; where both are saved, the model is what is meant."""
    if not (path.is_dir() and is_adapter(path)):
        return False
    return not any(is_weight_file(file.name) for file in path.iterdir())


def _with_base(name: str, folder: Path) -> Source:
    adapter = read_adapter(folder)
    base = adapter.base
    if not base:
        raise CheckpointError(
            f"{name} is an adapter and does not say what its base model is: give that as the model "
            "and this as the adapter (--model BASE --adapter ADAPTER)"
        )
    try:
        return Source(_place_of_base(folder, base) or resolve(base, adapter.revision), adapter)
    except (CheckpointError, InputError) as error:
        reason = str(error).partition("; ")[0]  # what is advised after it is of a name typed here
        raise CheckpointError(
            f"{name} is an adapter of {base}, which cannot be used ({reason}): give the base as "
            "the model and this as the adapter (--model BASE --adapter ADAPTER)"
        ) from None


def _place_of_base(folder: Path, base: str) -> Path | None:
    """A path that exists, seen from here or from the adapter; runs are moved with their models.

    The name of the built-in model is never a path, as on the command line.
    """
    if base == BUILT_IN:
        return None
    return next((place for place in (Path(base), folder / base) if place.exists()), None)


def _difference(model: str, name: str, adapter: Adapter) -> str | None:
    """Shapes tell bases of one architecture not apart, names do."""
    if adapter.base is None or _last_part(adapter.base) == _last_part(model):
        return None
    return (
        f"the adapter {name} was trained on {adapter.base} and is used with {model}: if they are "
        "not the same weights, expect other answers than it was trained for"
    )


def _last_part(name: str) -> str:
    return Path(name.partition("@")[0]).name.casefold()
