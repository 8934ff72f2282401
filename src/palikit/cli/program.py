"""The group of all commands, and what `palikit` alone prints."""

import click

from palikit.cli.adapters import merge
from palikit.cli.command import Program
from palikit.cli.data import data
from palikit.cli.environment import env, palikit_version
from palikit.cli.finetune import finetune
from palikit.cli.models import convert, inspect, models
from palikit.cli.recipes import recipes
from palikit.cli.verbs import VERBS

_START = """\
PaliKit asks PaliGemma and PaliGemma 2 about pictures. Five things to begin with:

  palikit caption photo.jpg --model google/paligemma2-3b-mix-448
      one sentence about a picture; the model is fetched at first use

  export PALIKIT_MODEL=google/paligemma2-3b-mix-448
  palikit answer photo.jpg "how many people are there?"
      a question; the variable stands for --model from here on

  palikit detect photo.jpg "cat ; dog" --save boxes.png
      boxes, printed and drawn

  palikit ocr scans/ --output texts.jsonl
      the text of every picture in a folder; run it again to go on after an interruption

  palikit models
      every published model by name

`palikit --help` lists all commands, `palikit help detect` the options of one."""

_EXAMPLES = """\
palikit caption photo.jpg --model google/paligemma2-3b-mix-448
palikit detect photo.jpg "cat ; dog" --save boxes.png
palikit inspect paligemma2-3b-mix-448/"""


def _show_version(ctx: click.Context, _parameter: click.Parameter, *values: bool) -> None:
    if any(values):
        click.echo(f"palikit {palikit_version()}")
        ctx.exit()


@click.group(
    cls=Program,
    epilog=_EXAMPLES,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Ask PaliGemma and PaliGemma 2 about pictures."""
    if ctx.invoked_subcommand is None:
        click.echo(_START)


for _command in (*VERBS, data, finetune, inspect, convert, merge, models, recipes, env):
    main.add_command(_command)
