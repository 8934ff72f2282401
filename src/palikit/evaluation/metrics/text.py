"""Comparing texts by what every installation has: equality, error rates, similarity."""

from collections.abc import Sequence
from dataclasses import dataclass

from palikit.evaluation.metrics.edits import edit_distance

Answers = Sequence[str]
"""The texts that would all be right for one question; at least one."""


@dataclass(frozen=True)
class ErrorRate:
    """Edits over the length of what should have been written; above 1 where much was added.

    Attributes:
        errors: insertions, deletions and substitutions in all texts.
        length: characters or words of all references.
    """

    errors: int
    length: int

    @property
    def rate(self) -> float:
        """Errors a character or word; of empty references, the plain number of errors."""
        return self.errors / max(self.length, 1)


def is_exact(text: str, answers: Answers, *, ignore_case: bool, ignore_space: bool) -> bool:
    """Whether a text equals one of its answers; space is ignored as `folded` does it.

    Nothing else is normalised: "2" is not "two".
    """
    wanted = {folded(each, ignore_case=ignore_case, ignore_space=ignore_space) for each in answers}
    return folded(text, ignore_case=ignore_case, ignore_space=ignore_space) in wanted


def folded(text: str, *, ignore_case: bool, ignore_space: bool) -> str:
    """A text in lower case, and with its words joined by one blank and none at the ends."""
    cased = text.lower() if ignore_case else text
    return " ".join(cased.split()) if ignore_space else cased


def character_error_rate(found: Sequence[str], answers: Sequence[Answers]) -> ErrorRate:
    """Edits of characters over all texts: `jiwer.cer`, and the CER of antoniorv6/SMT.

    Of several answers the one with the lowest rate is taken. Case and space count, but not space at
    the ends; characters are Unicode code points.
    """
    return _pooled(
        [
            _nearest(text.strip(), [each.strip() for each in right])
            for text, right in zip(found, answers, strict=True)
        ]
    )


def word_error_rate(found: Sequence[str], answers: Sequence[Answers]) -> ErrorRate:
    """Edits of words between white space over all texts: `jiwer.wer`; otherwise as the above."""
    return _pooled(
        [
            _nearest(text.split(), [each.split() for each in right])
            for text, right in zip(found, answers, strict=True)
        ]
    )


def text_similarity(found: Sequence[str], answers: Sequence[Answers]) -> float:
    """Mean of `similarity` over all texts, in [0, 1]; 0 of no text.

    For choosing between checkpoints where the task has no metric of its own; no benchmark's score.
    """
    values = [similarity(text, right) for text, right in zip(found, answers, strict=True)]
    return sum(values) / len(values) if values else 0.0


def similarity(text: str, answers: Answers) -> float:
    """1 - edits / length of the longer text, of the nearest answer; 1 is equal, in [0, 1].

    ANLS (Biten et al., arXiv 1905.13648) without its threshold; case and space count.
    """
    return max(1 - edit_distance(text, each) / max(len(text), len(each), 1) for each in answers)


def _nearest(text: Sequence[str], answers: Sequence[Sequence[str]]) -> ErrorRate:
    rates = [ErrorRate(edit_distance(text, each), len(each)) for each in answers]
    return min(rates, key=lambda each: each.rate)


def _pooled(rates: Sequence[ErrorRate]) -> ErrorRate:
    return ErrorRate(sum(each.errors for each in rates), sum(each.length for each in rates))
