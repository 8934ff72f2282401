"""Training examples: numbered, and each a pure function of its number and a seeded generator."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from palikit import tasks
from palikit.data.records import Annotation
from palikit.data.rows import Encode, Row, Rows
from palikit.errors import InputError
from palikit.pictures import load_picture
from palikit.processor import Query
from palikit.train_options import Augment
from palikit.training.augment import augmented
from palikit.training.sampling import BLOCK, generator_of, place_of


class Examples(Protocol):
    """Where training examples come from; called from several threads."""

    def __len__(self) -> int:
        """How many there are; a generator of any number of them may say 2**40."""

    def query(self, index: int, random: np.random.Generator) -> Query:
        """One example, with its suffix; the same for the same index and state of `random`."""

    @property
    def fingerprint(self) -> str:
        """A digest of what they hold, which a resumed run compares."""


class RowExamples:
    """The rows of a data set, their pictures opened when they are asked for.

    Args:
        rows: one or more.
        open_picture: from a file to an RGB picture.
        augment: how pictures with marked objects are changed.
        encode: the mask codec, where outlines are changed.

    Attributes:
        rows, open_picture, augment: as given.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        open_picture: Callable[[Path], Image.Image] = load_picture,
        *,
        augment: Augment = "none",
        encode: Encode | None = None,
    ) -> None:
        if not rows:
            raise InputError("there are no rows to train on: check what was given as data")
        self.rows = tuple(rows)
        self.open_picture, self.augment = open_picture, augment
        self._encode = encode

    def __len__(self) -> int:
        return len(self.rows)

    def query(self, index: int, random: np.random.Generator) -> Query:
        """The row with one of its suffixes, its objects shuffled where their order is random."""
        row = self.rows[index]
        suffix = row.suffixes[int(random.integers(len(row.suffixes)))]
        if row.order == "random":
            objects = suffix.split(tasks.SEPARATOR)
            suffix = tasks.SEPARATOR.join(objects[i] for i in random.permutation(len(objects)))
        try:
            pictures = tuple(self.open_picture(path) for path in row.images)
        except InputError as error:
            raise InputError(f"{row.where}: {error}") from None
        if self.augment != "none":
            picture, suffix = augmented(
                row, pictures[0], suffix, self.augment, random, self._encode
            )
            pictures = (picture, *pictures[1:])
        return Query(pictures, row.prefix, suffix)

    @property
    def fingerprint(self) -> str:
        """Of texts, and of names and sizes of the picture files; folders may move.

        Where pictures are turned, also of the exact objects, which texts are written anew from.
        """
        digest = hashlib.sha256()
        for row in self.rows:
            files = [(path.name, _size(path)) for path in row.images]
            line = json.dumps([files, row.prefix, row.suffixes, row.order])
            digest.update(line.encode())
            if self.augment != "none":
                digest.update(json.dumps(_exact(row.objects)).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Mixture:
    """Several data sets, each drawn with its weight; of any scale.

    Every data set is gone through in epochs of its own; the shares are exact over any 1000
    examples that begin at a multiple of 1000.
    """

    parts: tuple[tuple[Examples, float], ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.parts) <= BLOCK // 2:
            raise InputError(f"{len(self.parts)} data sets: expected 1 to {BLOCK // 2}")
        for examples, weight in self.parts:
            _check_examples(examples)
            if not 0 < weight < float("inf"):
                raise InputError(f"the weight of a data set is {weight}: it must be above 0")

    def __len__(self) -> int:
        return sum(len(examples) for examples, _ in self.parts)

    @property
    def fingerprint(self) -> str:
        """Of the data sets and their weights."""
        lines = [f"{examples.fingerprint} {weight!r}" for examples, weight in self.parts]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def as_examples(
    given: Examples | Mixture | Rows | Sequence[Row], augment: Augment
) -> Examples | Mixture:
    """What a training takes, of whatever it was given.

    Args:
        given: examples; or rows, which become `RowExamples`.
        augment: how the pictures of rows are changed.

    Raises:
        InputError: it is something else; the message says what is expected.
    """
    if isinstance(given, Mixture):
        return given
    rows = given.rows if isinstance(given, Rows) else given
    if isinstance(rows, list | tuple) and all(isinstance(each, Row) for each in rows):
        return RowExamples(rows, augment=augment)
    _check_examples(given)
    return given  # type: ignore[return-value]  # it was looked at


def _check_examples(given: object) -> None:
    if all(hasattr(given, name) for name in ("__len__", "query", "fingerprint")):
        return
    kind = type(given).__name__
    if isinstance(given, list | tuple) and given:
        kind += f" of {type(given[0]).__name__}"
    raise InputError(
        f"the examples are a {kind}: give rows (palikit.load_rows), palikit.RowExamples, or an "
        "object with __len__, query(index, random) and fingerprint, see palikit.Examples"
    )


def parts_of(source: Examples | Mixture) -> tuple[tuple[Examples, float], ...]:
    """The data sets with their weights; of one alone the weight means nothing."""
    return source.parts if isinstance(source, Mixture) else ((source, 1.0),)


def check_augment(source: Examples | Mixture, augment: Augment) -> None:
    """Refuse an option that the examples, which are made before it is read, do not follow.

    Raises:
        InputError: it is so.
    """
    for examples, _ in parts_of(source):
        made = examples.augment if isinstance(examples, RowExamples) else "none"
        if made != augment:
            raise InputError(
                f"augment is {augment!r} in the options and {made!r} in the examples: give "
                "RowExamples the same, or leave it out of both"
            )


def query_at(source: Examples | Mixture, position: int, seed: int) -> Query:
    """The example at a position of the run."""
    parts = parts_of(source)
    sizes = tuple(len(examples) for examples, _ in parts)
    place = place_of(position, sizes, tuple(weight for _, weight in parts), seed)
    return parts[place.part][0].query(place.index, generator_of(place, seed))


def _exact(objects: tuple[Annotation, ...] | None) -> list[object] | None:
    """Objects as plain values; a mask by its runs."""
    if objects is None:
        return None
    return [
        (
            each.label,
            [float(edge) for edge in each.box.to_list()],
            bool(each.crowd),
            None if each.mask is None else each.mask.counts,
        )
        for each in objects
    ]


def _size(path: Path) -> int:
    """Bytes of a file; -1 where there is none, which is told when it is opened."""
    try:
        return path.stat().st_size
    except OSError:
        return -1
