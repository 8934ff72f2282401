"""Answers in the file that a benchmark's own server or script takes, and such files read back.

    vqa, textvqa, stvqa   [{"question_id", "answer"}]
    docvqa                [{"questionId", "answer"}]            DocVQA and InfographicVQA
    vizwiz                [{"image", "answer"}]
    aokvqa                {ID: {"direct_answer" or "multiple_choice"}}
    coco-captions         [{"image_id", "caption"}]
    coco-detections       [{"image_id", "category_id", "bbox": [x, y, width, height], "score"}]
    refcoco               [{"sent_id", "box": [x1, y1, x2, y2], "segmentation": run lengths}]

RefCOCO has no server; its file is what evaluation scripts need of each expression.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from palikit.data.jsonl import json_text
from palikit.data.text_files import read_json
from palikit.errors import InputError
from palikit.evaluation.benchmarks.row import Answered, SubmissionFormat
from palikit.evaluation.exam import Exam
from palikit.results import Objects, Segment

ID_KEYS: dict[SubmissionFormat, str] = {
    "vqa": "question_id",
    "textvqa": "question_id",
    "stvqa": "question_id",
    "docvqa": "questionId",
    "vizwiz": "image",
    "coco-captions": "image_id",
    "coco-detections": "image_id",
    "refcoco": "sent_id",
}
"""What a question is called by in each list."""

_CATEGORIES = (
    "annotations/instances_*.json",
    "instances_*.json",
    "*/instances_*.json",
    "COCO/*.json",
)


def submission_text(exam: Exam, answered: Sequence[Answered]) -> str | None:
    """The file as JSON; None where the benchmark has none.

    Raises:
        InputError: an object of a class that the data have no category for.
    """
    kind = exam.benchmark.submission if exam.benchmark else None
    if kind is None:
        return None
    if kind == "aokvqa":
        key = aokvqa_key(exam)
        return json_text({each.example.id: {key: each.text} for each in answered}) + "\n"
    if kind == "coco-detections":
        ids = category_ids(exam)
        records = [record for each in answered for record in _detections(each, ids)]
    else:
        records = [_record(kind, each) for each in answered]
    return "[\n" + ",\n".join(map(json_text, records)) + "\n]\n"


def aokvqa_key(exam: Exam) -> str:
    """What an answer is called in A-OKVQA's file: its two settings are scored apart."""
    return "multiple_choice" if exam.name.endswith("mc") else "direct_answer"


def category_ids(exam: Exam) -> dict[str, int]:
    """Numbers of the categories, by name: those of the annotations, else counted from 1."""
    for pattern in _CATEGORIES:
        files = sorted(exam.source.glob(pattern))
        # That of the split first: of those that are trained on, it is the largest by far.
        for file in sorted(files, key=lambda each: exam.split not in each.stem):
            found = read_json(file)
            if isinstance(found, dict) and isinstance(found.get("categories"), list):
                return {str(each["name"]): int(each["id"]) for each in found["categories"]}
    labels = (each.label for item in exam.items for each in item.example.objects or ())
    return {label: number for number, label in enumerate(dict.fromkeys(labels), start=1)}


def _record(kind: SubmissionFormat, answered: Answered) -> dict[str, Any]:
    name = {ID_KEYS[kind]: _number(answered.example.id)}
    if kind == "vizwiz":
        return {"image": answered.example.id, "answer": answered.text}
    if kind == "coco-captions":
        return {**name, "caption": answered.text}
    if kind != "refcoco":
        return {**name, "answer": answered.text}
    found = _objects(answered)[:1]
    box = found[0].box.to_list() if found else None
    mask = found[0].mask if found and isinstance(found[0], Segment) else None
    return {**name, "box": box, "segmentation": None if mask is None else mask.to_rle()}


def _detections(answered: Answered, ids: Mapping[str, int]) -> list[dict[str, Any]]:
    image = _number(answered.example.id)
    return [
        {
            "image_id": image,
            "category_id": ids[found.label],
            "bbox": [round(value, 2) for value in found.box.to_xywh()],
            "score": 1.0 if found.score is None else found.score,
        }
        for found in _objects(answered)
        if found.label in ids  # COCO's own script refuses a file with others
    ]


def _objects(answered: Answered) -> Sequence[Any]:
    result = answered.prediction.result if answered.prediction else None
    return result.objects if isinstance(result, Objects) else ()


def _number(name: str) -> int | str:
    """Ids are numbers where the data have numbers."""
    return int(name) if name.isascii() and name.isdigit() and str(int(name)) == name else name


def parse_list(text: str, file: Path) -> Any:
    """The value of a submission file.

    Raises:
        InputError: it is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not JSON ({error}): expected a list of answers") from None
