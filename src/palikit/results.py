"""What PaliKit answers with: frozen values, in pixels of the original picture. No torch here.

Pixels are counted on the picture as a person sees it, that is after its EXIF orientation has been
applied; x grows to the right, y downwards, and (0, 0) is the top left corner of the first pixel.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from palikit.masks import Mask

ScoreBasis = Literal["grammar", "vocabulary"]
"""Over which ids the probabilities behind a score were normalised.

`"grammar"`: over the ids that the answer's grammar allows at that place.
`"vocabulary"`: over every id.
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels: left, top, right, bottom; right and bottom are exclusive edges."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """Horizontal extent in pixels."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Vertical extent in pixels."""
        return self.y2 - self.y1

    def to_list(self) -> list[float]:
        """`[x1, y1, x2, y2]` in pixels."""
        return [self.x1, self.y1, self.x2, self.y2]

    def to_xywh(self) -> list[float]:
        """`[x, y, width, height]` in pixels, as COCO writes a box."""
        return [self.x1, self.y1, self.width, self.height]


@dataclass(frozen=True, slots=True)
class TokenScore:
    """How sure the model was of one token of its text.

    Attributes:
        start, end: where the token's characters lie in the text; equal for a token without any.
        log_prob: natural logarithm of its probability.
        forced: whether no other token was allowed; such tokens say nothing about confidence.
        vocabulary_log_prob: the same over every id, where all ids were computed: without the
            grammar.
    """

    start: int
    end: int
    log_prob: float
    forced: bool = False
    vocabulary_log_prob: float | None = None


@dataclass(frozen=True, slots=True)
class Caption:
    """A description of the picture."""

    text: str

    def to_dict(self) -> dict[str, Any]:
        """`{"text": ...}`."""
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question, the question to an answer, or the reply to a free prompt."""

    text: str

    def to_dict(self) -> dict[str, Any]:
        """`{"text": ...}`."""
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class OcrText:
    """The text in the picture, in reading order."""

    text: str

    def to_dict(self) -> dict[str, Any]:
        """`{"text": ...}`."""
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class Detection:
    """One object with its box.

    `score` is in [0, 1], or None where only text was at hand: the geometric mean of the
    probabilities of the tokens that spell the object, forced tokens left out.
    """

    box: Box
    label: str
    score: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Label, `box` as x1 y1 x2 y2 in pixels, score."""
        return {
            "label": self.label,
            "box": _rounded(self.box.to_list()),
            "score": rounded_score(self.score),
        }


@dataclass(frozen=True, slots=True)
class Segment:
    """One object with its box and its outline.

    Attributes:
        codes: the 16 segmentation codes the model wrote, each in 0 .. 127.
        mask: the outline in the whole picture; None until the codes have been decoded.
        score: as in `Detection`.
    """

    box: Box
    label: str
    codes: tuple[int, ...]
    mask: Mask | None = None
    score: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As `Detection.to_dict`, with `mask` as COCO RLE (or null) and the codes."""
        return {
            "label": self.label,
            "box": _rounded(self.box.to_list()),
            "score": rounded_score(self.score),
            "mask": self.mask.to_rle() if self.mask is not None else None,
            "codes": list(self.codes),
        }


ObjectT = TypeVar("ObjectT", Detection, Segment)


@dataclass(frozen=True, slots=True)
class ObjectArrays:
    """Objects as plain arrays, named as in supervision's `Detections`.

    Attributes:
        xyxy: float32[N, 4], pixels.
        mask: bool[N, height, width], or None where there is no outline.
        confidence: float32[N], or None where scores are unknown.
        class_id: int64[N], index into `class_names`.
        class_names: the distinct labels, in order of first appearance or as given.
    """

    xyxy: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_] | None
    confidence: npt.NDArray[np.float32] | None
    class_id: npt.NDArray[np.int64]
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Objects(Generic[ObjectT]):
    """Objects found in one picture, in the order the model named them.

    Attributes:
        objects: what was understood.
        width, height: of the picture, in pixels.
        unparsed: every piece of the text that was not understood, verbatim, joined by newlines.
        problems: for each of these pieces, a sentence saying what is wrong with it.
    """

    objects: tuple[ObjectT, ...]
    width: int
    height: int
    unparsed: str = ""
    problems: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[ObjectT]:
        return iter(self.objects)

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, index: int) -> ObjectT:
        return self.objects[index]

    def to_dict(self) -> dict[str, Any]:
        """Objects, unparsed text and problems as JSON-ready values."""
        return {
            "objects": [found.to_dict() for found in self.objects],
            "unparsed": self.unparsed,
            "problems": list(self.problems),
        }

    def to_coco(
        self, image_id: int = 0, category_ids: Mapping[str, int] | None = None
    ) -> list[dict[str, Any]]:
        """COCO result records: one per object, with `segmentation` as RLE where there is a mask.

        Args:
            image_id: the id of this picture in the data set.
            category_ids: the data set's own id of each label; objects of other labels are left
                out. Without it labels are numbered from 1 in order of appearance, which differs
                between pictures; `Prediction.to_coco` numbers them as they were asked for.
        """
        ids = category_ids
        if ids is None:
            ids = {name: index + 1 for index, name in enumerate(self._labels())}
        return [
            _coco_record(found, image_id, ids[found.label])
            for found in self.objects
            if found.label in ids
        ]

    def to_arrays(self, class_names: Sequence[str] | None = None) -> ObjectArrays:
        """Plain NumPy arrays; labels that are not in `class_names` get class id -1."""
        names = tuple(class_names) if class_names is not None else self._labels()
        index = {name: position for position, name in enumerate(names)}
        boxes = [found.box.to_list() for found in self.objects]
        scores = [found.score for found in self.objects if found.score is not None]
        arrays = [mask.to_array() for mask in _masks(self.objects)]
        return ObjectArrays(
            xyxy=np.array(boxes, dtype=np.float32).reshape(-1, 4),
            mask=np.stack(arrays) if arrays and len(arrays) == len(self) else None,
            confidence=np.array(scores, np.float32) if len(scores) == len(self) else None,
            class_id=np.array([index.get(found.label, -1) for found in self.objects], np.int64),
            class_names=names,
        )

    def _labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(found.label for found in self.objects))


@dataclass(frozen=True)
class Detections(Objects[Detection]):
    """Objects with boxes."""


@dataclass(frozen=True)
class Segments(Objects[Segment]):
    """Objects with boxes and outlines."""


Result = Caption | Answer | OcrText | Detections | Segments
ResultT_co = TypeVar("ResultT_co", bound=Result, covariant=True)


def mean_probability(scores: Sequence[TokenScore]) -> float | None:
    """Geometric mean of the probabilities of the tokens that were not forced; None without any."""
    free = [score.log_prob for score in scores if not score.forced]
    # Rounding may carry a certain token's log-probability a hair above zero.
    return min(1.0, math.exp(sum(free) / len(free))) if free else None


def _masks(objects: Sequence[Detection | Segment]) -> list[Mask]:
    return [
        found.mask for found in objects if isinstance(found, Segment) and found.mask is not None
    ]


def rounded_score(score: float | None) -> float | None:
    """A score to six digits: beyond them it depends on who shares the batch."""
    return None if score is None else round(score, 6)


def _rounded(values: list[float], digits: int = 2) -> list[float]:
    """Pixels to a hundredth: finer than any location token on pictures up to 10,000 pixels."""
    return [round(value, digits) for value in values]


def _coco_record(found: Detection | Segment, image_id: int, category_id: int) -> dict[str, Any]:
    record: dict[str, Any] = {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": _rounded(found.box.to_xywh(), 4),
        # COCO demands a score; 1 is the neutral value where the model's confidence is unknown.
        "score": 1.0 if found.score is None else rounded_score(found.score),
    }
    if isinstance(found, Segment) and found.mask is not None:
        record["segmentation"] = found.mask.to_rle()
    return record
