"""How often the right number was counted: TallyQA and CountBenchQA."""

from collections.abc import Sequence

from palikit.evaluation.metrics.questions import Parts, part_means
from palikit.evaluation.metrics.score import Score, mean_score

_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)

NUMERALS = {"none": "0", **{word: str(number) for number, word in enumerate(_WORDS.split())}}
"""Number words that are read, and what they stand for."""


def counting_accuracy(
    answers: Sequence[str], truths: Sequence[str], *, simple: Sequence[bool | None] | None = None
) -> Score:
    """The share of right counts, in [0, 1].

    google-research/big_vision `evaluators/proj/paligemma/transfers/tallyqa.py`, which it uses for
    CountBenchQA too. Quirk kept: after number words both sides must be equal letter for letter, so
    "3 " and "03" are not "3". Counts above 15 have a part of their own; that file cannot score
    them.

    Args:
        answers: what was written.
        truths: the counts as text.
        simple: whether the question is a simple one of TallyQA; None where nobody said.

    Returns:
        The figure; `invalid` counts answers that are neither number word nor digits; `parts` are
        "simple" and "complex" where known, and "count/3" for questions whose truth is 3.

    Raises:
        InputError: there is nothing to score.
        ValueError: there are more answers than truths, or fewer.
    """
    found, right = [to_numeral(each) for each in answers], [to_numeral(each) for each in truths]
    values = [float(one == other) for one, other in zip(found, right, strict=True)]
    parts = () if simple is None else _by_difficulty(values, simple)
    counts = sorted(part_means(values, right, prefix="count/"), key=lambda part: _order(part[0]))
    invalid = sum(not each.isdecimal() for each in found)
    return mean_score(values, invalid=invalid, parts=(*parts, *counts))


def to_numeral(text: str) -> str:
    """Digits for a number word up to twenty, in any case; every other text as it is."""
    return NUMERALS.get(text.lower(), text)


def _by_difficulty(values: Sequence[float], simple: Sequence[bool | None]) -> Parts:
    names = [None if each is None else "simple" if each else "complex" for each in simple]
    return tuple(sorted(part_means(values, names), reverse=True))


def _order(name: str) -> tuple[int, str]:
    """Counts by size rather than by letter."""
    return len(name), name
