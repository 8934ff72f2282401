r"""The loss: cross entropy of the suffix and its <eos>, and of nothing else.

Only the rows of hidden states that predict a suffix token reach the head, a chunk of them at a
time, and a chunk's logits are turned into gradients before the next chunk is scored. So the logits
of a batch, 257 thousand a token, never exist at once, and are computed once: no other kind of
recomputation does without a third product with the table.

    text     <bos> what is it "\n" a cat <eos> .       . is padding
    row               predicts --> a
                                 a --> cat
                                   cat --> <eos>

Axes: B examples, T text tokens, R rows that predict a suffix token, C rows of a chunk, D hidden
size, V rows of the embedding table that take part.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from palikit.errors import InputError
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.train_options import LossOptions
from palikit.vocab import NUM_LOC, NUM_SEG

TABLE_BLOCK = 2**14
"""Rows of the table in one product: 150 MB of bfloat16 at the largest width."""


class TrainingModel(nn.Module):
    """A model whose forward is the loss: what is wrapped, sharded or compiled for training.

    Embedding, head and final norm are used outside of their modules' own forward. As they belong
    to this module, sharded weights are gathered before and for all of it.

    Attributes:
        model: the model itself.
        options: how the loss is made.
    """

    def __init__(self, model: PaliGemma, options: LossOptions) -> None:
        super().__init__()
        self.model = model
        self.options = options

    def forward(
        self, inputs: ModelInputs, image_embeds: Tensor | None = None, count: float | None = None
    ) -> Tensor:
        """See `suffix_loss`."""
        return suffix_loss(self.model, inputs, self.options, image_embeds=image_embeds, count=count)


def suffix_loss(
    model: PaliGemma,
    inputs: ModelInputs,
    options: LossOptions,
    *,
    image_embeds: Tensor | None = None,
    count: float | None = None,
) -> Tensor:
    """Cross entropy of the suffixes of a batch.

    The softmax runs over the ids below `image_token_index`, those the model can write; or over the
    whole table with `options.padding_rows`. Smoothing gives 1 - e to the right token and
    e / (V - 1) to each other id that can be written, in both cases, as big_vision does; PyTorch's
    own smoothing gives e / V to all, the right one included. The share of the right token is spread
    over its neighbours by `options.location_smoothing` where it tells a place.

    Args:
        model: any PaliGemma; gradients go to whatever in it requires them.
        inputs: a batch with suffixes.
        options: mean, smoothing, output cap.
        image_embeds: [U, I, D] from `encode_images`, where they are already at hand.
        count: what to divide the sum by, where this batch is one part of a larger one: its share
            of the larger one's loss is then returned. None for `loss_count` of this batch.

    Returns:
        float32[].

    Raises:
        InputError: no example has a suffix.
    """
    if not inputs.has_suffix:
        raise InputError(
            "a batch without a suffix has no loss: give at least one example a text to learn"
        )
    examples, places = predicting_rows(inputs).nonzero(as_tuple=True)  # [R], [R]
    targets = inputs.input_ids[examples, places + 1]
    weights = _shares(inputs, options, count)[examples]
    hidden = model.hidden_states(inputs, image_embeds)[examples, places]
    num_ids = model.config.image_token_index
    text = model.config.text_config
    table = model.language_model.embed_tokens.weight
    head = _Head(
        num_ids=num_ids,
        num_rows=text.vocab_size if options.padding_rows else num_ids,
        smoothing=options.label_smoothing,
        softcap=text.final_logit_softcapping if options.softcap else None,
        chunk_bytes=options.max_chunk_mib * 2**20,
        with_gradient=torch.is_grad_enabled(),
    )
    # Every vocabulary ends with location tokens, segmentation tokens and the image token.
    wanted = _Wanted.of(targets, num_ids - NUM_SEG - NUM_LOC, options.location_smoothing)
    loss: Tensor = _ChunkedLoss.apply(hidden, table, wanted, weights, head)  # type: ignore[no-untyped-call]
    return loss


def predicting_rows(inputs: ModelInputs) -> Tensor:
    """bool[B, T - 1]: the text tokens whose successor is of the suffix or its <eos>."""
    places = torch.arange(1, inputs.input_ids.shape[1], device=inputs.input_ids.device)
    return (places >= inputs.prefix_lengths[:, None]) & (places < inputs.lengths[:, None])


def loss_count(inputs: ModelInputs, options: LossOptions) -> int:
    """What the loss of this batch is a mean over: its examples, or the tokens of its suffixes.

    A batch cut into parts, for accumulation or among processes, has the loss of the whole one when
    every part is given the sum of these as `count` and the losses are added.
    """
    if options.mean == "example":
        return int(inputs.lengths.shape[0])
    return int((inputs.lengths - inputs.prefix_lengths).sum())


def _shares(inputs: ModelInputs, options: LossOptions, count: float | None) -> Tensor:
    """float32[B]: the share of each row of an example in the loss."""
    lengths = (inputs.lengths - inputs.prefix_lengths).float()
    if options.mean == "token":
        return torch.ones_like(lengths) / (lengths.sum() if count is None else count)
    return 1 / (lengths.clamp(min=1) * (len(lengths) if count is None else count))


@dataclass(frozen=True)
class _Wanted:
    """The tokens that are right in each row, W of them, and how much so: one and 1, but for places.

    Attributes:
        ids: int64[R, W]; where the share is 0, of any token.
        shares: float32[R, W], which sum to 1.
    """

    ids: Tensor
    shares: Tensor

    @classmethod
    def of(cls, targets: Tensor, first_location: int, spread: float) -> "_Wanted":
        """From int64[R] and the id of `<loc0000>`."""
        reach = math.ceil(3 * spread)
        offsets = torch.arange(-reach, reach + 1, device=targets.device)
        ids = targets[:, None] + offsets
        is_location = (ids >= first_location) & (ids < first_location + NUM_LOC)
        # Beyond three deviations lies 1 part in 400.
        bell = torch.exp(-0.5 * (offsets / max(spread, 1e-9)).square())
        shares = torch.where(is_location[:, reach, None], bell * is_location, offsets == 0).float()
        return cls(
            torch.where(shares > 0, ids, targets[:, None]), shares / shares.sum(1, keepdim=True)
        )

    def part(self, rows: slice) -> "_Wanted":
        """Those of some rows."""
        return _Wanted(self.ids[rows], self.shares[rows])


@dataclass(frozen=True)
class _Head:
    """How hidden states become a loss.

    Attributes:
        num_ids: ids that can be written, over which smoothing is spread.
        num_rows: rows of the table in the softmax, V.
    """

    num_ids: int
    num_rows: int
    smoothing: float
    softcap: float | None
    chunk_bytes: int
    with_gradient: bool

    def loss_and_gradient(self, scores: Tensor, wanted: _Wanted, weights: Tensor) -> Tensor:
        """The weighted loss of a chunk; its gradient is left in place of the scores.

        Args:
            scores: float32[C, V], before the cap; overwritten.
            wanted: of these C rows.
            weights: float32[C].

        Returns:
            float32[].
        """
        target, other = 1 - self.smoothing, self.smoothing / (self.num_ids - 1)
        if self.softcap is not None:
            scores.div_(self.softcap).tanh_().mul_(self.softcap)
        norm = scores.logsumexp(dim=1, keepdim=True)
        right = (scores.gather(1, wanted.ids) * wanted.shares).sum(dim=1, keepdim=True)
        losses = norm - (target - other) * right
        if other:
            losses -= other * scores[:, : self.num_ids].sum(dim=1, keepdim=True)
        if self.with_gradient:
            slope = None if self.softcap is None else 1 - (scores / self.softcap).square_()
            scores.sub_(norm).exp_()
            scores.scatter_add_(1, wanted.ids, (other - target) * wanted.shares)
            if other:
                scores[:, : self.num_ids] -= other
            scores.mul_(weights[:, None])
            if slope is not None:
                scores.mul_(slope)
        return (losses[:, 0] * weights).sum()


class _ChunkedLoss(torch.autograd.Function):
    """Loss and gradients in the forward pass, chunk by chunk; the backward pass hands them out.

    Nothing is gained by waiting: the head is the last of the forward and the first of the backward
    pass, so activations are all there when its gradients are made, one way or the other.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, table: Tensor, wanted: _Wanted, weights: Tensor, head: _Head
    ) -> Tensor:
        """Of hidden states [R, D] and a table [at least V, D]: the loss, float32[]."""
        needs_hidden, needs_table = (head.with_gradient and n for n in ctx.needs_input_grad[:2])
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_table = torch.zeros_like(table) if needs_table else None
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else table.dtype
        loss = hidden.new_zeros((), dtype=torch.float32)
        chunk = max(1, head.chunk_bytes // (4 * head.num_rows))
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(hidden), chunk):
                part = slice(start, start + chunk)
                states = hidden[part].to(dtype)
                scores = _scores(states, table[: head.num_rows])
                loss += head.loss_and_gradient(scores, wanted.part(part), weights[part])
                if grad_hidden is not None:
                    grad_hidden[part] = _hidden_gradient(scores, table, dtype)
                if grad_table is not None:
                    _add_table_gradient(grad_table, scores, states)
        ctx.gradients = (grad_hidden, grad_table)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients times that of the loss, in place: they are handed out once."""
        if ctx.gradients is None:
            raise RuntimeError("the loss keeps its gradients for one backward pass only")
        gradients, ctx.gradients = ctx.gradients, None
        return *(None if g is None else g.mul_(grad) for g in gradients), None, None, None


# The products with the table go block by block: a kernel may pack, and a dtype other than that of
# the table has to copy, what it multiplies, and a second table is what memory has no room for.


def _scores(states: Tensor, table: Tensor) -> Tensor:
    """[C, D] and [V, D] -> float32[C, V], of products in the dtype of the states."""
    scores = states.new_empty((len(states), len(table)), dtype=torch.float32)
    for start in range(0, len(table), TABLE_BLOCK):
        block = table[start : start + TABLE_BLOCK].to(states.dtype)
        scores[:, start : start + TABLE_BLOCK] = states @ block.T
    return scores


def _hidden_gradient(gradient: Tensor, table: Tensor, dtype: torch.dtype) -> Tensor:
    """float32[C, V] and [at least V, D] -> float32[C, D], of products in `dtype`."""
    total = gradient.new_zeros((len(gradient), table.shape[1]))
    for start in range(0, gradient.shape[1], TABLE_BLOCK):
        part = gradient[:, start : start + TABLE_BLOCK].to(dtype)
        total += part @ table[start : start + part.shape[1]].to(dtype)
    return total


def _add_table_gradient(total: Tensor, gradient: Tensor, states: Tensor) -> None:
    """Add a chunk's gradient, that of [V, D], to the table's."""
    for start in range(0, gradient.shape[1], TABLE_BLOCK):
        part = gradient[:, start : start + TABLE_BLOCK].to(states.dtype)
        total[start : start + part.shape[1]] += part.T @ states
