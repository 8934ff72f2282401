"""An answer as one line of predictions.jsonl, and back.

    {"id", "prompt", "answer", "score", "references", "group", "finish_reason", "confidence",
     "score_basis", "width", "height", "result"}

`score` is that of the answer alone, as the figure counts it; null until all are there. `result` is
there where the answer is boxes or outlines, as `Prediction.to_dict` writes them.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from palikit.data.jsonl import json_text
from palikit.evaluation.benchmarks.row import Answered
from palikit.evaluation.exam import Item
from palikit.evaluation.found_words import with_words
from palikit.evaluation.metrics.objects import TrueObject
from palikit.prediction import Prediction
from palikit.records import OBJECT_TASKS, prediction_from_dict


def record_of(item: Item, prediction: Prediction[Any]) -> dict[str, Any]:
    """What is kept of an answer; its picture and its tokens are not."""
    example = item.example
    if example.words is not None:
        prediction = with_words(prediction)
    answer = prediction.to_dict()
    record = {
        "id": example.id,
        "prompt": example.prompt,
        "answer": prediction.text,
        "score": None,
        "references": _references(item),
        "group": example.group,
        "finish_reason": prediction.finish_reason,
        "confidence": answer["score"],
        "score_basis": answer["score_basis"],
        "width": prediction.width,
        "height": prediction.height,
    }
    if prediction.task in OBJECT_TASKS:
        record["result"] = answer["result"]
    return record


def answered_of(item: Item, record: Mapping[str, Any]) -> Answered:
    """An answer as its record has it.

    Raises:
        KeyError, TypeError, ValueError, InputError: a value is missing or of another kind.
    """
    text = str(record["answer"])
    prediction = prediction_from_dict(
        {
            "input": item.example.where,
            "task": item.task.name,
            "prompt": item.task.prompt,
            "text": text,
            "result": record.get("result", {"text": text}),
            "score": record["confidence"],
            "score_basis": record["score_basis"],
            "finish_reason": record["finish_reason"],
            "width": record["width"],
            "height": record["height"],
            "model": "",
        }
    )
    return Answered(item.example, text, prediction)


def line_of(record: Mapping[str, Any]) -> str:
    """A record as a line of JSON with its end."""
    return json_text(record) + "\n"


def with_score(record: Mapping[str, Any], score: float) -> dict[str, Any]:
    """A record with the score of its answer; null where that is no number."""
    return {**record, "score": score if math.isfinite(score) else None}


def read_line(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None where it is none."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("id"), str) else None


def _references(item: Item) -> list[Any]:
    """What would be right: texts, else words, else objects with their boxes."""
    example = item.example
    if example.answers:
        return list(example.answers)
    if example.words is not None:
        return [{"text": word.text, "legible": word.legible} for word in example.words]
    return [_object(each) for each in example.objects or ()]


def _object(found: TrueObject) -> dict[str, Any]:
    box = [round(edge, 2) for edge in found.box.to_list()]
    return {"label": found.label, "box": box, **({"crowd": True} if found.crowd else {})}
