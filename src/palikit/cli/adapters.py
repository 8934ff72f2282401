"""Adapters as files: merge, and inspect where it is asked about one."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from palikit.cli.command import Command, remark
from palikit.cli.destination import check_destination, check_tokenizer_file, take_codec_along
from palikit.cli.options import options_of, read_options
from palikit.cli.tables import print_table
from palikit.errors import InputError
from palikit.options import LoadOptions
from palikit.published import BUILT_IN

if TYPE_CHECKING:
    from palikit.adapters import AdaptedTower, AdapterInspection


@click.command(
    cls=Command,
    epilog="""\
palikit merge google/paligemma2-3b-pt-448 runs/cells/best merged/
palikit merge paligemma2-3b-pt-448/ owner/adapter merged/ --dtype float32""",
)
@click.argument("model")
@click.argument("adapter")
@click.argument("output")
@options_of(LoadOptions, only=("dtype", "revision", "tokenizer"))
@click.pass_context
def merge(ctx: click.Context, model: str, adapter: str, output: str) -> None:
    """Add a LoRA adapter into its model.

    OUTPUT is a folder that PaliKit and transformers load as any other model. It must not exist, or
    be empty.
    """
    options, folder = read_options(ctx, LoadOptions), Path(output)
    check_destination(folder, " and is not overwritten: choose another name")
    given = check_tokenizer_file(options)
    import torch

    from palikit.adapters import changes_nothing, find_source, merge_adapter
    from palikit.checkpoints import load_checkpoint, save_checkpoint
    from palikit.checkpoints.stored_form import require_float
    from palikit.loading import mask_codec_of, pick_dtype, tokenizer_of

    source = find_source(model, options.revision, adapter)
    if source.adapter is None:
        raise InputError(f"{adapter} is no adapter: give a folder with adapter_config.json")
    require_float(
        source.path,
        "merge into the float checkpoint it was made from, and quantise the merged model "
        "(palikit quantize)",
    )
    checkpoint = load_checkpoint(
        source.path, dtype=pick_dtype(options.dtype), device=torch.device("cpu")
    )
    merge_adapter(checkpoint.model, source.adapter)
    tokenizer = given or tokenizer_of(source)
    save_checkpoint(checkpoint.model, folder, tokenizer_file=tokenizer)
    take_codec_along(mask_codec_of(source), folder)
    layers = len(source.adapter.layers)
    click.echo(f"wrote {output}: {layers} layer{'' if layers == 1 else 's'} changed")
    if source.remark is not None:
        remark(source.remark)
    if changes_nothing(source.adapter):
        remark(f"{adapter} adds nothing: it was saved before it learned")
    if tokenizer is None:
        remark(f"there is no tokenizer beside {model}: copy tokenizer.json to {output}")


def show_adapter(name: str, revision: str | None, output_format: str) -> None:
    """What `palikit inspect` prints of an adapter; one on the Hub is fetched, for it is small."""
    from palikit.adapters import inspect_adapter
    from palikit.checkpoints import resolve

    found = inspect_adapter(resolve(name, revision))
    if output_format == "json":
        record = {"kind": "adapter", **asdict(found), "path": str(found.path)}
        click.echo(json.dumps(record, indent=2))
    else:
        print_table(("", ""), _rows(found))
    if found.changes_nothing:
        remark(f"{name} adds nothing: it was saved before it learned")


def _rows(found: "AdapterInspection") -> list[tuple[str, ...]]:
    rows = [
        ("adapter", _method(found)),
        ("base", _base(found)),
        *((f"adapts, {each.tower.replace('_', ' ')}", _layers(each)) for each in found.towers),
        ("trained whole", ", ".join(found.trained_whole)),
        ("parameters", f"{found.parameter_count:,}"),
        ("stored as", ", ".join(found.dtypes)),
        ("weights", f"{found.nbytes / 2**20:.1f} MiB"),
        ("tokenizer", "beside it" if found.has_tokenizer else "that of the base"),
        ("path", str(found.path)),
    ]
    return [row for row in rows if row[1]]


def _method(found: "AdapterInspection") -> str:
    ranks, alphas = (", ".join(f"{x:g}" for x in all_) for all_ in (found.ranks, found.alphas))
    dropout = f", dropout {found.dropout:g}" if found.dropout else ""
    return f"{found.method} of rank {ranks or '-'}, alpha {alphas or '-'}{dropout}"


def _base(found: "AdapterInspection") -> str:
    if found.base is None:
        return "not known: give it as --model, and this as --adapter"
    if found.base == BUILT_IN:
        return f"{BUILT_IN}, the built-in model"
    return f"{found.base}, revision {found.revision}" if found.revision else found.base


def _layers(tower: "AdaptedTower") -> str:
    names = ", ".join(name.removesuffix("_proj") for name in tower.layers)
    return f"{names}: {tower.count} layer{'' if tower.count == 1 else 's'}"
