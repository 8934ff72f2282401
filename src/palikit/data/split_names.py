"""The names of splits: train, val, test and others, in the spellings that data sets have."""

import re
from collections.abc import Collection
from typing import TypeAlias

_SPLIT_OF_WORD = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_SPLIT_WORD = re.compile(
    rf"(?<![a-z])({'|'.join(sorted(_SPLIT_OF_WORD, key=len, reverse=True))})(?![a-z])"
)

_SPLITS_IN_ORDER = ("train", "val", "test")

_SPLIT_NAME = re.compile(r"\w(?:[\w .-]*\w)?")
"""What can name a split, which becomes the name of a file."""

Splits: TypeAlias = str | Collection[str | None] | None
"""Which splits are meant: one, or several, of which None stands for what is in no split; None alone
for all."""


def is_wanted(split: str | None, wanted: Splits) -> bool:
    """Whether a split, None for none, is among those that are meant."""
    if wanted is None or isinstance(wanted, str):
        return wanted in (None, split)
    return split in wanted


def split_place(name: str | None) -> int:
    """Where a split stands in a list of all: train, val, test, others; none is train."""
    known = name or "train"
    in_order = _SPLITS_IN_ORDER
    return in_order.index(known) if known in in_order else len(in_order)


def split_of(name: str) -> str | None:
    """The split that a file or folder name speaks of, as "train", "val" or "test"."""
    found = _SPLIT_WORD.findall(name.lower())
    return _SPLIT_OF_WORD[found[-1]] if found else None


def split_name(name: str | None) -> str | None:
    """A split's own name in the one spelling used here: valid and validation are val."""
    return None if not name else _SPLIT_OF_WORD.get(name.lower(), name)


def is_split_name(name: str) -> bool:
    """Whether a file can be called by a split: words, without anything that is part of a path."""
    return _SPLIT_NAME.fullmatch(name) is not None
