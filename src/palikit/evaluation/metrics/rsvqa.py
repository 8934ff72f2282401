"""Accuracy of RSVQA, questions about pictures from above, averaged over the types of question."""

from collections.abc import Sequence

from palikit.evaluation.metrics.exact import exact_match
from palikit.evaluation.metrics.questions import over_parts, part_means
from palikit.evaluation.metrics.score import Score
from palikit.evaluation.metrics.text import Answers

NUMERIC = ("count", "area")
"""Types whose answers are numbers, left out of the published figures ("non numeric")."""

LOW_RESOLUTION = ("comp", "presence", "rural_urban")
"""Types that are averaged for RSVQA-LR. big_vision also averages the first two, under the same
name, which is then what its log shows for LR."""

HIGH_RESOLUTION = ("comp", "presence")
"""Types that are averaged for RSVQA-HR."""


def rsvqa_accuracy(
    answers: Sequence[str],
    truths: Sequence[Answers],
    types: Sequence[str],
    *,
    averaged: Sequence[str] | None = None,
) -> Score:
    """The unweighted mean over question types of the share of answers that are right, in [0, 1].

    google-research/big_vision `evaluators/proj/paligemma/transfers/rsvqa.py`; an answer is right
    where it equals one of its truths letter for letter. syvlo/RSVQA names the two figures of its
    tables average accuracy (AA, this one over all types) and overall accuracy (OA).

    Args:
        answers: what was written.
        truths: for each the texts that are right.
        types: of each question: "comp", "presence", "rural_urban", "count", "area".
        averaged: types that the figure is the mean of, where they occur: `LOW_RESOLUTION` and
            `HIGH_RESOLUTION` give the published figures; without it all types.

    Returns:
        The figure; `parts` are the types, then "overall" (OA) over all questions, "overall_nonum"
        over those of types not in `NUMERIC`, where there are any.

    Raises:
        InputError: there is nothing to score, or nothing of a type that is averaged.
        ValueError: there are more answers than truths or types, or fewer.
    """
    exact = exact_match(answers, truths)
    kinds = [None if kind in NUMERIC else "overall_nonum" for kind in types]
    totals = (("overall", exact.value), *part_means(exact.per_example, kinds))
    score = over_parts(exact, types, of=averaged)
    return Score(score.value, score.interval, score.per_example, parts=(*score.parts, *totals))
