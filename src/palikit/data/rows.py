"""What training and evaluation take: pictures, a prefix, suffixes; and how they are loaded.

A data set on disk is either such rows already (JSON lines, see `palikit.data.jsonl`) and is taken
as it is, or in one of the formats of `palikit.data.reading`, whose records are rendered to rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from palikit.data.records import Annotation, Problem
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.results import Box

if TYPE_CHECKING:
    from palikit.data.options import Format, RenderOptions
    from palikit.data.split_names import Splits

__all__ = ["Encode", "Order", "Problem", "Row", "Rows", "load_rows", "read_rows"]

Encode: TypeAlias = Callable[[Mask, Box], tuple[int, ...]]
"""An outline in the whole picture and its box in pixels -> 16 codes in 0 .. 127."""

Order: TypeAlias = Literal["fixed", "random"]


@dataclass(frozen=True, slots=True)
class Row:
    """One training or evaluation row.

    Attributes:
        images: absolute paths, one or more.
        prefix: the prompt, without the newline that closes it.
        suffixes: what may be answered, one or more: training draws one each time, evaluation
            compares with all. An empty text says that nothing is there.
        order: "random" where the objects of the suffix are shuffled each time.
        objects: the exact truth in pixels, where it is known; `()` is "nothing is there".
        width, height: of the first upright picture in pixels, where known.
        where: the place in the source, for messages: "train.jsonl, line 17".
        split: the split it belongs to, where known.
        id: the source's own name of it, where it has one.
    """

    images: tuple[Path, ...]
    prefix: str
    suffixes: tuple[str, ...]
    order: Order = "fixed"
    objects: tuple[Annotation, ...] | None = None
    width: int | None = None
    height: int | None = None
    where: str = ""
    split: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """A data set, or one split of it.

    Attributes:
        rows: in the order of the source.
        classes: class names of its objects, in the source's order.
        problems: what was found wrong or left out; none of them an error after `load_rows`.
    """

    rows: tuple[Row, ...]
    classes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def load_rows(
    source: str | Path,
    split: "Splits" = None,
    options: "RenderOptions | None" = None,
    encode: Encode | None = None,
    *,
    format: "Format" = "auto",  # noqa: A002 (the word users know it by)
) -> Rows:
    """The rows of a data set that is fit for training.

    Args:
        source: a folder or file in any format of `palikit.data.options.Format`.
        split: only this one, or these, of which None is what has no split; None for all. What is
            in the others is not looked at.
        options: how records become rows; the defaults of `RenderOptions` where None.
        encode: turns an outline into codes; needed for the task "segment".
        format: the format of `source`; "auto" recognises it.

    Raises:
        InputError: the source is not recognised, the split is not there, nothing is left, or a
            row would make training wrong; the message names the first such row.
        MissingExtraError: a format needs a package that is not installed.
    """
    found = read_rows(source, split, options, encode, format=format)
    for problem in found.problems:
        if problem.is_error:
            raise InputError(str(problem))
    if not found.rows:
        raise InputError(
            f"{source} has no rows to train on: of {len(found.problems)} left out the first is "
            f"{found.problems[0]}"
            if found.problems
            else f"{source} has no rows: expected at least one picture with what it shows"
        )
    return found


def read_rows(
    source: str | Path,
    split: "Splits" = None,
    options: "RenderOptions | None" = None,
    encode: Encode | None = None,
    *,
    format: "Format" = "auto",  # noqa: A002 (the word users know it by)
) -> Rows:
    """As `load_rows`, with everything wrong collected in `problems`; such rows are left out.

    Raises:
        InputError: the source as a whole cannot be read: not recognised, no such split.
        MissingExtraError: a format needs a package that is not installed.
    """
    from palikit.data.options import RenderOptions
    from palikit.data.reading import read_source
    from palikit.data.render import render_records

    options = options or RenderOptions()
    found = read_source(source, format, split, options)
    return found if isinstance(found, Rows) else render_records(found, options, encode)
