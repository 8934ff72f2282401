"""VQA accuracy: how many of the people asked gave the same answer."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from palikit.errors import InputError
from palikit.evaluation.metrics.questions import paired, part_means
from palikit.evaluation.metrics.score import Floats, Score, mean_score
from palikit.evaluation.metrics.text import Answers
from palikit.evaluation.metrics.vqa_text import normalised, tidied

ENOUGH = 3
"""People who must agree with an answer for it to be wholly right (Antol et al., 1505.00468)."""


def vqa_accuracy(
    answers: Sequence[str],
    truths: Sequence[Answers],
    *,
    answer_types: Sequence[str | None] | None = None,
    question_types: Sequence[str | None] | None = None,
) -> Score:
    """The official accuracy of VQAv2, used for TextVQA too; mean over questions, in [0, 1].

    GT-Vision-Lab/VQA `PythonEvaluationTools/vqaEvaluation/vqaEval.py` (which prints it times 100,
    with two digits), and google-research/big_vision
    `evaluators/proj/paligemma/transfers/vqav2.py`. Each of the people who answered is left out
    once; an answer then earns a third for each of the others who gave it, at most 1, and the mean
    of these is its accuracy: with ten people 0, .3, .6, .9 or 1.

    Quirks kept: answers are normalised only where the people disagree, so "Yes" is wrong where all
    wrote "yes"; the rules of `vqa_text.normalised` with their faults. Not kept: that script tells
    people apart by `answer_id`, and loses all equal answers of a file without one.

    Args:
        answers: what was written.
        truths: for each the answers of the people, two or more; ten in these benchmarks.
        answer_types: of each question, "yes/no", "number" or "other"; None where nobody said.
        question_types: of each question, its first words, such as "what color is the".

    Returns:
        The figure; `parts` are the answer types, and the question types with "question/" before
        them.

    Raises:
        InputError: there is nothing to score, or a question has fewer than two truths.
        ValueError: there are more answers than truths or types, or fewer.
    """
    clean, normal = cache(tidied), cache(normalised)
    counts = [_agreeing(*pair, clean, normal) for pair in paired(answers, truths)]
    agreeing, people = np.array(counts, np.float64).T
    values = _leave_one_out(agreeing, people)
    parts = () if answer_types is None else part_means(values, answer_types)
    if question_types is not None:
        parts += part_means(values, question_types, prefix="question/")
    return mean_score(values, parts=parts)


def soft_accuracy(
    answers: Sequence[str], truths: Sequence[Answers], *, ignore_case: bool = False
) -> Score:
    """A third for each person who gave the answer, at most 1; mean over questions, in [0, 1].

    google-research/big_vision `evaluators/proj/paligemma/transfers/vqa.py`, for OKVQA, A-OKVQA with
    direct answers (as allenai/aokvqa `evaluation/eval_predictions.py`) and VizWiz. Nobody is left
    out and nothing is normalised.

    Args:
        answers: what was written.
        truths: for each the answers of the people, equal ones as often as given. Fewer than three
            equal ones cannot make an answer wholly right: for a single truth take `exact_match`.
        ignore_case: lower both sides.

    Returns:
        The figure; the part "any" is big_vision's `acc_any`, the share of answers that at least one
        person gave.

    Raises:
        InputError: there is nothing to score, or a question has no truth.
        ValueError: there are more answers than truths, or fewer.
    """
    values = [
        answer_soft_accuracy(answer, right, ignore_case=ignore_case)
        for answer, right in paired(answers, truths)
    ]
    share = sum(each > 0 for each in values) / len(values)
    return mean_score(values, parts=(("any", share),))


def answer_soft_accuracy(answer: str, truths: Answers, *, ignore_case: bool = False) -> float:
    """What one answer adds to `soft_accuracy`, in [0, 1]."""
    if ignore_case:
        answer, truths = answer.lower(), [each.lower() for each in truths]
    return min(1.0, truths.count(answer) / ENOUGH)


def _agreeing(
    answer: str,
    truths: Answers,
    clean: Callable[[str], str],
    normal: Callable[[str], str],
) -> tuple[int, int]:
    """How many people gave this answer, and how many there are."""
    if len(truths) < 2:
        raise InputError(
            f"VQA accuracy compares people with each other, but a question has {len(truths)} "
            "answers: give two or more, or use exact match"
        )
    found, right = clean(answer), [clean(each) for each in truths]
    if len(set(right)) > 1:
        found, right = normal(found), [normal(each) for each in right]
    return right.count(found), len(right)


def _leave_one_out(agreeing: Floats, people: Floats) -> Floats:
    """Mean over the people of what the others give; an agreeing one leaves one agreement fewer."""
    without_one = np.minimum(1, np.maximum(agreeing - 1, 0) / ENOUGH)
    without_other = np.minimum(1, agreeing / ENOUGH)
    accuracy: Floats = (agreeing * without_one + (people - agreeing) * without_other) / people
    return accuracy
