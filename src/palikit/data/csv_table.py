"""CSV: what a table holds is read from its header.

    image, prefix, suffix                     rows, as in JSON lines
    image, label, x1, y1, x2, y2              an object a line; edges in pixels, the last two
                                              exclusive; a line without a label is a picture
                                              where nothing is to be found
    image, caption                            several lines of one picture are several captions
    image, question, answer                   several lines of one question are several answers
    image, text                               what is written in the picture

In Roboflow's export train/_annotations.csv stands among the pictures of its split. A column `split`
is read in each. Other names in use are known: filename, file_name, path for image;
class, category for label; xmin, ymin, xmax, ymax for the edges. The separator is a comma, semicolon
or tab, whichever the header holds. Edges that all lie between 0 and 1 are fractions of the sides,
not pixels, and are refused.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from palikit.data.findings import Findings, files_in, finite_numbers
from palikit.data.records import Annotation, Question, Record, Records
from palikit.data.rows import Row, Rows
from palikit.data.split_names import Splits, is_split_name, is_wanted, split_name, split_of
from palikit.data.text_files import read_text
from palikit.errors import InputError
from palikit.results import Box

_Kind: TypeAlias = Literal["rows", "objects", "questions", "captions", "texts"]

_NAMES = {
    "image": ("image", "filename", "file_name", "path", "image_path", "file"),
    "label": ("label", "class", "category", "class_name"),
    "x1": ("x1", "xmin", "x_min", "left"),
    "y1": ("y1", "ymin", "y_min", "top"),
    "x2": ("x2", "xmax", "x_max", "right"),
    "y2": ("y2", "ymax", "y_max", "bottom"),
    "prefix": ("prefix",),
    "suffix": ("suffix",),
    "caption": ("caption",),
    "question": ("question",),
    "answer": ("answer",),
    "text": ("text",),
    "split": ("split", "set", "subset"),
}
_COLUMNS: dict[_Kind, tuple[str, ...]] = {
    "rows": ("image", "prefix", "suffix"),
    "objects": ("image", "label", "x1", "y1", "x2", "y2"),
    "questions": ("image", "question", "answer"),
    "captions": ("image", "caption"),
    "texts": ("image", "text"),
}
_EDGES = ("x1", "y1", "x2", "y2")

_EXPORT = "_annotations.csv"
"""Roboflow's name of the table in the folder of each split, among its pictures."""


@dataclass(frozen=True)
class _Line:
    """One line of a table: where it stands, its split, and its cells by our names of columns."""

    where: str
    split: str | None
    cells: Mapping[str, str]


@dataclass
class _Known:
    """What the lines of one picture have said so far."""

    where: str
    split: str | None
    objects: list[Annotation] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    questions: dict[str, list[str]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


def read_csv(
    path: Path,
    split: Splits = None,
    *,
    images: Path | None = None,
    prefix: str | None = None,
) -> Records | Rows:
    """Read a table, or those of a folder.

    Args:
        path: a .csv file, or a folder with some, whose names then say the split.
        split: only this one, or these; None for all.
        images: folder of the pictures, where they are not beside the file.
        prefix: a prompt for every row of a table of rows, in place of its own.

    Raises:
        InputError: no such file, or a header with none of the sets of columns.
    """
    findings = Findings()
    parts: list[Records | Rows] = []
    root = path if path.is_dir() else path.parent
    for file in csv_files(path):
        table = _table(file, str(file.relative_to(root)), split, findings)
        if table is None:
            continue
        kind, lines = table
        chosen = [line for line in lines if is_wanted(line.split, split)]
        folders = (images,) if images is not None else (file.parent, file.parent / "images")
        if kind == "rows":
            parts.append(_rows(chosen, folders, prefix, findings))
        else:
            parts.append(_records(kind, chosen, folders, findings))
    problems = tuple(findings.problems)
    rows = tuple(row for part in parts if isinstance(part, Rows) for row in part.rows)
    records = tuple(each for part in parts if isinstance(part, Records) for each in part.records)
    if rows and records:
        raise InputError(f"{path} mixes tables of rows with tables of labels: give one file")
    if rows or any(isinstance(part, Rows) for part in parts):
        return Rows(rows, (), problems)
    labels = {each.label for record in records for each in record.objects or ()}
    return Records(records, tuple(sorted(labels)), problems)


def csv_files(path: Path) -> list[Path]:
    """The tables that a path stands for."""
    if path.is_file():
        return [path]
    return files_in(path, "*.csv") or files_in(path, f"*/{_EXPORT}")


def _table(
    file: Path, name: str, wanted: Splits, findings: Findings
) -> tuple[_Kind, list[_Line]] | None:
    """What a table is about, and its lines; None where all of it is of a split not wanted."""
    text = read_text(file)
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    numbered = _numbered(text, separator, file)
    columns = _columns(next(numbered, (1, []))[1])
    own = split_of(file.parent.name if file.name == _EXPORT else file.stem)
    if "split" not in columns and not is_wanted(own, wanted):
        return None
    kind = next((k for k, names in _COLUMNS.items() if set(names) <= columns.keys()), None)
    if kind is None:
        known = "; ".join(", ".join(names) for names in _COLUMNS.values())
        raise InputError(f"{file} has the columns {header.strip()!r}: expected one of {known}")
    named = [(f"{name}, line {number}", cells) for number, cells in numbered]
    found = list(_lines(named, columns, own))
    if not found:
        what = "it has no line below its header: give some, or remove the file"
        findings.error(name, what, "empty file")
    if kind == "objects":
        _refuse_fractions(file, found)
    return kind, found


def _numbered(text: str, separator: str, file: Path) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line with its number; a cell in quotes may go over several lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    number = 1
    try:
        for cells in reader:
            yield number, cells
            number = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{file}, line {number}, cannot be read as a table ({error}): correct it there"
        ) from error


def _lines(
    named: Sequence[tuple[str, Sequence[str]]], columns: Mapping[str, int], split: str | None
) -> Iterator[_Line]:
    for where, cells in named:
        if any(cell.strip() for cell in cells):
            by_name = {
                column: cells[place].strip() if place < len(cells) else ""
                for column, place in columns.items()
            }
            own = split_name(by_name.get("split")) or split
            if own is not None and not is_split_name(own):
                raise InputError(f"{where}: its split is {own!r}: a split is a word, such as train")
            yield _Line(where, own, by_name)


def _refuse_fractions(file: Path, lines: Sequence[_Line]) -> None:
    boxes = (finite_numbers([line.cells[edge] for edge in _EDGES], 4) for line in lines)
    known = [box for box in boxes if box is not None]
    if known and max(max(box) for box in known) <= 1:
        raise InputError(
            f"{file} has edges between 0 and 1 alone, which are fractions of the sides: write "
            f"{', '.join(_EDGES)} in pixels"
        )


def _columns(header: Sequence[str]) -> dict[str, int]:
    """The place of each column that is known, by our name of it."""
    places = {name.strip().lower(): place for place, name in reversed(list(enumerate(header)))}
    return {
        ours: places[theirs[0]]
        for ours, names in _NAMES.items()
        if (theirs := [name for name in names if name in places])
    }


def _rows(
    lines: Sequence[_Line], folders: Sequence[Path], prefix: str | None, findings: Findings
) -> Rows:
    rows = []
    for line in lines:
        found = findings.picture(line.cells["image"], folders, line.where)
        if not line.cells["suffix"]:
            findings.error(line.where, "its suffix is empty: give a text", "unusable row")
        elif found is not None:
            path, width, height = found
            rows.append(
                Row(
                    images=(path,),
                    prefix=line.cells["prefix"] if prefix is None else prefix,
                    suffixes=(line.cells["suffix"],),
                    width=width,
                    height=height,
                    where=line.where,
                    split=line.split,
                )
            )
    return Rows(tuple(rows))


def _records(
    kind: _Kind, lines: Sequence[_Line], folders: Sequence[Path], findings: Findings
) -> Records:
    known: dict[tuple[str, str | None], _Known] = {}
    for line in lines:
        key = (line.cells["image"], line.split)
        _learn(known.setdefault(key, _Known(line.where, line.split)), kind, line, findings)
    records = []
    for (name, split), each in known.items():
        if (found := findings.picture(name, folders, each.where)) is not None:
            records.append(
                Record(
                    images=(found[0],),
                    width=found[1],
                    height=found[2],
                    objects=tuple(each.objects) if kind == "objects" else None,
                    captions=tuple(each.captions),
                    questions=tuple(Question(q, tuple(a)) for q, a in each.questions.items()),
                    text="\n".join(each.texts) if kind == "texts" else None,
                    split=split,
                    where=each.where,
                )
            )
    return Records(tuple(records))


def _learn(known: _Known, kind: _Kind, line: _Line, findings: Findings) -> None:
    cells = line.cells
    if kind == "captions":
        known.captions.append(cells["caption"])
    elif kind == "questions":
        known.questions.setdefault(cells["question"], []).append(cells["answer"])
    elif kind == "texts":
        known.texts.append(cells["text"])
    elif cells["label"]:
        numbers = finite_numbers([cells[edge] for edge in _EDGES], 4)
        if numbers is None:
            got = ", ".join(cells[edge] for edge in _EDGES)
            findings.error(
                line.where,
                f"the box of {cells['label']!r} is {got!r}: expected four numbers in pixels",
                "unreadable object",
            )
        else:
            known.objects.append(Annotation(cells["label"], Box(*numbers)))
