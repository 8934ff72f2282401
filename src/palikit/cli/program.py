"""The group of all commands, and what `palikit` alone prints."""

import click

from palikit.cli.adapters import merge
from palikit.cli.batch import batch
from palikit.cli.benchmarks import benchmarks
from palikit.cli.command import Program
from palikit.cli.data import data
from palikit.cli.environment import env, palikit_version
from palikit.cli.evaluate import evaluate
from palikit.cli.finetune import finetune
from palikit.cli.models import convert, inspect, models
from palikit.cli.quantize import quantize
from palikit.cli.recipes import recipes
from palikit.cli.serve import serve
from palikit.cli.ui import ui
from palikit.cli.verbs import VERBS

_START = """\
PaliKit asks PaliGemma and PaliGemma 2 about pictures, and fine-tunes them. To begin with:

  palikit detect examples/scene.png "circle ; star" --save out.png
      boxes, printed and drawn, by nano: a small built-in model that knows drawn scenes only

  palikit caption photo.jpg --model google/paligemma2-3b-mix-448
      a released model, fetched at first use; PALIKIT_MODEL stands for --model from then on

  palikit ocr scans/ --output texts.jsonl
      the text of every picture in a folder; run it again to go on after an interruption

  palikit data check cells/
      what is wrong with labelled pictures: COCO, VOC, YOLO, CSV, JSON lines and others

  palikit finetune -m google/paligemma2-3b-pt-448 --data cells/ --recipe own-detect --output run
      a model of your own, measured, in run/best

`palikit --help` lists all commands, `palikit help detect` the options of one."""

_EXAMPLES = """\
palikit detect examples/scene.png "circle ; star" --save out.png
palikit caption photo.jpg --model google/paligemma2-3b-mix-448
palikit data check cells/
palikit finetune --model google/paligemma2-3b-pt-448 --data cells/ --output runs/cells \\
    --recipe own-detect"""

_SECTIONS = (
    ("Ask about pictures", (*VERBS, batch)),
    ("Train on your own", (data, finetune, recipes)),
    ("Measure", (evaluate, benchmarks)),
    ("Serve others", (serve, ui)),
    ("Models", (models, inspect, convert, quantize, merge)),
    ("This machine", (env,)),
)

_WORDS_FOR = {
    "train tune fit fine-tune finetuning fine-tuning": "did you mean finetune?",
    "eval measure score validate val test": "did you mean evaluate?",
    "predict run infer inference": (
        "ask with caption, describe, answer, ocr, detect or segment, or send any prompt with "
        "generate"
    ),
    "vqa qa ask question": "did you mean answer?",
    "prompt complete": "did you mean generate?",
    "read text transcribe": "did you mean ocr?",
    "mask masks": "did you mean segment?",
    "find locate boxes": "did you mean detect?",
    "check validate-data": "did you mean data check?",
    "dataset datasets": "did you mean data?",
    "list ls": "did you mean models?",
    "info show": "did you mean inspect, or data show?",
    "export save": "did you mean convert?",
    "quantise compress int8 int4 nf4 fp8": "did you mean quantize?",
    "version": "did you mean palikit --version?",
}
"""Words of other programs, blanks between them, and what is called so here."""


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
    """Ask PaliGemma and PaliGemma 2 about pictures, and train them on your own."""
    if ctx.invoked_subcommand is None:
        click.echo(_START)


main.words_for = {word: said for words, said in _WORDS_FOR.items() for word in words.split()}
for _title, _commands in _SECTIONS:
    main.add_section(_title, _commands)
