"""The records of JSON, JSON lines and CSV files, each with its place for messages.

Sizes are bounded, since a file may come from anywhere: a whole JSON file is held in memory at about
ten times its size, and so is a line.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from palikit.data.text_files import read_json
from palikit.errors import InputError

MAX_JSON_BYTES = 2**30
"""Largest JSON file that is read whole; the largest of these benchmarks has a third of it."""

MAX_LINE = 2**24
"""Characters of the longest line."""

ValueT = TypeVar("ValueT")


class Item:
    """One JSON object, whose values are asked for by their kind.

    Args:
        value: what JSON holds there.
        where: the place in the source: "questions.json, entry 17".

    Raises:
        InputError: it is no object; every method says so of a value that is missing or of another
            kind.
    """

    __slots__ = ("_record", "where")

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise InputError(f"{where} is no JSON object but {_short(value)}: expected one")
        self._record: dict[str, Any] = value
        self.where = where

    def __contains__(self, key: str) -> bool:
        return self._record.get(key) is not None

    def keys(self) -> tuple[str, ...]:
        """The names of its values."""
        return tuple(self._record)

    def text(self, key: str) -> str:
        """A text."""
        return self._of(key, str, "a text")

    def name(self, key: str) -> str:
        """A text or a whole number, as a text; not empty."""
        value = self._record.get(key)
        if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
            raise self.fault(key, "a text or a whole number")
        return str(value)

    def whole(self, key: str) -> int:
        """A whole number."""
        value = self._of(key, int, "a whole number")
        if isinstance(value, bool):
            raise self.fault(key, "a whole number")
        return value

    def flag(self, key: str) -> bool:
        """True or false, also as 1 or 0."""
        value = self._record.get(key)
        if value not in (0, 1):
            raise self.fault(key, "true or false")
        return bool(value)

    def any(self, key: str) -> Any:
        """Whatever is there; None where nothing is."""
        return self._record.get(key)

    def values(self, key: str) -> list[Any]:
        """A list of anything."""
        return self._of(key, list, "a list")

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        values = self.values(key)
        if not all(isinstance(value, str) for value in values):
            raise self.fault(key, "a list of texts")
        return tuple(values)

    def item(self, key: str) -> "Item":
        """An object."""
        return Item(self._of(key, dict, "an object"), self.where)

    def items(self, key: str) -> list["Item"]:
        """A list of objects."""
        return [Item(value, self.where) for value in self.values(key)]

    def fault(self, key: str, expected: str) -> InputError:
        """The error of a value that is not as expected."""
        return InputError(
            f"{self.where}: its {key} is {_short(self._record.get(key))}: expected {expected}"
        )

    def _of(self, key: str, kind: type[ValueT], expected: str) -> ValueT:
        value = self._record.get(key)
        if not isinstance(value, kind):
            raise self.fault(key, expected)
        return value


def whole_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        InputError: it is too large, cannot be read, is not UTF-8, or not JSON.
    """
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(
            f"{path} has more than {MAX_JSON_BYTES:,} bytes: expected the benchmark's own file; "
            "split it, or give JSON lines"
        )
    return read_json(path)


def entries_of(path: Path, key: str | None = None) -> Iterator[Item]:
    """The objects of a JSON list, or of the list under a key of a JSON object.

    Raises:
        InputError: as of `whole_json`, or it holds no such list.
    """
    value = whole_json(path)
    if key is not None:
        value = Item(value, path.name).values(key)
    if not isinstance(value, list):
        raise InputError(f"{path} is no JSON list but {_short(value)}: expected a list of entries")
    for number, each in enumerate(value, start=1):
        yield Item(each, f"{path.name}, {f'{key} ' if key else ''}entry {number}")


def named_entries(path: Path) -> Iterator[tuple[str, Item]]:
    """The objects of a JSON object, each with its name."""
    whole = whole_json(path)
    if not isinstance(whole, dict):
        raise InputError(f"{path} is no JSON object but {_short(whole)}: expected entries by name")
    for name, each in whole.items():
        yield name, Item(each, f"{path.name}, entry {name!r}")


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, numbered from 1, without their ends.

    Raises:
        InputError: the file cannot be read, a line is not UTF-8 or too long.
    """
    try:
        with path.open("rb") as stream:
            number = 0
            while raw := stream.readline(MAX_LINE + 1):
                number += 1
                if len(raw) > MAX_LINE:
                    raise InputError(
                        f"{path}, line {number}, has more than {MAX_LINE:,} bytes: expected one "
                        "entry on each line"
                    )
                if line := _decoded(raw, path, number).strip("\r\n"):
                    yield number, line
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def line_items(path: Path) -> Iterator[Item]:
    """The objects of a file of JSON lines.

    Raises:
        InputError: as of `lines_of`, or a line is no JSON object.
    """
    for number, line in lines_of(path):
        where = f"{path.name}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{where} is not JSON ({error}): expected one object on the line"
            ) from error
        yield Item(value, where)


def table_rows(path: Path, *columns: str) -> Iterator[Item]:
    """The rows of a CSV file with a header.

    Raises:
        InputError: as of `lines_of`, or a column is missing.
    """
    rows = csv.reader((f"{line}\n" for _, line in lines_of(path)))
    try:
        header = [name.strip() for name in next(rows, [])]
        if lacking := [name for name in columns if name not in header]:
            raise InputError(
                f"{path} has the columns {', '.join(header) or '(none)'}: expected "
                f"{', '.join(lacking)} too"
            )
        for number, row in enumerate(rows, start=1):
            where = f"{path.name}, row {number}"
            if len(row) != len(header):
                raise InputError(f"{where} has {len(row)} cells: expected {len(header)}")
            yield Item(dict(zip(header, row, strict=True)), where)
    except csv.Error as error:
        raise InputError(f"{path} is not CSV ({error}): expected a comma between cells") from error


def _decoded(raw: bytes, path: Path, number: int) -> str:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise InputError(
            f"{path}, line {number}, is not UTF-8 text: save the file in UTF-8"
        ) from None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
