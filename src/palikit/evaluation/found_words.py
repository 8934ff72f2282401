"""Words with their boxes, whichever of the two an answer writes first.

How the published checkpoints of scene text write them is not public: a box and then its word is
the order of `detect`, a word and then its box that of a transcription with places. Both are read.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from palikit.prediction import Prediction
from palikit.results import Detections

_BOX = re.compile(r"<loc[0-9]*>(?:[ \t]*<loc[0-9]*>)*")
"""A run of location tokens, as `palikit.tasks.parse` takes them together."""

_LOC = re.compile(r"<loc([0-9]*)>")
_SEPARATOR_BEFORE = re.compile(r"\A\s*;")
_SEPARATOR_BEHIND = re.compile(r";\s*\Z")

_BLANK = " ;\t\r\n"
"""What may stand between a word and what comes before or after it."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """One run of location tokens and the word that belongs to it."""

    box: str
    word: str

    @property
    def is_whole(self) -> bool:
        """Whether the run is one box that is not empty, by the rules of `palikit.tasks.parse`."""
        numbers = _LOC.findall(self.box)
        if len(numbers) != 4 or any(len(each) != 4 or int(each) > 1023 for each in numbers):
            return False
        top, left, bottom, right = map(int, numbers)
        return top < bottom and left < right


def with_words(prediction: Prediction[Any]) -> Prediction[Any]:
    """An answer whose found boxes are labelled with the words that belong to them.

    An answer that begins with a location token writes boxes first, any other one words first. A
    word may hold ";", which ends a label elsewhere; the one next to a box separates.

    Args:
        prediction: of `detect`; one of another kind, or without boxes, is returned as it is.
    """
    found = prediction.result
    pieces, rest = _pieces(prediction.text)
    whole = [each for each in pieces if each.is_whole]
    # Boxes that are not those of the text: somebody read them in another way.
    if not pieces or not isinstance(found, Detections) or len(whole) != len(found):
        return prediction
    words = zip(found, whole, strict=True)
    objects = tuple(replace(one, label=piece.word) for one, piece in words)
    left = [f"{each.box} {each.word}".strip() for each in pieces if not each.is_whole]
    left += [rest] if rest else []
    problems = tuple(f"Not a word with one box of four location tokens: {each!r}." for each in left)
    result = Detections(objects, found.width, found.height, "\n".join(left), problems)
    return replace(prediction, result=result)


def _pieces(text: str) -> tuple[list[_Piece], str]:
    """Runs of location tokens with their words, and the text that is left over."""
    boxes = list(_BOX.finditer(text))
    edges = [0, *(edge for box in boxes for edge in box.span()), len(text)]
    # One more than there are boxes: before, between and behind them.
    stretches = [text[edges[n] : edges[n + 1]] for n in range(0, len(edges), 2)]
    if not stretches[0].strip(_BLANK):
        words = [_SEPARATOR_BEHIND.sub("", each).strip() for each in stretches[1:]]
        rest = ""
    else:
        words = [_SEPARATOR_BEFORE.sub("", each).strip() for each in stretches[:-1]]
        rest = stretches[-1].strip(_BLANK)
    return [_Piece(box[0], word) for box, word in zip(boxes, words, strict=True)], rest
