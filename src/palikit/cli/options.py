"""Command line options, made from the fields of the options classes; nothing heavy is imported."""

from collections.abc import Callable, Collection
from dataclasses import Field, dataclass, fields, replace
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import click
from click.core import ParameterSource

from palikit.errors import InputError
from palikit.options import RecordFormat, option

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
OptionsT = TypeVar("OptionsT")

_LONGEST_DEFAULT = 30
"""Characters of a default that --help shows."""

MAX_FRAMES = 512
"""`palikit.video.MAX_NUM_FRAMES`, which is too heavy to be imported for --help."""


@dataclass(frozen=True)
class RunOptions:
    """What goes in together, and where answers go."""

    format: RecordFormat | None = option(
        None, "How answers are written; by default text, or what the ending of --output says."
    )
    output: str | None = option(
        None,
        "Write answers to this file; the same command again goes on where it was interrupted.",
    )
    save: str | None = option(
        None,
        "Draw answers: a picture file for one input, a folder for several. Of several pictures of "
        "one question, and of frames, the first is drawn.",
    )
    overwrite: bool = option(default=False, doc="Replace files that exist, and begin anew.")
    frames: int | None = option(
        None,
        "Frames taken of each video or animation, evenly spaced, up to 512; 0 for all, of at most "
        "64. If not given, 16 of a video and the first of an animation.",
    )
    together: bool = option(
        default=False,
        doc="All inputs are the pictures of one question; boxes are in pixels of the first.",
    )
    batch_size: int | None = option(
        None,
        "Inputs that go through the model together, 1 or more; by default 8, 16 with a small "
        "model, and fewer of many image tokens.",
    )
    quiet: bool = option(default=False, doc="No progress and no remarks; errors are still shown.")

    @property
    def output_file(self) -> str | None:
        """The file of --output; None for standard output, which "-" stands for too."""
        return None if self.output == "-" else self.output

    def __post_init__(self) -> None:
        for name in ("output", "save"):
            if getattr(self, name) == "":
                raise InputError(f"{name} is '': it must be the name of a file or folder")
        if self.frames is not None and not 0 <= self.frames <= MAX_FRAMES:
            raise InputError(
                f"frames is {self.frames}: it must be 0, for all, or at most {MAX_FRAMES}"
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}: it must be 1 or more")


@dataclass(frozen=True)
class ParallelOptions:
    """How many processes share one model."""

    tensor_parallel: int = option(
        1, "Processes, started by torchrun, among which the model's layers are cut."
    )

    def __post_init__(self) -> None:
        if self.tensor_parallel < 1:
            raise InputError(f"tensor_parallel is {self.tensor_parallel}: it must be 1 or more")


def options_of(
    cls: type, only: Collection[str] = (), without: Collection[str] = ()
) -> Callable[[CommandT], CommandT]:
    """Decorates a command with an option for each field of an options class.

    A bool that is off by default becomes a flag and one that is on a pair --x/--no-x, a Literal a
    choice, `X | None` an X that may be left out. `read_options` collects the values.

    Args:
        cls: a dataclass whose fields are made by `palikit.options.option`.
        only: names of fields, where not all of them.
        without: names of fields that mean nothing to the command.
    """
    hints = get_type_hints(cls)

    def decorate(command: CommandT) -> CommandT:
        for field in reversed(fields(cls)):
            if (not only or field.name in only) and field.name not in without:
                command = _click_option(cls, field, hints[field.name])(command)
        return command

    return decorate


def read_options(ctx: click.Context, cls: type[OptionsT], base: OptionsT | None = None) -> OptionsT:
    """The options class with the values that were given, and its defaults for all others.

    Args:
        ctx: of the command.
        cls: the options class.
        base: whose values stand where none was typed, instead of the defaults.

    Raises:
        InputError: a value is out of range.
    """
    given = {
        field.name: ctx.meta[_key(cls, field.name)]
        for field in fields(cls)  # type: ignore[arg-type]  # every options class is a dataclass
        if _key(cls, field.name) in ctx.meta and (base is None or is_typed(ctx, field.name))
    }
    return cls(**given) if base is None else replace(base, **given)  # type: ignore[type-var]


def is_typed(ctx: click.Context, name: str) -> bool:
    """Whether an option was given, and does not have its default."""
    return ctx.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)


def _click_option(cls: type, field: Field[Any], hint: Any) -> Callable[[CommandT], CommandT]:
    name = "--" + field.name.replace("_", "-")
    # A default of 0 is shown; one that is a long expression is told by its help text.
    is_shown = field.default is not None and field.default is not False
    is_shown = is_shown and field.metadata["is_default_shown"]
    is_shown = is_shown and len(str(field.default)) <= _LONGEST_DEFAULT
    doc = field.metadata["doc"]

    def keep(ctx: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        ctx.meta[_key(cls, field.name)] = value
        return value

    if hint is bool:
        declaration = f"{name}/--no-{name[2:]}" if field.default else name
        return click.option(
            declaration,
            field.name,
            is_flag=True,
            default=field.default,
            show_default=is_shown,
            expose_value=False,
            callback=keep,
            help=doc,
        )
    return click.option(
        name,
        field.name,
        type=_click_type(hint),
        default=field.default,
        show_default=is_shown,
        expose_value=False,
        callback=keep,
        help=doc,
    )


def _click_type(hint: Any) -> Any:
    if get_origin(hint) is UnionType or type(None) in get_args(hint):
        (hint,) = (each for each in get_args(hint) if each is not type(None))
    return click.Choice(get_args(hint)) if get_origin(hint) is Literal else hint


def _key(cls: type, name: str) -> str:
    return f"palikit.{cls.__name__}.{name}"
