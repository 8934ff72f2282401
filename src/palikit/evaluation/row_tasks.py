"""What rows of a data set ask for, by their prompts. No torch."""

from collections import Counter
from typing import TYPE_CHECKING

from palikit.data.options import DataTask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palikit.data.rows import Row

_TASKS: dict[str, DataTask] = {
    "detect": "detect",
    "segment": "segment",
    "refer": "segment",
    "caption": "caption",
    "describe": "caption",
    "answer": "vqa",
    "ocr": "ocr",
}


def data_task_of(row: "Row") -> DataTask:
    """What a row asks for; a question in any words is vqa."""
    from palikit.data.check_suffix import task_of

    return _TASKS.get(task_of(row, row.suffixes[0]).name, "vqa")


def tasks_asked(rows: "Sequence[Row]") -> Counter[DataTask]:
    """How many rows ask for what."""
    return Counter(map(data_task_of, rows))
