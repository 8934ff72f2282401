"""What a run is of: as it is typed, or for a run that goes on as it was begun, unless typed."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from palikit.cli.finetune_options import FinetuneOptions
from palikit.cli.options import read_options
from palikit.data.options import DataTask, RenderOptions
from palikit.errors import InputError
from palikit.options import LoadOptions
from palikit.train_options import LoraOptions, LossOptions, TrainOptions

OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True)
class Subject:
    """What is trained, on what.

    Attributes:
        model: as `palikit.load` takes it; None for nobody said.
        data: of --data.
        validation: of --val.
        task: of --task.
        repository: of --push-to-hub.
        recipe: of --recipe.
        begun: options of the run that goes on; None for a new one.
    """

    model: str | None
    data: Sequence[str]
    validation: str | None
    task: DataTask | None
    repository: str | None
    recipe: str | None
    begun: FinetuneOptions | None = None


def begun_subject(ctx: click.Context, typed: Subject, record: dict[str, Any]) -> Subject:
    """What a run was begun with; what is typed overrides it.

    Args:
        ctx: of the command that goes on with it.
        typed: what its command line says.
        record: its `run.json`.

    Raises:
        InputError: the command that began the run is not understood.
    """
    place = Path(record.get("directory", "."))
    before = _command_of(ctx, record)
    if not _is_on_command_line(ctx, "model"):
        typed = replace(typed, model=record["model"]["name"] or typed.model)
    if typed.recipe is None:
        typed = replace(typed, begun=_options(ctx, before, record, place))
    if before is None:
        return typed
    old = before.params
    validation = typed.validation
    if validation is None and old["val"] is not None:
        validation = _placed_data(old["val"], place)
    return replace(
        typed,
        data=typed.data or tuple(_placed_data(each, place) for each in old["data"]),
        validation=validation,
        task=typed.task or old["task"],
        repository=typed.repository or old["repository"],
    )


def _command_of(ctx: click.Context, record: dict[str, Any]) -> click.Context | None:
    """The command line that began the run, read anew; None where it was begun in another way."""
    command = record.get("command", [])
    if command[1:2] != ["finetune"]:
        return None
    try:
        return ctx.command.make_context("finetune", list(command[2:]))
    except click.ClickException as error:
        raise InputError(
            f"the command that the run was begun with is not understood ({error.message}): give "
            "all of its options again"
        ) from None


def _options(
    ctx: click.Context, before: click.Context | None, record: dict[str, Any], place: Path
) -> FinetuneOptions:
    """The options of a run: of the training by the record, of data and loading by its command."""
    known = record["options"]
    render, loading = RenderOptions(), LoadOptions()
    if before is not None:
        render, loading = read_options(before, RenderOptions), read_options(before, LoadOptions)
        render = replace(render, images=_placed(render.images, place))
        loading = replace(
            loading,
            tokenizer=_placed(loading.tokenizer, place),
            mask_codec=_placed(loading.mask_codec, place),
            revision=None if _is_on_command_line(ctx, "model") else loading.revision,
        )
    train = _known(TrainOptions, known)
    return FinetuneOptions(
        replace(train, features=_placed(train.features, place)),
        _known(LossOptions, known),
        _known(LoraOptions, known),
        render,
        loading,
    )


def _known(cls: type[OptionsT], known: dict[str, Any]) -> OptionsT:
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # a dataclass
    return cls(**{name: known[name] for name in names if name in known})


def _placed(name: Any, place: Path) -> Any:
    """A path as it is from here, of one that was given in a folder `place`; else the name."""
    if name is None or place.absolute() == Path.cwd() or Path(name).is_absolute():
        return name
    return str(place / name) if (place / name).exists() else name


def _placed_data(text: str, place: Path) -> str:
    """The same of D or D=WEIGHT."""
    name, sign, weight = text.rpartition("=")
    if not sign or (place / text).exists():
        return str(_placed(text, place))
    return f"{_placed(name, place)}={weight}"


def _is_on_command_line(ctx: click.Context, name: str) -> bool:
    """Typed here: the variable PALIKIT_MODEL is of all commands, and of no run."""
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
