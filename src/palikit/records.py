"""Answers in the formats people take them away in: text, JSON, JSON lines, COCO, CSV.

- text: for reading. Texts as they are; for objects a line each with label, score and the box in
  pixels. With several inputs every line begins with the input's name, as `grep` prints it.
- json, jsonl: `Prediction.to_dict`. One input is one JSON object, several are a list; or a line
  each.
- coco: one data set of images, categories and annotations. Annotations carry a score, images the
  name of the input as `file_name`; ids count from 1, categories are the labels as asked and then
  any others. Captions become caption annotations.
- csv: a row for each object of detect and segment, with empty cells where nothing was found; a row
  for each input of other tasks.

Pillow, which `Prediction` brings, is imported only where a prediction is made.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from palikit.errors import InputError
from palikit.masks import Mask
from palikit.options import RecordFormat
from palikit.results import (
    Answer,
    Box,
    Caption,
    Detection,
    Detections,
    Objects,
    OcrText,
    Result,
    Segment,
    Segments,
)
from palikit.tasks import TaskName

if TYPE_CHECKING:
    from palikit.prediction import Prediction

OBJECT_TASKS = ("detect", "segment", "refer")
"""Tasks whose answers are objects rather than texts."""

_CAPTION_TASKS = ("caption", "describe")
_TEXT_COLUMNS = ("input", "task", "prompt", "text", "score", "finish_reason", "width", "height")
_OBJECT_COLUMNS = ("input", "width", "height", "label", "score", "x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class Layout:
    """How the answers of one run are written.

    Attributes:
        format: see the head of this file.
        task: what was asked; decides the columns.
        many: whether a list of inputs was given.
        labels: what was looked for; the first categories of a COCO file.

    Raises:
        InputError: COCO of a task whose answers are neither objects nor captions.
    """

    format: RecordFormat
    task: TaskName
    many: bool = False
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.format == "coco" and self.task not in (*OBJECT_TASKS, *_CAPTION_TASKS):
            raise InputError(
                f"COCO has no records for {self.task}, only for boxes, outlines and captions: "
                "choose json, jsonl or csv"
            )

    @property
    def is_streamed(self) -> bool:
        """Whether each answer can be written by itself."""
        return self.format in ("text", "jsonl", "csv")

    def head(self) -> str:
        """What stands before the first answer of a streamed format."""
        return _csv([self._columns()]) if self.format == "csv" else ""

    def one(self, prediction: "Prediction[Any]") -> str:
        """One answer in a streamed format: whole lines, possibly none."""
        if self.format == "jsonl":
            return json_line(prediction)
        if self.format == "csv":
            return _csv(self._rows(prediction))
        start = f"{prediction.input}: " if self.many else ""
        return "".join(f"{start}{line}\n" for line in text_lines(prediction.result))

    def whole(self, predictions: "Sequence[Prediction[Any]]") -> str:
        """All answers, in any format."""
        if self.is_streamed:
            return self.head() + "".join(self.one(each) for each in predictions)
        if self.format == "coco":
            return _json(coco_dataset(predictions, self.labels))
        records = [each.to_dict() for each in predictions]
        return _json(records if self.many or len(records) != 1 else records[0])

    def _columns(self) -> tuple[str, ...]:
        if self.task not in OBJECT_TASKS:
            return (*_TEXT_COLUMNS, "model")
        return _OBJECT_COLUMNS if self.task == "detect" else (*_OBJECT_COLUMNS, "area", "mask")

    def _rows(self, prediction: "Prediction[Any]") -> list[tuple[Any, ...]]:
        if self.task not in OBJECT_TASKS:
            return [tuple(getattr(prediction, name) for name in self._columns())]
        size = (prediction.input, prediction.width, prediction.height)
        if not prediction.result:
            return [(*size, *[None] * (len(self._columns()) - len(size)))]
        rows = [
            (*size, found.label, found.score, *found.to_dict()["box"])
            for found in prediction.result
        ]
        if self.task == "detect":
            return rows
        return [
            (*row, *_mask_cells(found)) for row, found in zip(rows, prediction.result, strict=True)
        ]


def text_lines(result: Result) -> Iterator[str]:
    """A result for reading: lines of text, or one for each object; "nothing found" where none."""
    if not isinstance(result, Objects):
        yield from result.text.splitlines() or [""]
    elif result.objects:
        yield from map(_object_line, result.objects)
    else:
        yield "nothing found"


def json_line(prediction: "Prediction[Any]") -> str:
    """One answer as one line of JSON, with its end of line."""
    return json.dumps(prediction.to_dict(), ensure_ascii=False) + "\n"


def coco_dataset(
    predictions: "Sequence[Prediction[Any]]", labels: Sequence[str] = ()
) -> dict[str, Any]:
    """Images, categories and annotations, as the tools for COCO read data sets.

    Args:
        predictions: one for each picture.
        labels: categories that stand first, found or not.
    """
    named = (found.label for each in predictions for found in _objects(each))
    ids = {name: position for position, name in enumerate(dict.fromkeys([*labels, *named]), 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, each in enumerate(predictions, start=1):
        size = {"width": each.width, "height": each.height}
        images.append({"id": image_id, "file_name": each.input, **size})
        for record, extent in zip(each.to_coco(image_id, ids), _extents(each), strict=True):
            annotations.append({"id": len(annotations) + 1, **record, **extent})
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return {"images": images, "categories": categories, "annotations": annotations}


def prediction_from_dict(record: Mapping[str, Any]) -> "Prediction[Any]":
    """The prediction that `Prediction.to_dict` wrote, without its picture and its tokens.

    Raises:
        KeyError, TypeError, ValueError, InputError: a value is missing or of another kind.
    """
    from palikit.prediction import Prediction

    width, height = int(record["width"]), int(record["height"])
    score = record["score"]
    return Prediction(
        input=str(record["input"]),
        task=str(record["task"]),
        prompt=str(record["prompt"]),
        text=str(record["text"]),
        result=_result_from(str(record["task"]), record["result"], width, height),
        score=None if score is None else float(score),
        score_basis=record["score_basis"],
        finish_reason=str(record["finish_reason"]),
        width=width,
        height=height,
        model=str(record["model"]),
    )


def _result_from(task: str, record: Mapping[str, Any], width: int, height: int) -> Result:
    if task not in OBJECT_TASKS:
        kind = Caption if task in _CAPTION_TASKS else OcrText if task == "ocr" else Answer
        return kind(str(record["text"]))
    rest = (width, height, str(record["unparsed"]), tuple(map(str, record["problems"])))
    if task == "detect":
        return Detections(tuple(_detection_from(each) for each in record["objects"]), *rest)
    return Segments(tuple(_segment_from(each) for each in record["objects"]), *rest)


def _detection_from(record: Mapping[str, Any]) -> Detection:
    return Detection(Box(*map(float, record["box"])), str(record["label"]), record["score"])


def _segment_from(record: Mapping[str, Any]) -> Segment:
    found, mask = _detection_from(record), record["mask"]
    return Segment(
        found.box,
        found.label,
        tuple(map(int, record["codes"])),
        None if mask is None else Mask.from_rle(mask),
        found.score,
    )


def _objects(prediction: "Prediction[Any]") -> tuple[Detection | Segment, ...]:
    return tuple(prediction.result) if prediction.task in OBJECT_TASKS else ()


def _extents(prediction: "Prediction[Any]") -> list[dict[str, Any]]:
    """What COCO asks of an annotation beyond a result record; captions need none of it."""
    if prediction.task not in OBJECT_TASKS:
        return [{}]
    return [{"area": _area(found), "iscrowd": 0} for found in _objects(prediction)]


def _area(found: Detection | Segment) -> float:
    mask = found.mask if isinstance(found, Segment) else None
    return mask.area if mask is not None else round(found.box.width * found.box.height, 2)


def _mask_cells(found: Segment) -> tuple[Any, Any]:
    """The outline's pixels and its compressed COCO run lengths; empty cells where there is none."""
    return (found.mask.area, found.mask.to_rle()["counts"]) if found.mask else (None, None)


def _object_line(found: Detection | Segment) -> str:
    score = "-" if found.score is None else f"{found.score:.2f}"
    box = ",".join(f"{edge:.0f}" for edge in found.box.to_list())
    mask = found.mask if isinstance(found, Segment) else None
    outline = f"  mask of {mask.area} px" if mask is not None else ""
    return f"{found.label or '(no label)'}  {score}  {box}{outline}"


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(rows)
    return lines.getvalue()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
