"""Answers as Parquet: a row an input, objects as a list in their row; nothing is flattened away.

Columns are those of `Prediction.to_dict`; in the place of `result` stand `objects`, `unparsed` and
`problems` for detect, segment and refer, and nothing for texts, whose `text` is their result.
Boxes are pixels of the picture; a mask is the compressed COCO run lengths over height x width.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palikit.errors import MissingExtraError
from palikit.prediction import Prediction
from palikit.records import OBJECT_TASKS
from palikit.tasks import TaskName

_EDGES = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class ParquetLayout:
    """How the answers of one run are written as Parquet.

    Attributes:
        task: what was asked; decides the columns.
        format: "parquet".

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    task: TaskName
    format: str = "parquet"

    def __post_init__(self) -> None:
        try:
            import pyarrow.parquet  # noqa: F401 (whether it is there, before the work)
        except ImportError:
            raise MissingExtraError("pyarrow", "batch", "write Parquet") from None

    def whole(self, predictions: Sequence[Prediction[Any]]) -> bytes:
        """All answers as one file, of one row group."""
        import pyarrow
        from pyarrow import parquet

        rows = [_row(each.to_dict()) for each in predictions]
        content = io.BytesIO()
        table = pyarrow.Table.from_pylist(rows, schema=_schema(self.task))
        parquet.write_table(table, content, compression="zstd")
        return content.getvalue()


def _row(record: dict[str, Any]) -> dict[str, Any]:
    result = record.pop("result")
    # Names of files need not be text, and a column of text must be.
    record["input"] = record["input"].encode("utf-8", "backslashreplace").decode()
    if record["task"] not in OBJECT_TASKS:
        return record
    objects = [_object(each) for each in result["objects"]]
    return {
        **record,
        "objects": objects,
        "unparsed": result["unparsed"],
        "problems": result["problems"],
    }


def _object(found: dict[str, Any]) -> dict[str, Any]:
    mask = found.get("mask")
    return {
        "label": found["label"],
        "score": found["score"],
        **dict(zip(_EDGES, found["box"], strict=True)),
        "codes": found.get("codes"),
        "mask": None if mask is None else mask["counts"],
    }


def _schema(task: TaskName) -> Any:
    import pyarrow as pa

    columns = {name: pa.string() for name in ("input", "task", "prompt", "text")}
    columns |= {"score": pa.float64(), "score_basis": pa.string(), "finish_reason": pa.string()}
    columns |= {"width": pa.int32(), "height": pa.int32(), "model": pa.string()}
    if task in OBJECT_TASKS:
        of_object = {"label": pa.string(), "score": pa.float64()}
        of_object |= {edge: pa.float64() for edge in _EDGES}
        if task != "detect":
            of_object |= {"codes": pa.list_(pa.int16()), "mask": pa.string()}
        columns["objects"] = pa.list_(pa.struct(list(of_object.items())))
        columns |= {"unparsed": pa.string(), "problems": pa.list_(pa.string())}
    return pa.schema(list(columns.items()))
