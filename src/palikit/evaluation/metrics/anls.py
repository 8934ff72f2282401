"""ANLS, the average normalised Levenshtein similarity of DocVQA, InfoVQA and ST-VQA."""

from collections.abc import Iterable, Sequence
from itertools import permutations

from palikit.evaluation.metrics.edits import edit_counter
from palikit.evaluation.metrics.questions import paired
from palikit.evaluation.metrics.score import Score, mean_score
from palikit.evaluation.metrics.text import Answers, folded

THRESHOLD = 0.5
"""Share of wrong letters from which on an answer earns nothing (Biten et al., 1905.13648)."""

SPANS = 8
"""Parts of an answer of which all orders are written out; a ninth would make 362,880 answers."""


def anls(
    answers: Sequence[str],
    truths: Sequence[Answers],
    *,
    threshold: float = THRESHOLD,
    inclusive: bool = False,
    ignore_case: bool = True,
    ignore_space: bool = False,
) -> Score:
    """Mean over questions of the similarity to the nearest truth, in [0, 1].

    Similarity is 1 - NL where NL, edits over the length of the longer text, is below the threshold,
    and 0 elsewhere. No official code is public, and what is public differs where NL is exactly the
    threshold. As it stands it is google-research/big_vision
    `evaluators/proj/paligemma/transfers/vqa.py`, which lowers both sides for these three
    benchmarks.

    Quirks kept: blanks at the ends count. An empty truth is met by an empty answer alone.

    Args:
        answers: what was written.
        truths: for each the texts that are right.
        threshold: of NL.
        inclusive: an NL equal to the threshold still earns its similarity, as in
            google-research/pix2struct `pix2struct/metrics.py`.
        ignore_case: lower both sides.
        ignore_space: join words by one blank and drop those at the ends, as the server of the
            Robust Reading Competition does.

    Raises:
        InputError: there is nothing to score, or a question has no truth.
        MissingExtraError: rapidfuzz is not installed.
        ValueError: there are more answers than truths, or fewer.
    """
    return mean_score(
        [
            answer_anls(
                answer,
                right,
                threshold=threshold,
                inclusive=inclusive,
                ignore_case=ignore_case,
                ignore_space=ignore_space,
            )
            for answer, right in paired(answers, truths)
        ]
    )


def answer_anls(
    answer: str,
    truths: Answers,
    *,
    threshold: float = THRESHOLD,
    inclusive: bool = False,
    ignore_case: bool = True,
    ignore_space: bool = False,
) -> float:
    """What one answer adds to `anls`, whose arguments and errors these are."""
    distance = edit_counter("compute ANLS")
    text = folded(answer, ignore_case=ignore_case, ignore_space=ignore_space)
    best = 0.0
    for truth in truths:
        right = folded(truth, ignore_case=ignore_case, ignore_space=ignore_space)
        share = distance(text, right) / max(len(text), len(right), 1)
        if share < threshold or (inclusive and share == threshold):
            best = max(best, 1 - share)
    return best


def infovqa_answers(answers: Iterable[str]) -> tuple[str, ...]:
    """Right answers of InfoVQA's validation set: every order of an answer that is a list.

    google-research/big_vision `datasets/infovqa` writes all permutations of the parts between
    ", ", because the order is not part of the answer there. An answer of more than `SPANS` parts
    keeps its one order here.

    Returns:
        Each text once, those of an answer beside each other.
    """
    orders: dict[str, None] = {}
    for answer in answers:
        spans = answer.split(", ")
        every = permutations(spans) if len(spans) <= SPANS else [tuple(spans)]
        orders.update(dict.fromkeys(", ".join(order) for order in every))
    return tuple(orders)
