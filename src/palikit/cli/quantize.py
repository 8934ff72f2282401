"""`palikit quantize`: a model in fewer bits, once for all."""

from pathlib import Path
from typing import get_args

import click

from palikit.cli.command import Command, remark, warnings_as_remarks
from palikit.cli.destination import check_destination, check_tokenizer_file
from palikit.cli.options import options_of, read_options
from palikit.options import LoadOptions, QuantizedForm


@click.command(
    cls=Command,
    epilog="""\
palikit quantize google/paligemma2-3b-mix-448 --to int8 --output mix-448-int8/
palikit quantize nano --to int8 --output nano-int8/
palikit quantize runs/cells/best --to nf4 --output cells-nf4/""",
)
@click.argument("model")
@click.option(
    "--to",
    "form",
    type=click.Choice(get_args(QuantizedForm)),
    required=True,
    help="int8 is the fastest on a CPU and nearest to the floats; int4 takes least; nf4 is for "
    "other programs; fp8 is for recent GPUs.",
)
@click.option("--output", required=True, metavar="DIR", help="The folder to write.")
@click.option("--overwrite", is_flag=True, help="Replace the files of a checkpoint that is there.")
@options_of(LoadOptions, only=("revision", "adapter", "tokenizer"))
@click.pass_context
def quantize(
    ctx: click.Context, model: str, form: QuantizedForm, output: str, *, overwrite: bool
) -> None:
    """Hold the weights of a model in fewer bits.

    What is written loads as it lies, in a fraction of the memory. It is to be asked, not to be
    trained: `palikit finetune --method qlora` takes the float model and holds it in 4 bits itself.
    """
    options = read_options(ctx, LoadOptions)
    folder = Path(output)
    if output and not overwrite:
        check_destination(folder, ": choose another name, or --overwrite it")
    check_tokenizer_file(options)
    from palikit.checkpoints import find_tokenizer
    from palikit.checkpoints.layout import is_weight_file
    from palikit.quantizing import quantize_checkpoint

    with warnings_as_remarks():
        quantize_checkpoint(
            model,
            form,
            output,
            revision=options.revision,
            adapter=options.adapter,
            tokenizer=options.tokenizer,
            overwrite=overwrite,
        )
    nbytes = sum(file.stat().st_size for file in folder.iterdir() if is_weight_file(file.name))
    click.echo(f"wrote {output}: {nbytes / 2**20:,.0f} MiB in {form}")
    if find_tokenizer(folder) is None:
        remark(f"there is no tokenizer beside {output}: copy one there, or pass --tokenizer")
