"""Questions that are answered by yes or no, and pairs of questions of which both must be right."""

from collections.abc import Sequence

import numpy as np

from palikit.errors import InputError
from palikit.evaluation.metrics.score import Floats, Ints, Score, mean_score, require_examples
from palikit.evaluation.metrics.text import is_exact

_WORDS = ("yes", "no")


def yes_no_accuracy(answers: Sequence[str], truths: Sequence[str]) -> Score:
    """The share of answers that equal "yes" or "no" as their truth does, in [0, 1].

    google-research/big_vision `evaluators/proj/paligemma/transfers/pope.py`, the reading of POPE
    behind the published figures. Quirks kept: the answer alone is lowered, and nothing is stripped,
    so "yes." is wrong.

    Returns:
        The figure; `invalid` counts answers that are neither, and the part "valid" is the share of
        the others.

    Raises:
        InputError: there is nothing to score, or a truth is neither "yes" nor "no".
        ValueError: there are more answers than truths, or fewer.
    """
    _require_words(truths)
    lowered = [each.lower() for each in answers]
    values = [float(one == other) for one, other in zip(lowered, truths, strict=True)]
    invalid = sum(each not in _WORDS for each in lowered)
    valid = 1 - invalid / max(len(lowered), 1)
    return mean_score(values, invalid=invalid, parts=(("valid", valid),))


def pope_accuracy(answers: Sequence[str], truths: Sequence[str]) -> Score:
    """The share of answers that say what their truth says, in [0, 1].

    RUCAIBox/POPE `evaluate.py`; see `says_yes` for how an answer is read. Nothing is invalid there.
    Where that script would divide by nothing, the part is 0.

    Returns:
        The figure; `parts` are "precision", "recall" and "f1" of yes, and "yes_ratio", the share of
        answers read as yes.

    Raises:
        InputError: there is nothing to score, or a truth is neither "yes" nor "no".
        ValueError: there are more answers than truths, or fewer.
    """
    _require_words(truths)
    found = np.array([says_yes(each) for each in answers], bool)
    right = np.array([each == "yes" for each in truths], bool)
    if len(found) != len(right):
        raise ValueError(f"{len(found)} answers, but {len(right)} truths")
    hits, claimed, wanted = int((found & right).sum()), int(found.sum()), int(right.sum())
    parts = (
        ("precision", hits / max(claimed, 1)),
        ("recall", hits / max(wanted, 1)),
        # 2PR / (P + R), without its two divisions.
        ("f1", 2 * hits / max(claimed + wanted, 1)),
        ("yes_ratio", claimed / max(len(found), 1)),
    )
    return mean_score((found == right).astype(np.float64), parts=parts)


def says_yes(answer: str) -> bool:
    """Whether RUCAIBox/POPE reads an answer as yes: it does unless it finds a no.

    Quirks kept: only what stands before the first full stop is read; commas are dropped, so "no,I"
    is the word "noI"; words are divided by blanks alone, and "No", "no" and "not" are the ones that
    deny, so "NO", "No!" and an empty answer mean yes.
    """
    first = answer.partition(".")[0].replace(",", "")
    return not {"No", "no", "not"} & set(first.split(" "))


def pair_accuracy(
    answers: Sequence[str],
    truths: Sequence[str],
    *,
    pairs: Sequence[str] | None = None,
    ignore_case: bool = True,
) -> Score:
    """The share of pairs of questions of which both were answered right, in [0, 1].

    MMVP (Tong et al., 2401.06209; tsb0601/MMVP `scripts/gpt_grader.py`), where a language model
    judges each answer; here an answer is right where it equals its truth. The rule of the published
    figure of PaliGemma 2 is not public.

    Args:
        answers: what was written.
        truths: what is right.
        pairs: name of the pair each question is of; without it two questions that follow each other
            are a pair, as in MMVP's file.
        ignore_case: lower both sides.

    Returns:
        The figure; `per_example` has the value of its pair for each question, and the part
        "questions" is the share of single questions answered right.

    Raises:
        InputError: there is nothing to score, or a pair is not of two questions.
        ValueError: there are more answers than truths or names, or fewer.
    """
    right = np.array(
        [
            is_exact(answer, [truth], ignore_case=ignore_case, ignore_space=False)
            for answer, truth in zip(answers, truths, strict=True)
        ],
        np.float64,
    )
    require_examples(len(right))
    places = _pair_places(len(right), pairs)
    both: Floats = np.bincount(places, right) == 2
    score = mean_score(both.astype(np.float64))
    per_question = tuple(both[places].astype(float).tolist())
    parts = (("questions", float(right.mean())),)
    return Score(score.value, score.interval, per_question, parts=parts)


def _pair_places(count: int, pairs: Sequence[str] | None) -> Ints:
    """The number of each question's pair."""
    names = [str(place // 2) for place in range(count)] if pairs is None else pairs
    if len(names) != count:
        raise ValueError(f"{count} answers, but {len(names)} names of pairs")
    known, places, sizes = np.unique(names, return_inverse=True, return_counts=True)
    if (wrong := np.flatnonzero(sizes != 2)).size:
        raise InputError(
            f"pair {str(known[wrong[0]])!r} has {sizes[wrong[0]]} questions: give two to each pair"
        )
    return places


def _require_words(truths: Sequence[str]) -> None:
    for place, truth in enumerate(truths):
        if truth not in _WORDS:
            raise InputError(f"the right answer {place} is {truth!r}: it must be yes or no")
