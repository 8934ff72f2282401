"""Relaxed accuracy of ChartQA: numbers may be off by a twentieth."""

from collections.abc import Sequence

from palikit.evaluation.metrics.questions import over_parts, paired
from palikit.evaluation.metrics.score import Score, mean_score
from palikit.evaluation.metrics.text import Answers

TOLERANCE = 0.05
"""Largest error of a number, as a share of the true one (Masry et al., 2203.10244, section 5.1)."""


def relaxed_accuracy(
    answers: Sequence[str],
    truths: Sequence[Answers],
    *,
    subsets: Sequence[str] | None = None,
) -> Score:
    """The share of answers that are nearly right, in [0, 1].

    google-research/pix2struct `pix2struct/metrics.py`, and google-research/big_vision
    `evaluators/proj/paligemma/transfers/chartqa.py`, which agree. See `is_relaxed` for the rule.

    Args:
        answers: what was written.
        truths: for each the texts that are right; ChartQA has one.
        subsets: the set each question is of, "human" or "augmented" in ChartQA. The figure is then
            the unweighted mean over the sets, which is how ChartQA is published.

    Returns:
        The figure; `invalid` counts answers that are no number where every truth is one, and
        `parts` holds the figure of each of the subsets.

    Raises:
        InputError: there is nothing to score, or a question has no truth.
        ValueError: there are more answers than truths or subsets, or fewer.
    """
    pairs = paired(answers, truths)
    values = [float(any(is_relaxed(answer, each) for each in right)) for answer, right in pairs]
    score = mean_score(values, invalid=sum(_is_no_number(*pair) for pair in pairs))
    return score if subsets is None else over_parts(score, subsets)


def is_relaxed(answer: str, truth: str) -> bool:
    """Whether an answer is within `TOLERANCE` of a number, or equals a text.

    Quirks kept: a number is what Python's `float` reads, with a percent sign as hundredths, so "5%"
    is not "5" but "0.05"; "1,000" and "$5" are texts; where the truth is 0 or a text, both sides
    must be equal in lower case, so "0.0" is not "0"; "nan" and "inf" equal nothing.
    """
    found, right = _number(answer), _number(truth)
    if found is None or not right:
        return answer.lower() == truth.lower()
    return abs(found - right) / abs(right) <= TOLERANCE


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def _is_no_number(answer: str, truths: Answers) -> bool:
    return _number(answer) is None and all(_number(each) is not None for each in truths)
