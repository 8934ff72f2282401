"""Answers that are there already, from any program, read as if a model had just given them.

A file of JSON lines with `id` and `answer`, our own predictions.jsonl among them, or the list that
the benchmark's own server takes, see `palikit.evaluation.submission`. Every question has one
answer, and every answer a question; otherwise nothing is scored.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from palikit import tasks
from palikit.data.findings import finite_numbers, upright_size
from palikit.data.text_files import read_text
from palikit.errors import InputError
from palikit.evaluation.exam import Exam, Item
from palikit.evaluation.record import answered_of, record_of
from palikit.evaluation.submission import ID_KEYS, aokvqa_key, category_ids, parse_list
from palikit.masks import Mask
from palikit.prediction import Prediction
from palikit.records import OBJECT_TASKS
from palikit.results import Box, Detection, Detections, Result, Segment, Segments
from palikit.vocab import Coordinates

Finish: TypeAlias = Callable[[Segments], Segments]
"""Segments of codes alone -> the same with their masks."""

_ANSWER_KEYS = ("answer", "caption", "text")


@dataclass(frozen=True)
class Reading:
    """How texts of boxes and outlines are read.

    Attributes:
        coordinates: the grid of location tokens.
        with_masks: gives segments their outlines; None leaves them without.
    """

    coordinates: Coordinates = "1023"
    with_masks: Finish | None = None


@dataclass(frozen=True)
class _Given:
    """One answer of a file: a text, a whole record of ours, or objects in pixels."""

    id: str
    where: str
    text: str = ""
    record: Mapping[str, Any] | None = None
    objects: tuple[Detection | Segment, ...] | None = None


def read_answers(file: Path, exam: Exam, reading: Reading) -> dict[str, dict[str, Any]]:
    """The records of all questions, by id.

    Raises:
        InputError: the file is not UTF-8 or not of a known form, names a question that is not in
            the data, names one twice, or leaves one out.
    """
    given = list(_given(file, exam))
    _check(given, exam, file)
    by_id = {each.id: each for each in given}
    if _is_coco(exam, file):  # a picture without a detection is no line of such a file
        for item in exam.items:
            by_id.setdefault(item.example.id, _Given(item.example.id, str(file), objects=()))
    return {item.example.id: _record(item, by_id[item.example.id], reading) for item in exam.items}


def _check(given: Sequence[_Given], exam: Exam, file: Path) -> None:
    seen: dict[str, str] = {}
    for each in given:
        if each.id in seen:
            raise InputError(
                f"{each.where}: question {each.id} has been answered already ({seen[each.id]}): "
                "give one answer to each"
            )
        seen[each.id] = each.where
    known = exam.all_ids
    if unknown := [each for each in given if each.id not in known]:
        more = f", nor are {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise InputError(
            f"{unknown[0].where}: question {unknown[0].id} is not in {exam.title} ({exam.split})"
            f"{more}: give answers to this split alone"
        )
    absent = [item.example.id for item in exam.items if item.example.id not in seen]
    if absent and not _is_coco(exam, file):
        raise InputError(
            f"{file} has no answer to {len(absent)} of {len(exam.items)} questions, the first is "
            f"{absent[0]}: answer all, an empty text counts as wrong"
        )


def _is_coco(exam: Exam, file: Path) -> bool:
    kind = exam.benchmark.submission if exam.benchmark else None
    return kind == "coco-detections" and file.suffix.lower() == ".json"


def lacks_mask(record: Mapping[str, Any]) -> bool:
    """Whether a record has an outline in codes and not as a mask."""
    result = record.get("result")
    objects = result.get("objects", ()) if isinstance(result, Mapping) else ()
    return any(each.get("codes") and each.get("mask") is None for each in objects)


def _given(file: Path, exam: Exam) -> Iterator[_Given]:
    text = read_text(file)
    if file.suffix.lower() == ".jsonl":
        yield from _of_lines(text, file)
        return
    found = parse_list(text, file)
    kind = exam.benchmark.submission if exam.benchmark else None
    if isinstance(found, dict) and kind == "aokvqa":
        key = aokvqa_key(exam)
        yield from (
            _of_entry({"id": name, "answer": _field(value, key)}, f"{file}, {name}")
            for name, value in found.items()
        )
        return
    if not isinstance(found, list):
        raise InputError(f"{file} holds a {type(found).__name__}: expected a list of answers")
    if kind == "coco-detections":
        yield from _of_detections(found, file, exam)
        return
    for number, entry in enumerate(found, start=1):
        where = f"{file}, entry {number}"
        yield _of_referral(entry, where) if kind == "refcoco" else _of_entry(entry, where)


def _of_lines(text: str, file: Path) -> Iterator[_Given]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}, is not JSON ({error}): expected one object") from None
        yield _of_entry(entry, where)


def _of_entry(entry: Any, where: str) -> _Given:
    if not isinstance(entry, dict):
        raise InputError(f"{where} is {str(entry)[:80]}: expected an object with id and answer")
    name = _name(entry, where)
    answers = [entry[key] for key in _ANSWER_KEYS if isinstance(entry.get(key), str)]
    if not answers:
        raise InputError(
            f"{where} (question {name}) has no text as its answer: expected one under "
            f"{', '.join(_ANSWER_KEYS)}"
        )
    is_whole = "finish_reason" in entry and "width" in entry
    return _Given(name, where, answers[0], entry if is_whole else None)


def _name(entry: Mapping[str, Any], where: str) -> str:
    for key in ("id", *dict.fromkeys(ID_KEYS.values())):
        value = entry.get(key)
        if isinstance(value, str) or type(value) is int:
            return str(value)
    keys = ", ".join(("id", *dict.fromkeys(ID_KEYS.values())))
    raise InputError(f"{where} does not say which question it answers: expected one of {keys}")


def _of_detections(found: Sequence[Any], file: Path, exam: Exam) -> Iterator[_Given]:
    names = {number: label for label, number in category_ids(exam).items()}
    by_image: dict[str, list[Detection]] = {}
    for number, entry in enumerate(found, start=1):
        where = f"{file}, entry {number}"
        image = _name(entry if isinstance(entry, dict) else {}, where)
        category = entry.get("category_id")
        label = names.get(category) if isinstance(category, int) else None
        if label is None:
            raise InputError(f"{where} has the category {category!r}: expected one of the data")
        values = finite_numbers(entry.get("bbox"), 4)
        score = finite_numbers([entry.get("score")], 1)
        if values is None or score is None:
            raise InputError(f"{where}: expected bbox as [x, y, width, height], and a score")
        x, y, width, height = values
        box = Box(x, y, x + width, y + height)
        by_image.setdefault(image, []).append(Detection(box, label, score[0]))
    for image, objects in by_image.items():
        yield _Given(image, str(file), objects=tuple(objects))


def _of_referral(entry: Any, where: str) -> _Given:
    if not isinstance(entry, dict):
        raise InputError(f"{where} is {str(entry)[:80]}: expected an object with sent_id and box")
    name = _name(entry, where)
    if "box" not in entry:
        return _of_entry(entry, where)
    if entry["box"] is None:
        return _Given(name, where, objects=())
    corners = finite_numbers(entry["box"], 4)
    if corners is None:
        raise InputError(f"{where}: its box is {entry['box']!r}: expected [x1, y1, x2, y2] or null")
    rle = entry.get("segmentation")
    mask = Mask.from_rle(rle) if isinstance(rle, dict) else None
    return _Given(name, where, objects=(Segment(Box(*corners), "", (), mask),))


def _record(item: Item, given: _Given, reading: Reading) -> dict[str, Any]:
    """What would be kept of this answer, had a model just given it."""
    if given.record is not None:
        record = dict(given.record)
        try:
            found = answered_of(item, record).prediction
        except (KeyError, TypeError, ValueError, InputError) as error:
            raise InputError(
                f"{given.where} cannot be read ({error}): give id and answer"
            ) from None
        if found is None:
            raise AssertionError("a record always has a prediction")
        return record_of(item, found)
    return record_of(item, _prediction(item, given, reading))


def _prediction(item: Item, given: _Given, reading: Reading) -> Prediction[Any]:
    width, height = _size(item)
    result: Result
    if given.objects is None:
        result = tasks.parse(item.task, given.text, width, height, coordinates=reading.coordinates)
        if isinstance(result, Segments) and reading.with_masks is not None:
            result = reading.with_masks(result)
    elif item.task.name == "detect":
        boxes = tuple(each for each in given.objects if isinstance(each, Detection))
        result = Detections(boxes, width, height)
    else:
        segments = tuple(each for each in given.objects if isinstance(each, Segment))
        result = Segments(segments, width, height)
    return Prediction(
        input=item.example.where,
        task=item.task.name,
        prompt=item.task.prompt,
        text=given.text,
        result=result,
        score=None,
        score_basis="vocabulary",
        finish_reason="stop",
        width=width,
        height=height,
        model="",
    )


def _size(item: Item) -> tuple[int, int]:
    """Of the picture, which texts do not depend on."""
    if item.task.name not in OBJECT_TASKS or not item.example.images:
        return 1, 1
    source = item.example.images[0]
    if not isinstance(source, str | Path):
        from palikit.pictures import load_picture

        return load_picture(source).size
    return upright_size(Path(source))


def _field(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
