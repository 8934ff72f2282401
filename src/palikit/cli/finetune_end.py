"""The end of `palikit finetune`: what came of the run, what comes next, and the Hub."""

import shlex
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

from palikit.cli.command import INTERRUPTED, remark
from palikit.cli.finetune_data import TrainingRows
from palikit.cli.finetune_options import FinetuneOptions
from palikit.cli.finetune_processes import Together
from palikit.data.options import DataTask
from palikit.errors import HubError
from palikit.options import LoadOptions

if TYPE_CHECKING:
    from palikit.training import RunResult

_COMMAND_OF: dict[DataTask, str] = {
    "detect": 'palikit detect photo.jpg "{labels}" --model {model}',
    "segment": 'palikit segment photo.jpg "{labels}" --model {model}',
    "caption": "palikit caption photo.jpg --model {model}",
    "vqa": 'palikit answer photo.jpg "{question}" --model {model}',
    "ocr": "palikit ocr photo.jpg --model {model}",
}


def tell_interrupted(ctx: click.Context, result: "RunResult", processes: Together) -> None:
    """Say how to go on, and end the program."""
    arguments = [each for each in sys.argv[1:] if each not in ("--resume", "--overwrite")]
    remark(
        f"interrupted after step {result.step}; go on with: "
        f"{processes.command([*arguments, '--resume'])}"
    )
    ctx.exit(INTERRUPTED)


def tell(result: "RunResult", rows: TrainingRows, options: FinetuneOptions) -> None:
    """What came of the run, and the command that comes next."""
    if result.ending == "early":
        remark(f"stopped after step {result.step}: validation got no better")
    if result.score is not None:
        name, value = result.score
        click.echo(f"best: {name} {value:.4g} after step {result.best_step}")
    prefix = rows.example.prefix
    command = _COMMAND_OF[rows.task].format(
        model=shlex.quote(str(result.best)),
        labels=prefix.partition(" ")[2],
        question=_question(prefix),
    )
    click.echo(f"use it: {command}{loading_words(options)}")


def loading_words(options: FinetuneOptions) -> str:
    """Options of loading that are no defaults and that the finished model does not know itself."""
    names = ["resize", "coordinates", "mask_edges"]
    if options.adapters is not None:
        names.append("image_size")
    defaults = {field.name: field.default for field in fields(LoadOptions)}
    values = {name: getattr(options.loading, name) for name in names}
    words = [
        f" --{name.replace('_', '-')} {shlex.quote(str(value))}"
        for name, value in values.items()
        if value != defaults[name]
    ]
    return "".join(words)


def push(best: Path, output: Path, repository: str) -> None:
    """Put the finished model on the Hub.

    Raises:
        HubError: it could not be; the run is not lost, and the message has the command that does
            it later.
    """
    from palikit.publishing import publish

    try:
        click.echo(f"pushed: {publish(best, repository)}")
    except HubError as error:
        again = ["palikit", "finetune", "--resume", "--output", str(output)]
        again += ["--push-to-hub", repository]
        raise HubError(f"{error}; push it later with: {shlex.join(again)}") from None


def _question(prefix: str) -> str:
    """The question in a prompt such as "answer en what is this?"."""
    words = prefix.split(" ", 2)
    return words[2] if words[0] == "answer" and len(words) == 3 else prefix
