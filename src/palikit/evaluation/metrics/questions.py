"""Answers beside the truths of their questions, and means over parts of a set of questions."""

from collections.abc import Iterable, Sequence

import numpy as np

from palikit.errors import InputError
from palikit.evaluation.metrics.score import Floats, Ints, Score, bootstrap, require_examples
from palikit.evaluation.metrics.text import Answers

Parts = tuple[tuple[str, float], ...]
"""Names of parts and their figures."""


def paired(answers: Sequence[str], truths: Sequence[Answers]) -> list[tuple[str, Answers]]:
    """Each answer with the texts that would be right for it.

    Raises:
        InputError: there are none, or a question has no truth, or one text where a list belongs.
        ValueError: there are more of the one than of the other.
    """
    pairs = list(zip(answers, truths, strict=True))
    require_examples(len(pairs))
    for place, (_, right) in enumerate(pairs):
        # A text is a sequence of texts too: its letters would each be taken for a right answer.
        if isinstance(right, str) or not right:
            raise InputError(
                f"question {place} has {right!r} for its right answers: give a list of one or more"
            )
    return pairs


def part_means(
    values: Sequence[float] | Floats, names: Sequence[str | None], *, prefix: str = ""
) -> Parts:
    """The mean of the examples of each name, in order of first appearance.

    Args:
        values: one for each example.
        names: the part each example belongs to; None belongs to none.
        prefix: put before each name.

    Raises:
        ValueError: there are more names than values, or fewer.
    """
    known, places = _numbered(names)
    sums = _sums(np.asarray(values, np.float64), places, len(known))
    totals = zip(known, sums.sum(axis=0).reshape(-1, 2).tolist(), strict=True)
    return tuple((prefix + name, above / below) for name, (above, below) in totals)


def over_parts(
    score: Score, names: Sequence[str | None], *, of: Iterable[str] | None = None
) -> Score:
    """The unweighted mean of the means of parts, each part counting alike however large it is.

    So are human and augmented questions of ChartQA put together, the three sets of POPE, the
    languages of xGQA, MaRVL and COCO-35L, and the question types of RSVQA.

    Args:
        score: whose figure is the mean of its `per_example`.
        names: the part each example belongs to; None belongs to none.
        of: parts that count where they occur; without it all of them.

    Returns:
        That mean, with an interval over examples of all parts together; the figure of every part
        comes before the parts that the score has already.

    Raises:
        InputError: no example is of a part that counts.
        ValueError: there are more names than examples, or fewer.
    """
    values = np.asarray(score.per_example, np.float64)
    parts = part_means(values, names)
    wanted = [name for name, _ in parts] if of is None else list(of)
    counted = [value for name, value in parts if name in wanted]
    if not counted:
        found = ", ".join(name for name, _ in parts) or "none"
        raise InputError(f"no example belongs to {', '.join(wanted) or 'a part'}; found: {found}")
    known, places = _numbered([name if name in wanted else None for name in names])
    return Score(
        sum(counted) / len(counted),
        bootstrap(_sums(values, places, len(known)), _mean_of_ratios),
        score.per_example,
        score.invalid,
        (*parts, *score.parts),
    )


def _mean_of_ratios(sums: Floats) -> Floats:
    """Over float64[S, 2K], sums and counts of K parts in turn."""
    figures: Floats = (sums[:, 0::2] / sums[:, 1::2]).mean(axis=1)
    return figures


def _numbered(names: Sequence[str | None]) -> tuple[list[str], Ints]:
    """The names that occur, and the number of each example's; -1 where it has none."""
    numbers: dict[str | None, int] = {}
    for name in names:
        if name is not None:
            numbers.setdefault(name, len(numbers))
    known = [name for name in numbers if name is not None]
    return known, np.array([numbers.get(name, -1) for name in names], np.int64)


def _sums(values: Floats, places: Ints, count: int) -> Floats:
    """float64[N, 2 * count]: what each example adds to the sum and to the size of its part."""
    if len(values) != len(places):
        raise ValueError(f"{len(values)} values, but names of parts for {len(places)}")
    table = np.zeros((len(values), count, 2))
    rows = np.flatnonzero(places >= 0)
    table[rows, places[rows], 0] = values[rows]
    table[rows, places[rows], 1] = 1
    return table.reshape(len(values), 2 * count)
