"""The table of token embeddings, which is the output head too.

Axes: V rows of the table, D hidden size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TokenTable(nn.Embedding):
    """Float rows, one a token: looked up at the entrance, multiplied with at the exit.

    On the meta device no start is drawn.
    """

    def __init__(self, rows: int, width: int) -> None:
        super().__init__(rows, width, _weight=random_table(rows, width))

    def scores(self, hidden: Tensor) -> Tensor:
        """[..., D] -> float32[..., V], of a product in the dtype of the table."""
        return F.linear(hidden, self.weight).float()

    def scores_of(self, hidden: Tensor, ids: Tensor | slice) -> Tensor:
        """[..., D] -> float32[..., n]: those of int64[n] tokens, of a product in float32.

        A slice is a range of tokens, which costs no copy of their rows.
        """
        return F.linear(hidden.float(), self.weight[ids].float())


def embedding(rows: int, width: int) -> nn.Embedding:
    """As `nn.Embedding`, with a start from `random_table`."""
    return nn.Embedding(rows, width, _weight=random_table(rows, width))


def random_table(rows: int, width: int) -> Tensor:
    """Normal numbers, float32[rows, width]; on the meta device none are drawn.

    Drawing there imports PyTorch's compiler, which takes longer than to load a small model.
    """
    table = torch.empty(rows, width)
    return table if table.is_meta else table.normal_()
