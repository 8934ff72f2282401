"""How far two ways to the same figures are apart."""

import math
from collections.abc import Iterable

import pytest

SIZES = [100, pytest.param(1_000, marks=pytest.mark.parity)]
"""Generated cases: a hundred at every run, a thousand beside the other comparisons."""


def apart(found: Iterable[float], expected: Iterable[float]) -> float:
    """The largest difference; infinity where one side is not a number and the other is."""
    return max((_apart(a, b) for a, b in zip(found, expected, strict=True)), default=0.0)


def _apart(a: float, b: float) -> float:
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    difference = abs(a - b)
    return math.inf if math.isnan(difference) else difference
