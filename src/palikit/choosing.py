"""Which token comes next: the likeliest, or a sample under temperature, top-k and top-p.

The likeliest is found where the logits are; a sample is drawn on the host, whose random numbers do
not depend on a device.

Axes: n rows, m ids to choose from.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from palikit.options import GenerationOptions

MIN_TEMPERATURE = 1e-6
"""Below it float32 can no longer tell the temperature from zero."""


class Chooser(Protocol):
    """A row of a batch, as far as it matters here.

    Attributes:
        options: its temperature, top-k and top-p.
        generator: as of `random_numbers`.
    """

    options: GenerationOptions
    generator: torch.Generator | None


def random_numbers(options: GenerationOptions) -> torch.Generator | None:
    """Those of one row, from its seed; None where no sample is drawn."""
    if options.temperature == 0:
        return None
    return torch.Generator().manual_seed(options.seed)


def choose(logits: Tensor, rows: Sequence[Chooser]) -> list[tuple[int, float]]:
    """For each row of float32[n, m] logits the index to take and its log-probability."""
    sampled = [place for place, row in enumerate(rows) if row.generator is not None]
    if not sampled:
        return likeliest(logits)
    chosen = likeliest(logits) if len(sampled) < len(rows) else [(0, 0.0)] * len(rows)
    here = logits[sampled].cpu()
    for place, each in zip(sampled, here, strict=True):
        index = pick(each, rows[place].options, rows[place].generator)
        chosen[place] = index, log_prob(each, index)
    return chosen


def likeliest(logits: Tensor) -> list[tuple[int, float]]:
    """The first of the largest of each row, and its log-probability: two numbers to bring over."""
    best = logits.argmax(dim=-1)
    chances = logits.gather(-1, best[:, None])[:, 0] - logits.logsumexp(dim=-1)
    # Both come in one copy, the log-probabilities as the whole numbers that their bits are: not
    # every device has float64, which would hold either.
    both = torch.stack((best.int(), chances.float().view(torch.int32))).cpu()
    return list(zip(both[0].tolist(), both[1].view(torch.float32).tolist(), strict=True))


def log_prob(logits: Tensor, index: int) -> float:
    """Log-probability of one of float32[n] logits."""
    return float(logits[index] - logits.logsumexp(dim=-1))


def pick(logits: Tensor, options: GenerationOptions, generator: torch.Generator | None) -> int:
    """The index to take next, of float32[n] logits: a sample; without a generator the largest."""
    if generator is None:
        return int(logits.argmax())
    return int(torch.multinomial(sampling_probabilities(logits, options), 1, generator=generator))


def sampling_probabilities(logits: Tensor, options: GenerationOptions) -> Tensor:
    """float32[n] logits to probabilities under temperature, then top-k, then top-p.

    Top-p keeps the likeliest ids up to and including the one with which their sum reaches p, and
    all ids as likely as that one (big_vision, predict_fns.py).
    """
    # Nothing overflows near zero: there the likeliest ids keep all of the probability.
    logits = (logits - logits.max()) / max(options.temperature, MIN_TEMPERATURE)
    if 0 < options.top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(options.top_k).values[-1], -torch.inf)
    if options.top_p < 1:
        ordered = logits.sort(descending=True).values
        reached = ordered.softmax(dim=-1).cumsum(dim=-1) >= options.top_p
        last = int(reached.int().argmax()) if bool(reached.any()) else len(logits) - 1
        logits = logits.masked_fill(logits < ordered[last], -torch.inf)
    return logits.softmax(dim=-1)
