"""Adapters as files: merge."""

import shutil
from pathlib import Path

import click

from palikit.cli.command import Command, remark
from palikit.cli.options import options_of, read_options
from palikit.errors import InputError
from palikit.options import LoadOptions


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
    if folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not overwritten: choose another name")
    if options.tokenizer is not None and not Path(options.tokenizer).is_file():
        raise InputError(f"no such file: {options.tokenizer}")
    import torch

    from palikit.adapters import changes_nothing, find_source, merge_adapter
    from palikit.checkpoints import load_checkpoint, save_checkpoint
    from palikit.loading import mask_codec_of, pick_dtype, tokenizer_of

    source = find_source(model, options.revision, adapter)
    if source.adapter is None:
        raise InputError(f"{adapter} is no adapter: give a folder with adapter_config.json")
    checkpoint = load_checkpoint(
        source.path, dtype=pick_dtype(options.dtype), device=torch.device("cpu")
    )
    merge_adapter(checkpoint.model, source.adapter)
    tokenizer = Path(options.tokenizer) if options.tokenizer else tokenizer_of(source)
    save_checkpoint(checkpoint.model, folder, tokenizer_file=tokenizer)
    if (codec := mask_codec_of(source)) is not None:
        shutil.copyfile(codec, folder / codec.name)
    layers = len(source.adapter.layers)
    click.echo(f"wrote {output}: {layers} layer{'' if layers == 1 else 's'} changed")
    if source.remark is not None:
        remark(source.remark)
    if changes_nothing(source.adapter):
        remark(f"{adapter} adds nothing: it was saved before it learned")
    if tokenizer is None:
        remark(f"there is no tokenizer beside {model}: copy tokenizer.json to {output}")
