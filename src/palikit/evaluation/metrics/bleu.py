"""BLEU-1 to BLEU-4 of captions."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from palikit.evaluation.metrics.captions import References, caption_tokens
from palikit.evaluation.metrics.score import Floats, Score, bootstrap

ORDER = 4
"""Longest n-gram, in words."""

_TINY, _SMALL = 1e-15, 1e-9
"""Added to matches and to possible matches, so that nothing divides by zero."""


def bleu(
    answers: Sequence[str],
    references: Sequence[References],
    *,
    order: int = ORDER,
    tokenized: bool = False,
) -> Score:
    """BLEU over all captions, in [0, 1]; tables print it times 100.

    The original is `pycocoevalcap/bleu/bleu_scorer.py` (salaniz/pycocoevalcap 1.2, of
    tylin/coco-caption) as its `bleu.py` calls it: counts are summed over the captions; each match
    counts at most as often as in the reference that has it most; the reference length is that of
    the reference nearest in length, the shorter one of two; 1e-15 and 1e-9 keep divisions alive,
    so that no match gives a very small number and not zero.

    Args:
        answers: one caption an example.
        references: of each example; at least one.
        order: which BLEU is the value, 1 to 4.
        tokenized: the texts are PTB tokens joined by blanks already.

    Returns:
        The parts are BLEU-1 to BLEU-4; an example's value is its own BLEU, whose mean is not the
        value. The interval resamples captions and sums their counts.

    Raises:
        InputError: there are no captions, or one has no references.
        ValueError: there are not as many lists of references as captions, or no such order.
    """
    if order not in range(1, ORDER + 1):
        raise ValueError(f"BLEU-{order} is not known: 1 to {ORDER} are")
    texts, rights = caption_tokens(answers, references, tokenized=tokenized)
    statistics = np.array(
        [_statistics(text.split(), right) for text, right in zip(texts, rights, strict=True)],
        np.float64,
    )
    figures = _bleus(statistics.sum(axis=0, keepdims=True))[0]
    return Score(
        float(figures[order - 1]),
        bootstrap(statistics, lambda sums: _bleus(sums)[:, order - 1]),
        tuple(_bleus(statistics)[:, order - 1].tolist()),
        parts=tuple((f"BLEU-{n}", float(figure)) for n, figure in enumerate(figures, start=1)),
    )


def _statistics(words: list[str], references: list[str]) -> list[int]:
    """Length, reference length, then matches and n-grams of each order."""
    rights = [each.split() for each in references]
    nearest = min((abs(len(right) - len(words)), len(right)) for right in rights)[1]
    row = [len(words), nearest]
    for n in range(1, ORDER + 1):
        most: Counter[tuple[str, ...]] = Counter()
        for right in rights:
            most |= _grams(right, n)
        found = _grams(words, n)
        row += [(found & most).total(), found.total()]
    return row


def _grams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def _bleus(sums: Floats) -> Floats:
    """float64[S, 2 + 2 * ORDER] sums -> float64[S, ORDER] figures."""
    lengths, wanted = sums[:, 0], sums[:, 1]
    precisions = (sums[:, 2::2] + _TINY) / (sums[:, 3::2] + _SMALL)
    means = np.cumprod(precisions, axis=1) ** (1 / np.arange(1, ORDER + 1))
    ratio = (lengths + _TINY) / (wanted + _SMALL)
    penalty = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    return np.asarray(means * penalty[:, None], np.float64)
