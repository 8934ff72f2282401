"""ROUGE-L of captions."""

from collections.abc import Sequence

from palikit.evaluation.metrics.captions import References, caption_tokens
from palikit.evaluation.metrics.score import Score, mean_score

_BETA = 1.2
"""How much more recall weighs than precision."""


def rouge_l(
    answers: Sequence[str], references: Sequence[References], *, tokenized: bool = False
) -> Score:
    """Mean ROUGE-L, in [0, 1]; tables print it times 100.

    The original is `pycocoevalcap/rouge/rouge.py` (salaniz/pycocoevalcap 1.2, of
    tylin/coco-caption): the longest common subsequence of words over the length of the caption
    and of the reference; the best precision and the best recall may come from different
    references. Words part at blanks alone, so that an empty text is one empty word: an empty
    caption scores 1 against an empty reference and 0 against any other.

    Args:
        answers: one caption an example.
        references: of each example; at least one.
        tokenized: the texts are PTB tokens joined by blanks already.

    Raises:
        InputError: there are no captions, or one has no references.
        ValueError: there are not as many lists of references as captions.
    """
    texts, rights = caption_tokens(answers, references, tokenized=tokenized)
    return mean_score(
        [
            _rouge(text.split(" "), [each.split(" ") for each in right])
            for text, right in zip(texts, rights, strict=True)
        ]
    )


def _rouge(words: list[str], references: list[list[str]]) -> float:
    common = _common_lengths(words, references)
    precision = max(common) / len(words)
    recall = max(length / len(right) for length, right in zip(common, references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _common_lengths(words: list[str], references: list[list[str]]) -> list[int]:
    """Lengths of the longest common subsequences, a whole row of the table as bits of one number.

    Hyyrö, "Bit-parallel LCS-length computation revisited" (2004): a zero bit is a step up.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(words)) - 1
    lengths = []
    for right in references:
        row = full
        for word in right:
            hits = row & places.get(word, 0)
            row = (row + hits) | (row - hits)
        lengths.append(len(words) - (row & full).bit_count())
    return lengths
