"""Models as files and as names: inspect, convert, models."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from palikit.cli.adapters import show_adapter
from palikit.cli.command import Command, remark
from palikit.cli.destination import check_destination, check_tokenizer_file, take_codec_along
from palikit.cli.options import options_of, read_options
from palikit.cli.tables import print_table
from palikit.errors import InputError
from palikit.options import LoadOptions, QuantizedForm

if TYPE_CHECKING:
    from palikit.checkpoints import Inspection
    from palikit.published import PublishedCheckpoint

_TOKENIZER_ADVICE = {
    "npz": "an .npz file holds none; copy tokenizer.json there, or pass --tokenizer to every verb",
    "transformers": "convert with --tokenizer tokenizer.json, or copy one there",
}

_WEIGHT_FILES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".msgpack", ".h5")
"""Endings of files of weights: a folder named so is never what was meant."""

_HELD_IN: dict[QuantizedForm, str] = {
    "int8": "products and table in 8 bits",
    "int4": "the decoder in 4 bits, the rest in 8",
    "nf4": "the decoder in 4 bits, the rest in floats; bitsandbytes",
    "fp8": "products in 8-bit floats, the table in 8 bits",
}

_FORMAT = click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="A table, or JSON.",
)


@click.command(
    cls=Command,
    epilog="""\
palikit inspect paligemma2-3b-mix-448/
palikit inspect pt_224.npz --format json
palikit inspect google/paligemma-3b-pt-224 --revision bfloat16
palikit inspect runs/cells/best
palikit inspect nano""",
)
@click.argument("model")
@_FORMAT
@options_of(LoadOptions, only=("revision",))
@click.pass_context
def inspect(ctx: click.Context, model: str, output_format: str) -> None:
    """Say what a checkpoint or an adapter is, and if it is whole.

    No weight of a checkpoint is read. The exit code is 1 where something is missing or damaged.
    """
    from palikit.checkpoints import inspect_model
    from palikit.checkpoints.layout import OnlyAnAdapterError

    revision = read_options(ctx, LoadOptions).revision
    try:
        found = inspect_model(model, revision)
    except OnlyAnAdapterError:
        show_adapter(model, revision, output_format)
        return
    if output_format == "json":
        click.echo(json.dumps(_inspection_record(found), indent=2))
    else:
        print_table(("", ""), _inspection_rows(found))
    for problem in found.problems:
        remark(f"incomplete: {problem}")
    ctx.exit(0 if found.complete else 1)


@click.command(
    cls=Command,
    epilog="""\
palikit convert pt_224.npz paligemma-pt-224/ --tokenizer tokenizer.json
palikit convert paligemma2-3b-mix-448/ mix-448.npz
palikit convert google/paligemma-3b-pt-224 pt-224-bf16/ --dtype bfloat16
palikit convert nano nano-for-transformers/""",
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option(
    "--to",
    "layout",
    type=click.Choice(["transformers", "npz"]),
    help="Layout to write; by default npz where DST ends so, else transformers.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@options_of(LoadOptions, only=("dtype", "revision", "tokenizer"))
@click.pass_context
def convert(
    ctx: click.Context,
    source: str,
    destination: str,
    layout: Literal["transformers", "npz"] | None,
    *,
    overwrite: bool,
) -> None:
    """Rewrite a checkpoint in another layout.

    DST is a folder in the layout of transformers, or one .npz file in that of the JAX release. A
    mask codec beside SRC goes along into a folder.
    """
    options = read_options(ctx, LoadOptions)
    target = Path(destination)
    if not overwrite:
        check_destination(target, ": choose another name, or --overwrite it")
    written = layout or ("npz" if target.suffix == ".npz" else "transformers")
    if written == "transformers" and target.suffix in _WEIGHT_FILES and not target.is_dir():
        raise InputError(
            f"{target} ends like a file of weights, and a checkpoint of transformers is a folder: "
            "give the name of one, or of an .npz file"
        )
    tokenizer = check_tokenizer_file(options)
    from palikit.checkpoints import convert_checkpoint, find_tokenizer, resolve
    from palikit.loading import mask_codec_in, pick_dtype

    path = resolve(source, options.revision)
    convert_checkpoint(
        path,
        target,
        to=written,
        dtype=pick_dtype(options.dtype),
        tokenizer_file=tokenizer,
        overwrite=overwrite,
    )
    if written == "transformers" and mask_codec_in([target]) is None:  # else it keeps its own
        take_codec_along(mask_codec_in([path if path.is_dir() else path.parent]), target)
    click.echo(f"wrote {destination}")
    if find_tokenizer(target) is None:
        remark(f"there is no tokenizer beside {destination}: {_TOKENIZER_ADVICE[written]}")


@click.command(
    cls=Command,
    epilog="""\
palikit models
palikit models --family paligemma2
palikit models --format json""",
)
@click.option(
    "--family",
    type=click.Choice(["paligemma", "paligemma2"], case_sensitive=False),
    help="Only this family.",
)
@_FORMAT
def models(family: str | None, output_format: str) -> None:
    """List the models that there are by name.

    nano is in the package: a demonstration, trained on drawn scenes. The others are the published
    checkpoints, fetched at first use. Of the kinds, pt is to be fine-tuned, mix is to be used, ft
    is tuned on one data set.
    """
    from palikit.published import PUBLISHED

    shown = [each for each in (*_built_in(), *PUBLISHED) if family in (None, _family_id(each))]
    if output_format == "json":
        click.echo(json.dumps([asdict(each) for each in shown], indent=2))
        return
    print_table(
        ("name", "family", "size", "kind", "pixels", "tokens", "tuned on", "revisions"),
        [_model_row(each) for each in shown],
    )


def _built_in() -> "tuple[PublishedCheckpoint, ...]":
    """The model in the package, as its config describes it; none where it was left out of it."""
    from palikit.config import size_name
    from palikit.config_json import config_from_json
    from palikit.published import (
        BUILT_IN,
        BUILT_IN_FOLDER,
        BUILT_IN_TEXT_LENGTH,
        PublishedCheckpoint,
    )

    file = BUILT_IN_FOLDER / "config.json"
    if not file.is_file():
        return ()
    config = config_from_json(json.loads(file.read_text(encoding="utf-8")))
    side = config.vision_config.image_size
    found = PublishedCheckpoint(
        BUILT_IN,
        config.family,
        size_name(config),
        "mix",
        side,
        BUILT_IN_TEXT_LENGTH,
        (),
        "",
        "drawn scenes",
    )
    return (found,)


def _family_id(checkpoint: "PublishedCheckpoint") -> str:
    return checkpoint.family.replace(" ", "").lower()


def _model_row(checkpoint: "PublishedCheckpoint") -> tuple[str, ...]:
    return (
        checkpoint.name,
        checkpoint.family,
        checkpoint.size,
        checkpoint.variant,
        str(checkpoint.image_size),
        str(checkpoint.text_length),
        checkpoint.task,
        ", ".join(f"{branch} ({dtype})" for branch, dtype in checkpoint.revisions)
        or "in the package",
    )


def _inspection_rows(found: "Inspection") -> list[tuple[str, ...]]:
    vision, text = found.config.vision_config, found.config.text_config
    return [
        ("model", f"{found.family} {found.size}"),
        ("variant", _variant(found)),
        ("complete", "yes" if found.complete else "no"),
        ("on this machine", "yes" if found.is_local else f"no, {_size(found.nbytes)} to fetch"),
        ("layout", found.format),
        *([("held in", f"{found.form}: {_HELD_IN[found.form]}")] if found.form else []),
        ("stored as", ", ".join(found.dtypes)),
        ("parameters", f"{found.parameter_count:,}"),
        ("pictures", f"{found.image_size} px, {vision.num_image_tokens} tokens each"),
        ("vision layers", f"{vision.num_hidden_layers} of width {vision.hidden_size}"),
        ("text layers", f"{text.num_hidden_layers} of width {text.hidden_size}"),
        ("vocabulary", f"{found.vocab_rows} rows"),
        ("weights", f"{_size(found.nbytes)} in {len(found.files)} file(s)"),
        ("memory to run", f"about {_size(found.memory_bytes)}"),
        ("path", str(found.path)),
    ]


def _variant(found: "Inspection") -> str:
    from palikit.published import BUILT_IN, BUILT_IN_FOLDER, BUILT_IN_LANGUAGES

    if found.path == BUILT_IN_FOLDER:
        return f"{BUILT_IN}, the built-in demonstration: drawn scenes, in {BUILT_IN_LANGUAGES}"
    if found.release is None:
        return "unknown: its name is not that of a release"
    tuned = f", tuned on {found.release.task}" if found.release.task else ""
    return f"{found.release.variant}{tuned}, by its name {found.release.name}"


def _inspection_record(found: "Inspection") -> dict[str, Any]:
    return {
        "path": str(found.path),
        "complete": found.complete,
        "is_local": found.is_local,
        "problems": list(found.problems),
        "format": found.format,
        "family": found.family,
        "size": found.size,
        "variant": found.release.variant if found.release else None,
        "image_size": found.image_size,
        "dtypes": list(found.dtypes),
        "quantized": found.form,
        "parameter_count": found.parameter_count,
        "vocab_rows": found.vocab_rows,
        "nbytes": found.nbytes,
        "memory_bytes": found.memory_bytes,
        "files": [asdict(file) for file in found.files],
        "config": asdict(found.config),
    }


def _size(nbytes: int) -> str:
    mib = nbytes / 2**20
    return f"{mib / 2**10:.1f} GiB" if mib >= 2**10 else f"{mib:.1f} MiB"
