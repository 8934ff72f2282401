"""The end of `palikit finetune`: what came of the run, what comes next, and the Hub."""

import re
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
from palikit.errors import HubError
from palikit.options import LoadOptions

if TYPE_CHECKING:
    from palikit.data.rows import Row
    from palikit.training import RunResult

_PHOTO = "photo.jpg"


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
    words = ["palikit", *asking_words(rows.example), "--model", str(result.best)]
    click.echo(f"use it: {' '.join(map(_quoted, words))}{loading_words(options)}")


def asking_words(row: "Row") -> list[str]:
    """The command that asks about a picture what a row asks, in the same words."""
    from palikit.data.check_suffix import prompt_of, task_of

    prompt = prompt_of(row).strip()
    task = task_of(row, next(iter(row.suffixes), ""))
    verb, _, rest = prompt.partition(" ")
    language, _, question = rest.partition(" ")
    spoken = [] if language == "en" else ["--language", language]
    if task.name == "refer":
        return ["segment", "--refer", _PHOTO, prompt]
    if task.name == verb and verb in ("detect", "segment"):
        return [verb, _PHOTO, rest]
    if task.name == verb and verb in ("caption", "describe"):
        return [verb, _PHOTO, *spoken]
    if task.name == verb == "answer":
        return [verb, _PHOTO, question, *spoken]
    if prompt == "ocr":
        return ["ocr", _PHOTO]
    return ["generate", _PHOTO, prompt]


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


def _quoted(word: str) -> str:
    """A word for any shell: in double quotes, which all of them know, where that is enough."""
    if re.search(r"[\"$`\\!]", word) or shlex.quote(word) == word:
        return shlex.quote(word)
    return f'"{word}"'
