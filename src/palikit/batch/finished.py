"""What made a finished file, kept beside it, so that the same command again has nothing to do.

JSON lines need none of this: they say themselves what they hold. The record of any other FILE is
.FILE.finished.json; it holds for the very bytes it was written with.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from palikit.batch.question import Question
from palikit.batch.settings import Settings, read_settings


def finished_inputs(
    file: Path, question: Question, model: str, settings: Settings, file_format: str
) -> frozenset[str]:
    """Keys of the inputs whose answers a file holds; none where it was not made by this command.

    Args:
        file: the finished file.
        question: what is asked now.
        model: the name of the model that is asked now.
        settings: the options that it is asked with.
        file_format: how the answers are written.
    """
    file = file.resolve()
    try:
        record = read_settings(_record_file(file))
        if record is None or record.get("sha256") != _digest(file):
            return frozenset()
    except OSError:
        return frozenset()
    now, options = _command(question, model, file_format), record.get("options")
    is_other = any(record.get(name) != value for name, value in now.items())
    if is_other or not isinstance(options, Mapping) or settings.differences(options):
        return frozenset()
    return frozenset(map(str, record.get("inputs", ())))


def finished_record(
    file: Path,
    question: Question,
    model: str,
    settings: Settings,
    file_format: str,
    keys: Collection[str],
) -> tuple[Path, str]:
    """The record's file and what is to be written there, for a file that was just finished."""
    record = {
        **_command(question, model, file_format),
        "options": settings.to_dict(),
        "sha256": _digest(file),
        "inputs": sorted(keys),
    }
    return _record_file(file), json.dumps(record, indent=2) + "\n"


def _command(question: Question, model: str, file_format: str) -> dict[str, Any]:
    return {
        "format": file_format,
        "task": question.task,
        "asked": question.asked,
        "model": model,
    }


def _record_file(file: Path) -> Path:
    return file.with_name(f".{file.name}.finished.json")


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
