"""What a reader gives: pictures with what is known about them, before any prompt is chosen.

Coordinates are pixels of the picture as a person sees it, EXIF orientation applied.
"""

from dataclasses import dataclass
from pathlib import Path

from palikit.masks import Mask
from palikit.results import Box


@dataclass(frozen=True, slots=True)
class Annotation:
    """One marked object.

    Attributes:
        label: the name of its class.
        box: in pixels of the upright picture; right and bottom are exclusive edges.
        mask: its outline in the whole picture, where one was drawn.
        crowd: whether it marks a group that was not told apart; never a training target.
        area: in square pixels, where the source states it: COCO sorts objects into small, medium
            and large by the area of their outlines, also where it measures boxes.
    """

    label: str
    box: Box
    mask: Mask | None = None
    crowd: bool = False
    area: float | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a picture with every answer that was collected, repeats included."""

    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One picture, or several that belong together, and what is known about it.

    Attributes:
        images: absolute paths, one or more.
        width, height: of the first upright picture, in pixels.
        objects: what was marked; `()` where somebody looked and found nothing, None where
            nobody marked objects at all.
        captions: descriptions of the picture.
        questions: questions with their answers.
        text: what is written in the picture.
        split: "train", "val", "test" or another name; None where the source has no splits.
        where: the place in the source, for messages: "instances.json, image 17".
    """

    images: tuple[Path, ...]
    width: int
    height: int
    objects: tuple[Annotation, ...] | None = None
    captions: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    text: str | None = None
    split: str | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong or left out in a data set.

    Attributes:
        where: the place: "train.jsonl, line 17".
        what: one sentence without its place: what is there, what was expected, what to do.
        is_error: whether training on it would be wrong; others were dealt with as `what` says.
        kind: a few words under which such problems are counted: "degenerate box".
    """

    where: str
    what: str
    is_error: bool
    kind: str = ""

    def __str__(self) -> str:
        """The place and the sentence."""
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Records:
    """What a reader found.

    Attributes:
        records: in the order of the source; what `problems` reports as an error is left out.
        classes: the class names in the source's own order, used or not.
        problems: in the order of the source.
    """

    records: tuple[Record, ...]
    classes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
