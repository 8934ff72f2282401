"""What a layout says of one question, before a protocol makes a prompt of it."""

from dataclasses import dataclass
from pathlib import Path

from palikit.evaluation.benchmarks.row import Change
from palikit.evaluation.metrics.objects import TrueObject
from palikit.evaluation.metrics.ocr_words import Word


@dataclass(frozen=True, slots=True)
class Entry:
    """One question, picture to describe, or picture to find objects in.

    Attributes:
        id: as a submission names it.
        images: paths, in the order they are shown; none where there is a video.
        question: a question, a sentence or an expression.
        answers: references; empty where they are secret.
        group: the part of the set it belongs to.
        choices: options of a multiple choice, in their order.
        context: what else the prompt holds: a hint, an indication.
        language: of captions.
        video: a film instead of pictures.
        objects, words: as of `Example`.
        where: the place in the source.
        change: as of `Example`.
    """

    id: str
    images: tuple[Path, ...]
    question: str = ""
    answers: tuple[str, ...] = ()
    group: str = ""
    choices: tuple[str, ...] = ()
    context: str = ""
    language: str = ""
    video: Path | None = None
    objects: tuple[TrueObject, ...] | None = None
    words: tuple[Word, ...] | None = None
    where: str = ""
    change: Change | None = None
