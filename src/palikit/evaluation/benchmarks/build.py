"""How a row of the table is put together, from what it says and what its transfer's recipe says."""

from dataclasses import dataclass
from functools import partial

from palikit.errors import InputError
from palikit.evaluation.benchmarks.figures import published_scores
from palikit.evaluation.benchmarks.layouts.own import OWN_LAYOUT
from palikit.evaluation.benchmarks.layouts.source import Official
from palikit.evaluation.benchmarks.protocol import Protocol, read_examples
from palikit.evaluation.benchmarks.row import Benchmark, Change, Judge, SubmissionFormat, Unit
from palikit.published import PUBLISHED
from palikit.recipes import Recipe, recipe_named
from palikit.tasks import TaskName


@dataclass(frozen=True)
class Data:
    """Where the questions of a benchmark come from.

    Attributes:
        splits: as of `Benchmark`.
        read: the layout of the distributor.
        layout: what to fetch, from whom, under which terms, into which files.
        hub: as of `Benchmark`.
        change: what is done to every picture.
        frames, stride: of a video.
    """

    splits: tuple[str, ...]
    read: Official
    layout: str
    hub: str | None = None
    change: Change | None = None
    frames: int = 0
    stride: int = 1


@dataclass(frozen=True)
class Asked:
    """How a benchmark is asked: as the rows of its transfer, where nothing else is said.

    Attributes:
        recipe: the name of that transfer among `palikit.recipes`.
        prompt: in place of the recipe's; the empty text takes that.
        length: longest answer in tokens, in place of the recipe's; 0 takes that.
        task: how an answer is read.
        transfer: the transfer whose checkpoint is scored, where it is to another benchmark.
        beams: of the decoding, in place of the recipe's; 0 takes that.
    """

    recipe: str
    prompt: str = ""
    length: int = 0
    task: TaskName = "answer"
    transfer: str = ""
    beams: int = 0


@dataclass(frozen=True)
class Scored:
    """How answers become a figure; see `Benchmark`."""

    judge: Judge
    figure: str
    unit: Unit = "%"
    submission: SubmissionFormat | None = None
    higher_is_better: bool = True


def benchmark(
    name: str, title: str, family: str, data: Data, asked: Asked, scored: Scored, note: str = ""
) -> Benchmark:
    """A row of the table.

    Raises:
        InputError: neither the row nor its recipe says how long answers may be.
    """
    recipe = recipe_named(asked.recipe)
    length = asked.length or recipe.text_length
    if length is None:
        raise InputError(f"recipe {recipe.name} gives no length: benchmark {name} needs one")
    layout = f"{data.layout} {OWN_LAYOUT}"
    prompt = asked.prompt or recipe.prefix
    protocol = Protocol(
        title, data.splits, data.read, layout, prompt, data.frames, data.stride, data.change
    )
    return Benchmark(
        name=name,
        title=title,
        family=family,
        splits=data.splits,
        read=partial(read_examples, protocol),
        layout=layout,
        hub=data.hub,
        prompt=prompt,
        task=asked.task,
        max_new_tokens=length,
        beams=asked.beams or recipe.beams,
        score=scored.judge,
        figure=scored.figure,
        unit=scored.unit,
        published=published_scores(name),
        submission=scored.submission,
        training_needed=_needed(title, recipe, asked.transfer),
        note=note,
        higher_is_better=scored.higher_is_better,
    )


def checkpoint_of(transfer: str) -> str:
    """The smallest published checkpoint of a transfer; the empty text where none was published."""
    names = [each.name for each in PUBLISHED if f"-ft-{transfer}-" in each.name]
    return names[0] if names else ""


def _needed(title: str, recipe: Recipe, transfer: str) -> str:
    name = transfer or recipe.name
    checkpoint = checkpoint_of(name)
    example = f", such as {checkpoint}" if checkpoint else ", of which none is published"
    if transfer:
        return (
            f"The published figures are of checkpoints of the transfer {name}{example}; nothing "
            f"was trained on {title}. A pretrained checkpoint does not compare with them."
        )
    return (
        f"The published figures are of checkpoints fine-tuned on {title} (transfer {name})"
        f"{example}. A pretrained or mix checkpoint does not compare with them."
    )
