"""Finding what is wrong with a data set: everything, or quickly the first thing that matters."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from palikit.data.check_classes import class_problems
from palikit.data.check_codes import foreign_codes
from palikit.data.check_objects import box_errors, object_problems, objects_of
from palikit.data.check_pictures import PictureFacts, first_missing, read_pictures
from palikit.data.check_report import LabelFacts, Report, SplitFacts, Spread
from palikit.data.check_splits import (
    same_picture_other_text,
    shared_picture,
    split_of,
    split_problems,
)
from palikit.data.check_suffix import says_nothing_is_there, task_of
from palikit.data.check_text import text_errors, text_warnings
from palikit.data.check_tokens import (
    CountTokens,
    TokenLimit,
    lengths_of,
    token_counts,
    token_problem,
    too_long,
)
from palikit.data.findings import upright_size
from palikit.data.records import Annotation, Problem
from palikit.data.rows import Encode, Row, Rows
from palikit.errors import InputError

Pictures: TypeAlias = Mapping[Path, PictureFacts]

_NOTHING = "it names no picture: give a data set with at least one"

_Marked: TypeAlias = Sequence[tuple[Row, tuple[Annotation, ...]]]
"""Rows with their objects, which are read from the suffixes only once."""


def read_row_pictures(
    rows: Sequence[Row], on_each: Callable[[], None] = lambda: None
) -> dict[Path, PictureFacts]:
    """Every picture file of the rows, decoded; see `check_pictures.read_pictures`."""
    return read_pictures((path for row in rows for path in row.images), on_each)


def check_rows(
    source: str, found: Rows, pictures: Pictures, limit: TokenLimit, encode: Encode | None = None
) -> Report:
    """Everything that is wrong with a data set, and how it is made up.

    Args:
        source: what the report calls it.
        found: as `rows.read_rows` gives it, its problems included.
        pictures: of the rows, as `read_row_pictures` gives them.
        limit: of text tokens.
        encode: the mask codec of the model, where it has one.
    """
    rows = tuple(zip(found.rows, map(objects_of, found.rows), strict=True))
    counts = [token_counts(row, limit.count) for row in found.rows]
    problems = [*found.problems, *class_problems(_labels(found.classes, rows))]
    for row, number in zip(found.rows, counts, strict=True):
        problems += _row_problems(row, pictures)
        if (long := token_problem(row, number, limit)) is not None:
            problems.append(long)
    problems += split_problems(found.rows, pictures)
    problems += _unbalanced(rows)
    problems += _foreign(found.rows, encode)
    if not rows and not any(problem.is_error for problem in problems):
        problems.append(Problem(source, _NOTHING, is_error=True, kind="no rows"))
    numbers = [len(objects) for _, objects in rows]
    return Report(
        source,
        tuple(problems),
        tuple(_notes(found.rows)),
        tuple(_splits(rows)),
        tuple(_label_facts(rows)),
        Spread.of(numbers) if any(numbers) else None,
        lengths_of(counts, limit),
    )


def check_before_training(
    rows_by_split: Mapping[str, Sequence[Row]],
    count_tokens: CountTokens,
    limit: int,
    encode: Encode | None = None,
) -> None:
    """Refuse rows that would make training or its scores wrong; quick, as no picture is decoded.

    Args:
        rows_by_split: what is trained on and what it is measured on, by name.
        count_tokens: of a prefix and a suffix, with <bos>, newline and <eos>.
        limit: most text tokens of a row.
        encode: the mask codec of the model, where it has one.

    Raises:
        InputError: with the first such row, what is wrong with it and what to do: an empty suffix
            or one that cannot be read back, a label that was not asked for, a box beyond the
            picture, too many tokens, a picture that is missing or that two splits share, codes of
            another mask codec.
    """
    rows = [row for each in rows_by_split.values() for row in each]
    for problem in _fatal(rows, TokenLimit(limit, count_tokens)):
        raise InputError(str(problem))
    missing = first_missing(path for row in rows for path in row.images)
    if missing is not None:
        row = next(row for row in rows if missing in row.images)
        raise InputError(f"{row.where}: {_missing(missing)}")
    if (shared := shared_picture(rows_by_split)) is not None:
        raise InputError(str(shared))
    for each in rows_by_split.values():
        for problem in _foreign(each, encode):
            raise InputError(str(problem))


def _foreign(rows: Sequence[Row], encode: Encode | None) -> Iterator[Problem]:
    problem = None if encode is None else foreign_codes(rows, encode)
    if problem is not None:
        yield problem


def _fatal(rows: Sequence[Row], limit: TokenLimit) -> Iterator[Problem]:
    for row in rows:
        yield from text_errors(row)
        yield from box_errors(row, _measured(row))
    yield from too_long(rows, limit)


def _measured(row: Row) -> tuple[int, int] | None:
    """The size of a picture with boxes whose row does not state it."""
    if not row.objects or row.width is not None:
        return None
    try:
        return upright_size(row.images[0])
    except InputError:  # told with the pictures
        return None


def _row_problems(row: Row, pictures: Pictures) -> Iterator[Problem]:
    for path in row.images:
        facts = pictures.get(path)
        if facts is not None and facts.fault:
            what = _missing(path) if facts.is_missing else f"{facts.fault}; or leave the row out"
            kind = "missing picture" if facts.is_missing else "unreadable picture"
            yield Problem(row.where, what, is_error=True, kind=kind)
    yield from text_errors(row)
    yield from text_warnings(row)
    yield from object_problems(row, pictures.get(row.images[0]) if row.images else None)


def _missing(path: Path) -> str:
    return f"there is no picture {path}: put it there, or leave the row out"


def _labels(classes: Sequence[str], rows: _Marked) -> Iterator[str]:
    """Class names of the data set, of its objects and of its prompts."""
    yield from classes
    for row, objects in rows:
        yield from (each.label for each in objects)
        yield from (label for suffix in row.suffixes[:1] for label in task_of(row, suffix).labels)


def _splits(rows: _Marked) -> Iterator[SplitFacts]:
    for name in dict.fromkeys(split_of(row) for row, _ in rows):
        own = [(row, objects) for row, objects in rows if split_of(row) == name]
        yield SplitFacts(
            name,
            len(own),
            len({path for row, _ in own for path in row.images}),
            sum(len(objects) for _, objects in own),
            sum(says_nothing_is_there(row) for row, _ in own),
        )


def _label_facts(rows: _Marked) -> Iterator[LabelFacts]:
    number: Counter[str] = Counter()
    in_rows: Counter[str] = Counter()
    for _, objects in rows:
        labels = [each.label for each in objects]
        number.update(labels)
        in_rows.update(set(labels))
    yield from (LabelFacts(label, many, in_rows[label]) for label, many in number.most_common())


def _unbalanced(rows: _Marked) -> Iterator[Problem]:
    """Labels that are measured and never trained."""
    labels: dict[bool, dict[str, None]] = {True: {}, False: {}}
    for row, objects in rows:
        labels[split_of(row) == "train"].update(dict.fromkeys(each.label for each in objects))
    for label in labels[False]:
        if labels[True] and label not in labels[True]:
            yield Problem(
                "splits",
                f"the label {label!r} has no object in train and some in another split: a model "
                "cannot learn it from this",
                is_error=False,
                kind="label that is never trained",
            )


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    if number := same_picture_other_text(rows):
        yield (
            f"pictures in several rows with different texts: {number}; that is fine, each row is "
            "an example of its own"
        )
    if number := sum(says_nothing_is_there(row) for row in rows):
        yield f"rows that say, by an empty suffix, that nothing is there: {number}"
