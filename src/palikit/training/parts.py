"""What a process holds of a tensor: all of it, or its rows of one that is cut among processes.

Axes: rows are those of a tensor's first axis, along which all are cut.
"""

from typing import Any

from torch import Tensor

from palikit.model.sharded import is_cut


def own_part(tensor: Tensor) -> Tensor:
    """The rows of a tensor that this process holds, as a view; of one that is not cut, all."""
    found: Tensor = _cut(tensor).to_local() if is_cut(tensor) else tensor
    return found


def own_rows(tensor: Tensor) -> slice:
    """Which rows of a tensor this process holds."""
    if not is_cut(tensor):
        return slice(0, tensor.shape[0])
    mesh = _cut(tensor).device_mesh
    starts = row_starts(tensor.shape[0], mesh.size())
    rank = mesh.get_local_rank()
    return slice(starts[rank], starts[rank + 1])


def row_starts(rows: int, processes: int) -> list[int]:
    """The first row of each process, and the end of the last: equal shares, the last ones less."""
    share = -(-rows // processes)
    return [min(number * share, rows) for number in range(processes + 1)]


def cut_as(weight: Tensor, part: Tensor) -> Tensor:
    """The own rows of what has the shape of a weight, cut as the weight is.

    Args:
        weight: cut or not.
        part: the rows of it that this process holds, such as of a mean of gradients.
    """
    if not is_cut(weight):
        return part
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(
        part.to(weight.device),
        _cut(weight).device_mesh,
        _cut(weight).placements,
        shape=weight.shape,
        stride=weight.stride(),
    )


def _cut(tensor: Tensor) -> Any:
    """A tensor as the class that is not imported."""
    return tensor
