"""Tables of embeddings that can be built where there is no memory."""

import torch
from torch import Tensor, nn


def embedding(rows: int, width: int) -> nn.Embedding:
    """As `nn.Embedding`, with a start from `random_table`."""
    return nn.Embedding(rows, width, _weight=random_table(rows, width))


def random_table(rows: int, width: int) -> Tensor:
    """Normal numbers, float32[rows, width]; on the meta device none are drawn.

    Drawing there imports PyTorch's compiler, which takes longer than to load a small model.
    """
    table = torch.empty(rows, width)
    return table if table.is_meta else table.normal_()
