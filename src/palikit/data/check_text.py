"""What can be wrong with the prefix and the suffixes of a row."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from palikit.data.check_suffix import (
    GRID,
    is_free_prompt,
    prompt_of,
    read_suffix,
    says_nothing_is_there,
    task_of,
)
from palikit.data.records import Problem
from palikit.data.rows import Row
from palikit.errors import InputError
from palikit.results import Detection, Detections, Segment, Segments
from palikit.tasks import Task, render
from palikit.tasks_parsing import CONTROL_TOKEN

ENDS_THE_TEXT = re.compile(r"<(?:image|bos|eos|pad|unk)>")
"""Tokens that have no place in a suffix, in which what spells a token is one."""

_SHOWN = 80
"""Characters of a text that a message shows."""


def text_errors(row: Row) -> Iterator[Problem]:
    """What is wrong with a row's texts so that training on them would be."""
    if problem := empty_suffix(row):
        yield problem
    yield from _prompt_errors(row)
    for suffix in dict.fromkeys(row.suffixes):
        if suffix.strip():
            yield from _suffix_errors(row, suffix)


def text_warnings(row: Row) -> Iterator[Problem]:
    """What in a row's texts is not as it should be."""
    yield from _prefix_warnings(row)
    yield from _free_prompt(row)
    for suffix in dict.fromkeys(row.suffixes):
        found = read_suffix(row, suffix)
        task = task_of(row, suffix)
        if found is None or found.problems or any(_strange_labels(task, found)):
            continue
        if normal_suffix(task, suffix, tuple(found)) != suffix:
            yield Problem(
                row.where,
                f"the suffix {shown(suffix)} is not in its usual spelling: separate objects by "
                "' ; '",
                is_error=False,
                kind="separator",
            )


def normal_suffix(task: Task, suffix: str, objects: Sequence[Detection | Segment]) -> str:
    """Objects read from a suffix by `read_suffix`, in their one spelling.

    What was not asked for is left out, unless the prompt asks in words of its own. A suffix with a
    label that could not be read back is returned as it is.
    """
    is_free = is_free_prompt(task, (each.label for each in objects))
    if is_free and task.name == "refer":
        task = replace(task, name="segment")  # what an expression means would have no label
    asked = tuple(each for each in objects if is_free or each.label in task.labels)
    of_boxes = task.name == "detect"
    result = (Detections if of_boxes else Segments)(asked, GRID, GRID)  # type: ignore[arg-type]
    try:
        return render(task, result)
    except InputError:
        return suffix


def empty_suffix(row: Row) -> Problem | None:
    """The problem of a row with nothing to learn, unless nothing is what its picture shows."""
    has_text = row.suffixes and all(suffix.strip() for suffix in row.suffixes)
    if has_text or says_nothing_is_there(row):
        return None
    return Problem(
        row.where,
        f"the suffix of {shown(row.prefix)} is empty: write what the model should answer, or say "
        'that nothing is there with "objects": []',
        is_error=True,
        kind="empty suffix",
    )


def shown(text: str) -> str:
    """A text in quotes, its middle left out where it is long."""
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 20]}...{text[-17:]}")


def _prompt_errors(row: Row) -> Iterator[Problem]:
    prompt = prompt_of(row)
    verb = prompt.strip().partition(" ")[0]
    if verb in ("detect", "segment") and task_of(row, "").name == "generate":
        yield Problem(
            row.where,
            f'the prefix {shown(prompt)} is no list of labels: write "{verb} a ; b"',
            is_error=True,
            kind="prompt that names no labels",
        )


def _prefix_warnings(row: Row) -> Iterator[Problem]:
    prompt = prompt_of(row)
    if token := CONTROL_TOKEN.search(prompt):
        yield Problem(
            row.where,
            f"the prefix holds {token[0]}, which a prompt spells as plain text: take it out",
            is_error=False,
            kind="control token in the prefix",
        )
    if prompt != prompt.rstrip("\r\n"):
        yield Problem(
            row.where,
            "the prefix ends in a newline, and the one that closes a prompt is added: take it out",
            is_error=False,
            kind="newline in the prefix",
        )
    task = task_of(row, "")
    if task.labels and task.prompt != prompt.strip():
        yield Problem(
            row.where,
            f"the prefix {shown(prompt)} is not in its usual spelling: write {shown(task.prompt)}",
            is_error=False,
            kind="separator",
        )


def _free_prompt(row: Row) -> Iterator[Problem]:
    """Such a prompt may be meant, or be a label that is spelled in another way."""
    for suffix in row.suffixes[:1]:
        task, found = task_of(row, suffix), read_suffix(row, suffix)
        labels = dict.fromkeys(each.label for each in found or ())
        if is_free_prompt(task, labels):
            yield Problem(
                row.where,
                f"the prefix {shown(row.prefix)} names none of the labels of its suffix "
                f"({shown(' ; '.join(labels))}) and is taken to ask for all of them in words of "
                "its own: if it is a label, correct one of the two",
                is_error=False,
                kind="prompt in words of its own",
            )


def _suffix_errors(row: Row, suffix: str) -> Iterator[Problem]:
    if token := ENDS_THE_TEXT.search(suffix):
        yield Problem(
            row.where,
            f"the suffix holds {token[0]}, which would be read as a token: take it out",
            is_error=True,
            kind="control token in the suffix",
        )
    found = read_suffix(row, suffix)
    if found is None:
        return
    for problem in found.problems:
        yield Problem(
            row.where,
            f"the suffix cannot be read back: {problem[:1].lower()}{problem[1:].rstrip('.')}; "
            "write objects as <loc....> x 4, a space and the label",
            is_error=True,
            kind="suffix that cannot be read back",
        )
    task = task_of(row, suffix)
    for label in _strange_labels(task, found):
        yield Problem(
            row.where,
            f"the suffix names {label!r} and the prompt asks for {shown(' ; '.join(task.labels))}: "
            "name it in the prompt, or leave the object out",
            is_error=True,
            kind="label that was not asked for",
        )


def _strange_labels(task: Task, found: Detections | Segments) -> dict[str, None]:
    """Labels that the prompt does not ask for, each once."""
    labels = dict.fromkeys(each.label for each in found)
    if is_free_prompt(task, labels):
        return {}
    return dict.fromkeys(label for label in labels if label not in task.labels)
