"""What all caption metrics take: one caption an example, its references, and their tokens."""

from collections.abc import Sequence

from palikit.errors import InputError
from palikit.evaluation.metrics.ptb import tokenize
from palikit.evaluation.metrics.score import require_examples

References = Sequence[str]
"""The captions that people wrote for one picture; at least one."""


def caption_tokens(
    answers: Sequence[str], references: Sequence[References], *, tokenized: bool
) -> tuple[list[str], list[list[str]]]:
    """Captions and references as tokens joined by blanks.

    An empty caption is scored as pycocoevalcap does, and so is an empty text among the references.

    Args:
        answers: one caption an example.
        references: of each example, aligned with the answers.
        tokenized: the texts are tokens joined by blanks already; they are taken as they are.

    Raises:
        InputError: there are no examples, or one has no references.
        ValueError: there are more of the one than of the other.
    """
    require_examples(len(answers))
    pairs = list(zip(answers, references, strict=True))
    for place, (_, right) in enumerate(pairs):
        _require_references(right, place)
    if tokenized:
        return [text for text, _ in pairs], [list(right) for _, right in pairs]
    return (
        [tokenize(text) for text, _ in pairs],
        [[tokenize(each) for each in right] for _, right in pairs],
    )


def _require_references(references: References, place: int) -> None:
    if isinstance(references, str):
        raise InputError(
            f"the references of caption {place} are one text, not a list: put it into brackets"
        )
    if not references:
        raise InputError(
            f"caption {place} has no references: give at least one, or leave the caption out"
        )
