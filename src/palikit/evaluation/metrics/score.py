"""What a metric returns: the figure, how sure it is, and what each example gave to it.

Intervals are percentile bootstraps over the examples: how far the figure would move were another
set of this size drawn from the same source. They say nothing of another training run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from palikit.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SAMPLES = 1000
"""Bootstrap samples."""

LEVEL = 0.95
"""Share of the samples inside the interval."""


@dataclass(frozen=True)
class Score:
    """One figure of a metric over a set of examples.

    Attributes:
        value: in the metric's own unit, which its function names.
        interval: of 95 % of the bootstrap samples, in that unit.
        per_example: one value for each example, in the order given; for a figure that is not
            their mean (a corpus metric) what the example alone would score.
        invalid: answers that could not be read as what was asked for; they count as wrong.
        parts: figures of the same kind over parts of the set, such as one question type.
    """

    value: float
    interval: tuple[float, float]
    per_example: tuple[float, ...]
    invalid: int = 0
    parts: tuple[tuple[str, float], ...] = ()

    def part(self, name: str) -> float:
        """The figure of one part.

        Raises:
            KeyError: there is none of that name.
        """
        return dict(self.parts)[name]


def mean_score(
    values: Sequence[float] | Floats,
    *,
    invalid: int = 0,
    parts: tuple[tuple[str, float], ...] = (),
) -> Score:
    """The mean over the examples.

    Raises:
        InputError: there are none.
    """
    array = np.asarray(values, np.float64)
    return ratio_score(array, np.ones_like(array), per_example=array, invalid=invalid, parts=parts)


def ratio_score(
    numerators: Sequence[float] | Floats,
    denominators: Sequence[float] | Floats,
    *,
    per_example: Sequence[float] | Floats,
    invalid: int = 0,
    parts: tuple[tuple[str, float], ...] = (),
) -> Score:
    """The sum of one quantity over the sum of another, such as edits over characters.

    Raises:
        InputError: there are no examples, or the denominators sum to nothing.
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    require_examples(len(above))
    total = below.sum()
    if total <= 0:
        raise InputError("nothing to score: every reference is empty; give references with text")
    return Score(
        float(above.sum() / total),
        bootstrap(np.stack([above, below], axis=1), lambda sums: sums[:, 0] / sums[:, 1]),
        tuple(np.asarray(per_example, np.float64).tolist()),
        invalid,
        parts,
    )


def bootstrap(
    statistics: Floats,
    figure: Callable[[Floats], Floats],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of a figure that depends on sums over the examples alone.

    Args:
        statistics: float64[N, K], what each example adds to each of K sums.
        figure: float64[S, K] sums of S samples -> float64[S] figures; a sample whose figure is not
            a number (it drew nothing to divide by) is left out.
        samples: S in all.
        seed: of the draws.
    """
    count = len(statistics)
    generator = np.random.default_rng(seed)
    rows, sizes = np.unique(statistics, axis=0, return_counts=True)
    if len(rows) <= count // 8:
        # Few kinds of examples: how often each kind is drawn is one short multinomial.
        sums = generator.multinomial(count, sizes / count, size=samples) @ rows
    else:
        draws = (generator.integers(count, size=count) for _ in range(samples))
        # How often each example is drawn says as much as which were, and is one product.
        sums = np.stack([np.bincount(each, minlength=count) @ statistics for each in draws])
    with np.errstate(divide="ignore", invalid="ignore"):
        return interval_of(figure(sums))


def resampled(
    count: int,
    figure: Callable[[Ints], float],
    *,
    samples: int = 100,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of a figure that no sums give, such as average precision: `figure` of drawn places.

    Args:
        count: examples.
        figure: int64[count] places, drawn with repetition -> the figure of these examples.
        samples: how often; each costs one whole evaluation.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    draws = (generator.integers(count, size=count) for _ in range(samples))
    return interval_of(np.array([figure(places) for places in draws], np.float64))


def interval_of(figures: Floats) -> tuple[float, float]:
    """The middle 95 % of bootstrap figures; those that are not numbers are left out."""
    known = figures[np.isfinite(figures)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def require_examples(count: int) -> None:
    """Refuse an empty set.

    Raises:
        InputError: there are no examples.
    """
    if not count:
        raise InputError("there are no answers to score: give at least one")
