"""`palikit ui`: a page in the browser to try a model by hand."""

import click

from palikit.cli.command import Command, model_name, names_of
from palikit.cli.options import options_of, read_options
from palikit.cli.server_start import PageOptions, model_option, run_server
from palikit.options import LoadOptions, ServeOptions


class _Ui(Command):
    """The command with sections of its own."""

    sections = (
        ("Who may ask, and where", ["host", "port", "share", "api_keys", "allowed_hosts"]),
        ("Bounds", [name for name in names_of(ServeOptions) if name.startswith("max_")]),
        ("Server", names_of(ServeOptions)),
        ("Loading the model", names_of(LoadOptions)),
    )


@click.command(
    cls=_Ui,
    epilog="""\
palikit ui
palikit ui --model google/paligemma2-3b-mix-448
palikit ui --model runs/cells/best --compare google/paligemma2-3b-mix-448
palikit ui --model mix-448-int8/ --host 0.0.0.0 --api-keys keys.txt""",
)
@model_option
@options_of(PageOptions)
@options_of(ServeOptions)
@options_of(LoadOptions)
@click.pass_context
def ui(ctx: click.Context, model: str | None) -> None:
    """Try a model in the browser: captions, questions, text, boxes and outlines.

    Only this machine can open the page, unless --host or --share say otherwise. The routes of
    `palikit serve` are there too.
    """
    run_server(
        model_name(model),
        read_options(ctx, ServeOptions),
        read_options(ctx, LoadOptions),
        read_options(ctx, PageOptions),
    )
