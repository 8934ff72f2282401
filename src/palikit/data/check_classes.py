"""What can be wrong with the names of classes."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from palikit.data.records import Problem
from palikit.tasks_parsing import CONTROL_TOKEN

_WHERE = "class names"
_BETWEEN_WORDS = re.compile(r"[\s_-]+")


def class_problems(labels: Iterable[str]) -> Iterator[Problem]:
    """Names that cannot be asked for, and names that differ too little to be two classes."""
    names = list(dict.fromkeys(labels))
    for name in names:
        if fault := _fault(name):
            yield Problem(
                _WHERE,
                f"the class {name!r} {fault}: rename it",
                is_error=True,
                kind="class name that cannot be used",
            )
        elif "<" in name:
            yield Problem(
                _WHERE,
                f'the class {name!r} holds "<", which opens a token: see if it is meant',
                is_error=False,
                kind="suspicious class name",
            )
    yield from _clashes(names)


def _clashes(names: Iterable[str]) -> Iterator[Problem]:
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[_core(name)].append(name)
    for group in alike.values():
        if len(group) > 1:
            yield Problem(
                _WHERE,
                f"{', '.join(map(repr, group))} look like one class: give them one name, or names "
                "that a reader can tell apart",
                is_error=False,
                kind="class names that clash",
            )


def _core(name: str) -> str:
    """The name without case, white space and the plural's s."""
    return _BETWEEN_WORDS.sub("", name.casefold()).removesuffix("s")


def _fault(name: str) -> str:
    """Why a label cannot be written into a prompt and read back; empty where it can."""
    if not name.strip():
        return "is empty"
    if ";" in name:
        return 'holds ";", which stands between labels'
    if name != name.strip():
        return "begins or ends with white space"
    if "\n" in name or "\r" in name:
        return "holds a newline, which ends a prompt"
    return "holds a control token" if CONTROL_TOKEN.search(name) else ""
