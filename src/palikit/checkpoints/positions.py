"""Position tables for another picture size."""

import math

import torch.nn.functional as F
from torch import Tensor

from palikit.errors import CheckpointError


def resample_position_table(table: Tensor, new_side: int) -> Tensor:
    """The position table of another grid: bilinear, first and last rows staying in place.

    The same as big_vision's `scipy.ndimage.zoom` of order 1: output i lies at
    i * (old - 1) / (new - 1) of the old grid.

    Args:
        table: float[N, D], N a square number, rows in raster order.
        new_side: patches on a side of the new grid, 1 or more.

    Returns:
        float[new_side ** 2, D] in the table's dtype, interpolated in float32; the table itself
        when the side stays.

    Raises:
        CheckpointError: N is not a square number.
    """
    count, width = table.shape
    side = math.isqrt(count)
    if side * side != count:
        raise CheckpointError(f"the position table has {count} rows, which is not a square number")
    if new_side == side:
        return table
    grid = table.float().reshape(1, side, side, width).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (new_side, new_side), mode="bilinear", align_corners=True)
    return grid.permute(0, 2, 3, 1).reshape(new_side**2, width).to(table.dtype)
