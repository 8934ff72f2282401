"""Reading a row's own suffix back, as the answer of a model would be read."""

from collections.abc import Iterable

from palikit.data.rows import Row
from palikit.results import Detections, Segments
from palikit.tasks import Task, parse, task_from_prompt

GRID = 1023
"""On a picture of this side, in pixels, each location token stands on a whole pixel: what is read
from tokens and rendered again gives the same tokens."""


def prompt_of(row: Row) -> str:
    """The prefix without leading `<image>` markers, where there are as many as pictures."""
    prompt = row.prefix.removeprefix("<image>" * len(row.images))
    return row.prefix if prompt.startswith("<image>") else prompt


def task_of(row: Row, suffix: str) -> Task:
    """What the prefix asks for; a bare phrase that is answered with tokens is an expression."""
    prompt = prompt_of(row)
    task = task_from_prompt(prompt)
    is_phrase = task.name == "generate" and prompt.strip() not in ("", "detect", "segment")
    if not is_phrase or not suffix.lstrip().startswith("<loc"):
        return task
    return Task("refer" if "<seg" in suffix else "detect", prompt, (prompt.strip(),))


def is_free_prompt(task: Task, labels: Iterable[str]) -> bool:
    """Whether a prompt asks for every class in words of its own, as "detect all classes" does.

    A list of several labels is a list, whatever is answered.

    Args:
        task: of the prompt.
        labels: what is answered to it.
    """
    named = set(labels)
    return bool(named) and len(task.labels) == 1 and task.labels[0] not in named


def read_suffix(
    row: Row, suffix: str, width: int = GRID, height: int = GRID
) -> Detections | Segments | None:
    """The objects of a suffix, in pixels of a picture of this size; None where it names none."""
    result = parse(task_of(row, suffix), suffix, width, height)
    return result if isinstance(result, Detections | Segments) else None


def says_nothing_is_there(row: Row) -> bool:
    """Whether its suffix is empty and meant to be: its objects are known to be none, or crowds."""
    if row.objects is None or not all(each.crowd for each in row.objects):
        return False
    return bool(row.suffixes) and not any(map(str.strip, row.suffixes))
