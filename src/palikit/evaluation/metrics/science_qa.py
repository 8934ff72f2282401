"""The letter of the option that an answer to ScienceQA names."""

import re
from collections.abc import Sequence

from palikit.errors import InputError
from palikit.evaluation.metrics.score import Score, mean_score

_ANSWER = re.compile(r"the answer is ([a-z])\.")


def letter_accuracy(answers: Sequence[str], truths: Sequence[str]) -> Score:
    """The share of answers that name the right option, in [0, 1].

    google-research/big_vision `evaluators/proj/paligemma/transfers/science_qa.py`: the answer must
    begin with "The answer is A.", in any case; what follows is ignored, and an answer that does not
    begin so is wrong. lupantech/ScienceQA `models/run_gpt3.py` looks for the sentence anywhere,
    wants it exactly once, and takes an option at random where it fails; that is not done here.

    Args:
        answers: what was written.
        truths: the letter of the right option, alone or in that sentence.

    Returns:
        The figure; `invalid` counts answers without a letter.

    Raises:
        InputError: there is nothing to score, or a truth names no letter.
        ValueError: there are more answers than truths, or fewer.
    """
    letters = [read_letter(each) for each in answers]
    right = [_true_letter(each) for each in truths]
    values = [float(one == other) for one, other in zip(letters, right, strict=True)]
    return mean_score(values, invalid=letters.count(None))


def read_letter(answer: str) -> str | None:
    """The letter an answer names, a capital; None where it does not begin with the sentence."""
    match = _ANSWER.match(answer.lower())
    return match[1].upper() if match else None


def _true_letter(truth: str) -> str:
    letter = read_letter(truth) or truth.upper()
    if not re.fullmatch("[A-Z]", letter):
        raise InputError(f"the right answer {truth!r} names no option: give a letter, such as A")
    return letter
