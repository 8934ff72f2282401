"""`palikit data check` and `palikit data show`."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from palikit.cli.command import LABELS_SECTION, Command, names_of, remark, visible
from palikit.cli.options import options_of, read_options
from palikit.cli.progress import progress_of
from palikit.data.options import Format, RenderOptions
from palikit.data.split_names import split_place
from palikit.errors import counted
from palikit.options import LoadOptions

if TYPE_CHECKING:
    from palikit.cli.data_model import DataModel
    from palikit.data.check_pictures import PictureFacts
    from palikit.data.check_report import Report
    from palikit.data.records import Problem
    from palikit.data.rows import Row, Rows

_MOST = 5
"""Problems of a kind that are told without --all."""


class RowsCommand(Command):
    """A command that looks at the rows of a data set."""

    sections = (
        (LABELS_SECTION, names_of(RenderOptions)),
        ("Loading the model", names_of(LoadOptions)),
    )


def _data_options(command: Callable[..., None]) -> Callable[..., None]:
    """What decides which rows a source gives, and what of a model is looked at."""
    for decorator in (
        click.argument("source", metavar="DIR"),
        click.option(
            "--format",
            "source_format",
            type=click.Choice(get_args(Format)),
            default="auto",
            show_default=True,
            help="What DIR is written in.",
        ),
        click.option("--split", help="Only this split, such as train."),
        click.option("--model", "-m", help="Folder or name of the model to be trained."),
        options_of(LoadOptions, only=("revision", "image_size", "tokenizer", "mask_codec")),
        options_of(RenderOptions, without=("rename",)),
        click.pass_context,
    )[::-1]:
        command = decorator(command)
    return command


@click.command(
    cls=RowsCommand,
    epilog="""\
palikit data check cells/
palikit data check cells/ --model google/paligemma2-3b-pt-448 --max-text-tokens 256
palikit data check coco/ --task detect --json > report.json
palikit data check cells/ --fix clean/""",
)
@click.option(
    "--max-text-tokens",
    "--max-tokens",
    "max_text_tokens",
    type=click.IntRange(min=1),
    help="Most text tokens of a row, as of `palikit finetune`; by default what the model was "
    "trained with, or 512.",
)
@click.option("--fix", metavar="DST", help="Write a clean copy to this folder, as JSON lines.")
@click.option("--overwrite", is_flag=True, help="Write into a DST that is not empty.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON, with every problem.")
@click.option("--all", "show_all", is_flag=True, help=f"Every problem, not {_MOST} of a kind.")
@click.option("--quiet", is_flag=True, help="No progress.")
@_data_options
def check(
    ctx: click.Context,
    source: str,
    source_format: Format,
    split: str | None,
    model: str | None,
    max_text_tokens: int | None,
    fix: str | None,
    *,
    overwrite: bool,
    as_json: bool,
    show_all: bool,
    quiet: bool,
) -> None:
    """Find everything wrong with a data set.

    DIR is a folder or file in any of the formats of --format; every picture is decoded. The exit
    code is 1 where there are errors: what would make training, or its scores, wrong.

    --fix cuts boxes, removes what repeats or cannot be used, and takes pictures that two splits
    share out of train; it tells each change, reports on the copy, and leaves DIR as it is.
    """
    from palikit.cli.data_model import open_data_model
    from palikit.data.check import check_rows
    from palikit.data.fix import check_destination

    render = read_options(ctx, RenderOptions)
    if fix is not None:
        check_destination(Path(fix), Path(source), overwrite=overwrite)
        render = replace(render, clip=True)
    parts = open_data_model(model, read_options(ctx, LoadOptions))
    found = _read(source, source_format, split, render, parts)
    pictures = _decode(found.rows, is_quiet=quiet)
    most = None if show_all else _MOST
    changes: tuple[Problem, ...] = ()
    if fix is not None:
        found, changes = _write_clean(found, pictures, Path(fix))
    limit = parts.limit(max_text_tokens)
    report = check_rows(fix or source, found, pictures, limit, parts.encoder())
    if as_json:
        record = {**report.to_dict(), "changes": [asdict(each) for each in changes]}
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        _print(report, changes, most)
    ctx.exit(1 if report.errors else 0)


@click.command(
    cls=RowsCommand,
    epilog="""\
palikit data show cells/ --output cells.html
palikit data show cells/ --output cells.html --split train --number 60
palikit data show cells/ --output cells.html --model google/paligemma2-3b-pt-448
palikit data show coco/ --output coco.html --task detect --prompt-classes present""",
)
@click.option("--output", required=True, metavar="FILE", help="The page, such as page.html.")
@click.option(
    "--number",
    type=click.IntRange(min=1),
    default=24,
    show_default=True,
    help="Rows on the page, evenly spaced over all.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE where it exists.")
@_data_options
def show(
    ctx: click.Context,
    source: str,
    source_format: Format,
    split: str | None,
    model: str | None,
    output: str,
    number: int,
    *,
    overwrite: bool,
) -> None:
    """Write a page of rows as a model will see them.

    Each picture squeezed to the model's square beside what its suffix says, read back and drawn;
    the text in colours by role, with what the loss is taken over underlined. With --model or
    --tokenizer the bounds of tokens are shown. The page is one file that needs nothing else.
    """
    from palikit.cli.data_model import open_data_model
    from palikit.data.page import ModelView, write_examples
    from palikit.html_page import check_page_path

    check_page_path(Path(output), overwrite=overwrite)
    loading = read_options(ctx, LoadOptions)
    parts = open_data_model(model, loading)
    found = _read(source, source_format, split, read_options(ctx, RenderOptions), parts)
    view = ModelView(
        parts.image_size,
        parts.tokens_per_image,
        None if parts.tokenizer is None else parts.pieces,
        parts.decoder(loading.mask_edges),
    )
    write_examples(Path(output), source, found.rows, view, number=number, overwrite=overwrite)
    click.echo(f"wrote {output}")
    if left_out := sum(problem.is_error for problem in found.problems):
        are = "is" if left_out == 1 else "are"
        problems = counted(left_out, "problem")
        remark(f"{problems} of the data {are} not on it: palikit data check {source}")


def _read(
    source: str, source_format: Format, split: str | None, render: RenderOptions, parts: "DataModel"
) -> "Rows":
    from palikit.data.rows import read_rows

    encode = parts.encoder() if render.task == "segment" else None
    found = read_rows(source, split, render, encode, format=source_format)
    in_order = sorted(found.rows, key=lambda row: split_place(row.split))
    return replace(found, rows=tuple(in_order))


def _decode(rows: "Sequence[Row]", *, is_quiet: bool) -> "dict[Path, PictureFacts]":
    """Every picture read, which is what takes time."""
    from palikit.data.check import read_row_pictures

    total = len({path for row in rows for path in row.images})
    with progress_of(
        total, 0, is_quiet=is_quiet, writes_to_stdout=False, doing="reading pictures"
    ) as progress:
        return read_row_pictures(rows, progress.advance)


def _write_clean(
    found: "Rows", pictures: "dict[Path, PictureFacts]", target: Path
) -> "tuple[Rows, tuple[Problem, ...]]":
    """The rows of the copy, and all that has been changed, by reading or here."""
    from palikit.data.fix import fix_rows, write_fixed

    fixed = fix_rows(found.rows, pictures)
    for file in write_fixed(fixed.rows, target):
        remark(f"wrote {file}")
    read = (
        replace(each, kind=f"left out: {each.kind}") if each.is_error else each
        for each in found.problems
    )
    return replace(found, rows=fixed.rows, problems=()), (*read, *fixed.changes)


def _print(report: "Report", changes: "Sequence[Problem]", most: int | None) -> None:
    from palikit.data.check_report import grouped_lines, report_lines
    from palikit.data.check_tokens import ESTIMATE

    if changes:
        click.echo("changed:")
        for line in grouped_lines(changes, most):
            click.echo(visible(f"  {line}"))
        click.echo()
    for line in report_lines(report, most, ESTIMATE):
        click.echo(visible(line))
