"""Beam search as the published captioning transfers use it.

The best sum of log-probabilities wins, with no length normalisation (big_vision, predict_fns.py
`beam_decode`).

At each step every beam is first considered as ended; then the best continuations that do not end
become the new beams. The search ends when no beam can overtake the best ended text any more, for a
sum of log-probabilities only falls.

Axes: W beams, D hidden size, V ids that can be predicted.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from palikit.generation import Generation, Row, Token, allocate_cache, new_row
from palikit.grammar import ObjectGrammar
from palikit.model.cache import KVCache
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions


@dataclass
class Beam:
    """A text and the sum of its log-probabilities."""

    row: Row
    score: float


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
    beams, best = [start], None
    for _ in range(start.row.limit):
        scores, log_probs = _scores(model, beams, hidden)
        best = _best_ended(beams, scores, log_probs, best)
        scores[:, start.row.eos_id] = -torch.inf
        beams, parents = _continue(beams, scores, log_probs, width)
        if not beams or (best is not None and best.score >= beams[0].score):
            break
        token_ids = torch.tensor([[beam.row.tokens[-1].id] for beam in beams], device=hidden.device)
        cache = cache.select(torch.tensor(parents, device=hidden.device))
        hidden = model.decode_step(token_ids, cache)
    return (best or beams[0]).row.result()


def _scores(model: PaliGemma, beams: list[Beam], hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of log-probabilities of every continuation, and the last token's share: both [W, V]."""
    logits = model.language_model.logits(hidden)[:, : model.config.image_token_index].cpu()
    for beam, beam_logits in zip(beams, logits, strict=True):
        allowed = beam.row.allowed() if beam.row.is_steered else None
        if allowed is not None:
            outside = torch.ones_like(beam_logits, dtype=torch.bool)
            outside[torch.tensor(list(allowed))] = False
            beam_logits[outside] = -torch.inf
    log_probs = logits.log_softmax(dim=-1)
    sums = torch.tensor([beam.score for beam in beams])
    return sums[:, None] + log_probs, log_probs


def _best_ended(
    beams: list[Beam], scores: Tensor, log_probs: Tensor, best: Beam | None
) -> Beam | None:
    """The better of `best` and the best beam that would end here."""
    eos = beams[0].row.eos_id
    parent = int(scores[:, eos].argmax())
    score = float(scores[parent, eos])
    if score == -torch.inf or (best is not None and best.score >= score):
        return best
    return Beam(_extended(beams[parent].row, eos, float(log_probs[parent, eos])), score)


def _continue(
    beams: list[Beam], scores: Tensor, log_probs: Tensor, width: int
) -> tuple[list[Beam], list[int]]:
    """The best continuations, best first, and which beam each continues."""
    V = scores.shape[1]
    values, indices = scores.flatten().topk(min(width, scores.numel()))
    chosen = [
        (float(value), divmod(int(index), V))
        for value, index in zip(values, indices, strict=True)
        if value > -torch.inf
    ]
    extended = [
        Beam(_extended(beams[parent].row, token, float(log_probs[parent, token])), score)
        for score, (parent, token) in chosen
    ]
    return extended, [parent for _, (parent, _) in chosen]


def _extended(row: Row, token: int, log_prob: float) -> Row:
    """A copy of the row with one token more."""
    extended = copy(row)
    extended.tokens = list(row.tokens)
    allowed = row.allowed()
    if row.is_steered and allowed is not None:
        extended.accept(Token(token, log_prob, forced=len(allowed) == 1))
    else:
        extended.accept(Token(token, vocabulary_log_prob=log_prob))
    return extended
