"""The position table on another grid."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palikit.checkpoints import resample_position_table
from palikit.errors import CheckpointError


def zoomed(table: np.ndarray, new: int) -> np.ndarray:
    """scipy.ndimage.zoom of order 1, from its definition: sample, interpolate, one axis a time."""
    old = round(len(table) ** 0.5)
    grid = table.reshape(old, old, -1).astype(np.float64)
    at = np.arange(new) * ((old - 1) / (new - 1) if new > 1 else 0)
    low = np.minimum(np.floor(at).astype(int), old - 1)
    high = np.minimum(low + 1, old - 1)
    part = at - low
    grid = grid[low] * (1 - part)[:, None, None] + grid[high] * part[:, None, None]
    grid = grid[:, low] * (1 - part)[None, :, None] + grid[:, high] * part[None, :, None]
    return grid.reshape(new * new, -1)


@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 99))
def test_resampling_is_align_corners_bilinear(old, new, seed) -> None:
    table = np.random.default_rng(seed).normal(size=(old * old, 3)).astype(np.float32)
    got = resample_position_table(torch.from_numpy(table), new)
    # A float32 position up to `old` is off by old * eps / 2; that share of a step between
    # neighbours, at most twice the largest value, is lost on each axis.
    rounding = 2 * (old + 2) * float(np.finfo(np.float32).eps) * float(np.abs(table).max())
    np.testing.assert_allclose(got.numpy(), zoomed(table, new), rtol=0, atol=rounding)


def test_the_same_side_returns_the_same_table() -> None:
    table = torch.randn(16, 5, dtype=torch.bfloat16)
    assert resample_position_table(table, 4) is table


def test_dtype_is_kept_and_corners_stay() -> None:
    table = torch.randn(16, 5, dtype=torch.bfloat16)
    got = resample_position_table(table, 7)
    assert got.dtype == torch.bfloat16
    for ours, theirs in ((0, 0), (6, 3), (42, 12), (48, 15)):
        assert torch.equal(got[ours], table[theirs])


def test_a_table_that_is_no_square_is_refused() -> None:
    with pytest.raises(CheckpointError, match="17 rows"):
        resample_position_table(torch.zeros(17, 2), 4)
