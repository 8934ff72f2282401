"""Beam search as the published captioning transfers use it.

The best sum of log-probabilities wins, with no length normalisation (big_vision, predict_fns.py
`beam_decode`).

At each step every beam is first considered as ended; then the best continuations that do not end
become the new beams. The search ends when no beam can overtake the best ended text any more, for a
sum of log-probabilities only falls. Where a grammar leaves no beam a choice, they all take the
token it wants and none of them overtakes another; such tokens are fed together with the one before.

Axes: W beams, D hidden size, V ids that can be predicted.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from palikit.generation import (
    Generation,
    Row,
    Token,
    allocate_cache,
    free_token,
    logits_of,
    new_row,
    vocabulary_logits,
)
from palikit.grammar import ObjectGrammar
from palikit.model.cache import KVCache
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions


@dataclass
class Beam:
    """A text and the sum of its log-probabilities.

    Attributes:
        parent: the beam of the step before that it continues.
    """

    row: Row
    score: float
    parent: int = 0


@torch.inference_mode()
def beam_search(
    model: PaliGemma,
    inputs: ModelInputs,
    options: GenerationOptions,
    grammars: Sequence[ObjectGrammar | None] | None = None,
    image_embeds: Tensor | None = None,
) -> list[Generation]:
    """The best text of each row, with `options.num_beams` beams; arguments as of `Decoding`."""
    B = inputs.input_ids.shape[0]
    cache = allocate_cache(model, inputs, options.max_new_tokens)
    hidden = model.prefill(inputs, cache, image_embeds)
    results = []
    for b, grammar in enumerate(grammars or [None] * B):
        row = torch.tensor([b], device=hidden.device)
        start = Beam(new_row(model, options, grammar), 0.0)
        results.append(_search(model, cache.select(row), hidden[row], start, options.num_beams))
    return results


def _search(
    model: PaliGemma, cache: KVCache, hidden: Tensor, start: Beam, width: int
) -> Generation:
    """One row: `cache` and `hidden` [1, D] hold its prompt."""
    beams, best, eos = [start], None, start.row.eos_id
    while True:
        fed = len(beams[0].row.tokens)
        log_probs = torch.stack(
            [_log_probs(model, beam.row, h) for beam, h in zip(beams, hidden, strict=True)]
        )
        sums = torch.tensor([beam.score for beam in beams])[:, None] + log_probs
        ended = [_extend(model, beams, hidden, sums, log_probs, int(sums[:, eos].argmax()), eos)]
        sums[:, eos] = -torch.inf
        beams = [
            _extend(model, beams, hidden, sums, log_probs, *divmod(int(index), sums.shape[1]))
            for index in sums.flatten().topk(min(width, sums.numel())).indices
        ]
        # A steered beam that names an object again has ended before it.
        ended += [beam for beam in beams if beam.row.finish_reason == "repeat"]
        beams = [b for b in beams if b.row.finish_reason != "repeat" and b.score > -torch.inf]
        best = _better(best, ended)
        if not beams or (best is not None and best.score >= beams[0].score):
            break
        _accept_forced(beams)
        if beams[0].row.finish_reason is not None:  # all of them have reached the limit
            break
        cache = cache.select(torch.tensor([b.parent for b in beams], device=hidden.device))
        new = [[token.id for token in beam.row.tokens[fed:]] for beam in beams]
        hidden = model.decode_step(torch.tensor(new, device=hidden.device), cache)
    return (best or beams[0]).row.result()


def _accept_forced(beams: list[Beam]) -> None:
    """Take tokens for as long as no beam has a choice: beams stay equally long."""
    while all(_is_forced(beam.row) for beam in beams):
        for beam in beams:
            allowed = beam.row.allowed() or ()
            beam.row.accept(Token(allowed[0], 0.0, forced=True))


def _is_forced(row: Row) -> bool:
    allowed = row.allowed() if row.is_steered else None
    return row.finish_reason is None and allowed is not None and len(allowed) == 1


def _log_probs(model: PaliGemma, row: Row, hidden: Tensor) -> Tensor:
    """Of every next token float32[V], from a hidden state [D]; -inf outside a grammar."""
    allowed = row.allowed() if row.is_steered else None
    if allowed is None:
        return vocabulary_logits(model, hidden[None])[0].cpu().log_softmax(dim=-1)
    log_probs = torch.full((model.config.image_token_index,), -torch.inf)
    logits = logits_of(model, hidden, allowed).cpu()
    log_probs[torch.tensor(list(allowed))] = logits.log_softmax(dim=-1)
    return log_probs


def _extend(
    model: PaliGemma,
    beams: list[Beam],
    hidden: Tensor,
    sums: Tensor,
    log_probs: Tensor,
    parent: int,
    token: int,
) -> Beam:
    """A beam with one token more; `sums` and `log_probs` are [W, V]."""
    row = copy(beams[parent].row)
    row.tokens = list(row.tokens)
    score, log_prob = float(sums[parent, token]), float(log_probs[parent, token])
    allowed = row.allowed()
    if score == -torch.inf:
        pass  # impossible: never chosen, and not to be told to the grammar
    elif row.is_steered and allowed is not None:
        row.accept(Token(token, log_prob, forced=len(allowed) == 1))
    else:
        row.accept(free_token(model, hidden[parent], row, token, log_prob))
    return Beam(row, score, parent)


def _better(best: Beam | None, ended: list[Beam]) -> Beam | None:
    """The likeliest of the ended texts; the earlier one where two are equal."""
    for beam in ended:
        if beam.score > (best.score if best else -torch.inf):
            best = beam
    return best
