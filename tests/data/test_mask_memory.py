"""Outlines are held compactly: data sets have hundreds of thousands."""

import pickle
import tracemalloc
from copy import deepcopy

import numpy as np
import pytest

from palikit.masks import Mask

RUNS = (300, 100) * 1000
"""Numbers above 256, of which Python makes an object each."""


def test_a_run_takes_few_bytes() -> None:
    runs = np.array(RUNS)
    Mask(400, 1000, runs)
    tracemalloc.start()
    masks = [Mask(400, 1000, runs) for _ in range(50)]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / len(masks) / len(RUNS) < 5


def test_equal_outlines_are_equal_and_have_one_hash() -> None:
    one, same = Mask(400, 1000, RUNS), Mask(400, 1000, np.array(RUNS))
    other = Mask(1000, 400, RUNS)
    assert one == same
    assert {one, same} == {one}
    assert one != other
    assert one.counts == RUNS


@pytest.mark.parametrize("copied", [deepcopy, lambda mask: pickle.loads(pickle.dumps(mask))])
def test_copies_are_equal(copied) -> None:
    mask = Mask(400, 1000, RUNS)
    assert copied(mask) == mask


def test_runs_cannot_be_changed() -> None:
    mask = Mask(400, 1000, RUNS)
    with pytest.raises(ValueError, match="read-only"):
        mask.runs[0] = 1
    with pytest.raises(AttributeError):
        mask.width = 3  # type: ignore[misc]
