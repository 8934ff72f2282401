"""Reading the text files of data sets: UTF-8, and what is wrong with one told by its line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from palikit.errors import InputError


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        InputError: the file cannot be opened or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}): expected a whole JSON file") from error


def read_text(path: Path) -> str:
    """A text file, in UTF-8 with or without its mark.

    Raises:
        InputError: the file cannot be opened or is not UTF-8.
    """
    with _faults_named(path):
        return path.read_text(encoding="utf-8-sig")


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a text file with their ends, one at a time.

    Raises:
        InputError: as of `read_text`.
    """
    with _faults_named(path), path.open(encoding="utf-8-sig") as stream:
        yield from stream


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise InputError(
            f"{path}, line {_line_not_utf8(path)}, is not UTF-8 text: save the file in UTF-8"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _line_not_utf8(path: Path) -> int:
    """The number of the first line that is not UTF-8."""
    number = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):  # noqa: B007 (the last one counts)
            try:
                line.decode()
            except UnicodeDecodeError:
                break
    return number
