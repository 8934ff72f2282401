"""Data sets: `palikit data convert`, and the group that the other commands about data join."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from palikit.cli.command import Command, remark, write_examples
from palikit.cli.data_check import check, show
from palikit.cli.data_model import outline_encoder
from palikit.cli.data_scenes import scenes
from palikit.cli.options import options_of, read_options
from palikit.cli.progress import Progress, progress_of
from palikit.data.options import ConvertOptions, Format, RenderOptions
from palikit.errors import InputError, counted

if TYPE_CHECKING:
    from palikit.data.conversion import Written
    from palikit.data.records import Problem
    from palikit.data.rows import Encode, Rows
    from palikit.masks import Mask
    from palikit.results import Box

_MAX_SHOWN = 10
"""Problems of one kind that are told one by one."""


class DataGroup(click.Group):
    """The group `data`, with its examples as `palikit` has them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """One sentence where no command is named, in place of the whole help."""
        if not args and not ctx.resilient_parsing:
            ctx.fail(f"palikit data needs a command: {self._names()}; see palikit data --help")
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command named, or one sentence that lists all."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            ctx.fail(f"palikit data has no command {args[0]!r}: choose {self._names()}")
        return super().resolve_command(ctx, args)

    def _names(self) -> str:
        names = list(self.commands)
        return f"{', '.join(names[:-1])} or {names[-1]}"

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, unwrapped."""
        write_examples(self, formatter)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order they were added."""
        return list(self.commands)


class DataCommand(Command):
    """A command about data sets: its options belong to no part of running a model."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All options in one section."""
        click.Command.format_options(self, ctx, formatter)


@click.group(
    cls=DataGroup,
    epilog="""\
palikit data convert bccd/ cells/ --task detect
palikit data check cells/
palikit data show cells/ --output cells.html""",
)
def data() -> None:
    """Read, check and show data sets for training."""


@data.command(
    cls=DataCommand,
    epilog="""\
palikit data convert bccd/ cells/ --task detect
palikit data convert coco/ out/ --task caption
palikit data convert nuclei/ out/ --task segment --crop 128 --mask-codec vae-oid.npz
palikit data convert cppe-5 out/ --hub --task detect --prompt-classes present""",
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option(
    "--format",
    "source_format",
    type=click.Choice(get_args(Format)),
    default="auto",
    show_default=True,
    help="What SRC is written in.",
)
@click.option("--hub", is_flag=True, help="SRC is the name of a data set on the Hugging Face Hub.")
@options_of(ConvertOptions)
@options_of(RenderOptions, without=("rename",))
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="OLD=NEW",
    help="Give a class another name; can be repeated, and two classes given one name become one.",
)
@click.option("--mask-codec", help="File of the mask codec (vae-oid.npz), for --task segment.")
@click.option(
    "--model",
    "-m",
    envvar="PALIKIT_MODEL",
    help="Folder of a model whose mask codec is taken, or nano; no name on the Hub.",
)
@click.option("--quiet", is_flag=True, help="No progress.")
@click.pass_context
def convert(
    ctx: click.Context,
    source: str,
    destination: str,
    source_format: Format,
    renames: Sequence[str],
    mask_codec: str | None,
    model: str | None,
    *,
    hub: bool,
    quiet: bool,
) -> None:
    """Rewrite a data set as rows for training.

    SRC is a folder or file in any of the formats of --format; DST is a folder, which gets a file
    for each split: train.jsonl, val.jsonl, test.jsonl. Pictures stay where they are.
    """
    from palikit.data.conversion import prepare, write

    render = replace(read_options(ctx, RenderOptions), rename=tuple(map(_rename, renames)))
    options = read_options(ctx, ConvertOptions)
    encode = _encoder(mask_codec, model) if render.task == "segment" else None
    target = Path(destination)
    with progress_of(
        None,
        0,
        is_quiet=quiet or encode is None,
        writes_to_stdout=False,
        doing="encoding outlines",
    ) as progress:
        prepared = prepare(
            source,
            target,
            format=source_format,
            render=render,
            options=options,
            encode=encode and _counted(encode, progress),
            hub=hub,
        )
    _tell_problems(prepared.rows)
    if not prepared.rows.rows:
        raise InputError(f"{source} gives no rows: there is nothing to write")
    written, turned = write(prepared, target, options)
    _tell_written(written, prepared.rows, turned)


def _encoder(mask_codec: str | None, model: str | None) -> "Encode":
    """The encoder of the file given, or of the one beside a model.

    Raises:
        InputError: neither was given, or there is none beside the model.
    """
    from palikit.loading import mask_codec_in
    from palikit.published import BUILT_IN, BUILT_IN_FOLDER

    if mask_codec is not None:
        return outline_encoder(Path(mask_codec))
    if model is None:
        raise InputError(
            "--task segment writes outlines as codes of the mask codec of the model to be trained: "
            "take that of the built-in model with --model nano, that of the released models with "
            "--mask-codec vae-oid.npz, or name another model that has one with --model"
        )
    place = BUILT_IN_FOLDER if model == BUILT_IN else Path(model)
    file = mask_codec_in([place if place.is_dir() else place.parent])
    if file is None:
        raise InputError(
            f"there is no mask codec beside {model}: name its file, such as vae-oid.npz, with "
            "--mask-codec, or take that of the built-in model with --model nano"
        )
    return outline_encoder(file)


def _counted(encode: "Encode", progress: Progress) -> "Encode":
    def counted_encode(mask: "Mask", box: "Box") -> tuple[int, ...]:
        codes = encode(mask, box)
        progress.advance()
        return codes

    return counted_encode


def _rename(text: str) -> tuple[str, str]:
    old, _, new = text.rpartition("=")
    if not old.strip() or not new.strip():
        raise InputError(
            f'--rename {text!r} cannot be read: expected OLD=NEW, as in "RBC=red cell"'
        )
    return old.strip(), new.strip()


def _tell_problems(rows: "Rows") -> None:
    """Every problem in a line, the first of each kind; errors end the command.

    Raises:
        InputError: there are errors.
    """
    by_kind: dict[tuple[bool, str], list[Problem]] = {}
    for problem in rows.problems:
        by_kind.setdefault((problem.is_error, problem.kind), []).append(problem)
    for (is_error, kind), problems in by_kind.items():
        for problem in problems[:_MAX_SHOWN]:
            remark(f"error: {problem}" if is_error else str(problem))
        if len(problems) > _MAX_SHOWN:
            remark(f"... and {len(problems) - _MAX_SHOWN} more of this kind: {kind}")
    if count := sum(problem.is_error for problem in rows.problems):
        errors = counted(count, "error")
        raise InputError(f"nothing was written because of {errors} in the data set")


def _tell_written(written: "Sequence[Written]", rows: "Rows", turned: int) -> None:
    for each in written:
        total = sum(count for _, count in each.objects_by_class)
        classes = ", ".join(f"{name} {count}" for name, count in each.objects_by_class)
        objects = f", {counted(total, 'object')} ({classes})" if classes else ""
        click.echo(f"{each.file}: {counted(each.num_rows, 'row')}{objects}")
    for kind, count in Counter(problem.kind for problem in rows.problems).items():
        click.echo(f"noted: {count} x {kind}")
    if turned:
        remark(f"saved anew, upright, as PNG: {counted(turned, 'picture')} with an orientation")
    if all(row.split is None for row in rows.rows):
        remark(
            "the data set has no splits and all of it is train: divide it with "
            "--split train=0.8,val=0.1,test=0.1"
        )


for _command in (check, show, scenes):
    data.add_command(_command)
