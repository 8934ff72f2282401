"""Hugging Face `datasets`: a folder made by `save_to_disk`, or the name of a data set on the Hub.

Columns are recognised by their names:

    image                       the picture
    objects                     a list of boxes, [x, y, width, height] in pixels, under `bbox` and
                                their classes, numbers or names, under `category`, `categories` or
                                `label`
    caption, captions           a text or a list of texts
    question, answer, answers   a text; a text or a list of texts
    text                        what is written in the picture

Pictures that lie inside the tables, as most do, are written as files to a folder of their own.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palikit.data.findings import Findings, finite_numbers, upright_size
from palikit.data.records import Annotation, Question, Record, Records
from palikit.data.split_names import Splits, is_wanted, split_name
from palikit.data.writing import saved_file
from palikit.errors import InputError, MissingExtraError
from palikit.pictures import opened
from palikit.results import Box

_MARKS = ("dataset_dict.json", "dataset_info.json", "state.json")
_CLASS_COLUMNS = ("category", "categories", "label", "labels", "category_id")


@dataclass(frozen=True)
class _Table:
    """One split: its name, its columns, the names of its classes by number."""

    name: str
    split: str | None
    columns: frozenset[str]
    classes: tuple[str, ...]
    pictures: Path | None


def read_hugging_face(
    source: str | Path,
    split: Splits = None,
    *,
    hub: bool = False,
    pictures: Path | None = None,
) -> Records:
    """Read a data set.

    Args:
        source: a folder, or with `hub` a name such as "cppe-5".
        split: only this one, or these; None for all.
        hub: whether `source` is a name, and may be fetched.
        pictures: folder that pictures without files of their own are written to.

    Raises:
        MissingExtraError: `datasets` is not installed.
        InputError: no such data set, no column of pictures, or nowhere to write pictures to.
    """
    findings = Findings()
    records: list[Record] = []
    classes: dict[str, None] = {}
    for name, data in _tables(source, split, hub=hub):
        own = None if name is None else split_name(name)
        table = _table(data, name or "rows", own, pictures)
        classes.update(dict.fromkeys(table.classes))
        for number, row in enumerate(data):
            if (record := _record(row, number, table, findings)) is not None:
                records.append(record)
    labels = (each.label for record in records for each in record.objects or ())
    classes.update(dict.fromkeys(labels))
    return Records(tuple(records), tuple(classes), tuple(findings.problems))


def is_hugging_face(folder: Path) -> bool:
    """Whether a folder was made by `save_to_disk`."""
    return any((folder / mark).is_file() for mark in _MARKS[:1]) or all(
        (folder / mark).is_file() for mark in _MARKS[1:]
    )


def _tables(source: str | Path, wanted: Splits, *, hub: bool) -> Iterator[tuple[str | None, Any]]:
    """Each split wanted with its name, pictures left as bytes; one without a name is whole."""
    try:
        import datasets  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as error:
        raise MissingExtraError("datasets", "data", "read data sets of Hugging Face") from error
    try:
        whole: Any = (
            datasets.load_dataset(str(source)) if hub else datasets.load_from_disk(str(source))
        )
    except Exception as error:  # of many classes: network, access, Arrow, its own
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{source} could not be read by datasets ({reason})") from error
    parts = whole.items() if isinstance(whole, Mapping) else [(None, whole)]
    for name, data in parts:
        if not is_wanted(None if name is None else split_name(name), wanted):
            continue
        if "image" not in data.column_names:
            raise InputError(
                f"{source} has the columns {', '.join(data.column_names)}: expected one that is "
                "called image"
            )
        if isinstance(data.features["image"], datasets.Image):
            data = data.cast_column("image", datasets.Image(decode=False))  # noqa: PLW2901
        yield name, data


def _table(data: Any, name: str, split: str | None, pictures: Path | None) -> _Table:
    return _Table(name, split, frozenset(data.column_names), _class_names(data), pictures)


def _class_names(data: Any) -> tuple[str, ...]:
    """The names behind the numbers of the classes; empty where names are written out."""
    objects = data.features.get("objects")
    inner = getattr(objects, "feature", objects)
    inner = inner[0] if isinstance(inner, list) else inner
    for column in _CLASS_COLUMNS:
        feature = inner.get(column) if isinstance(inner, Mapping) else None
        names = getattr(getattr(feature, "feature", feature), "names", None)
        if names:
            return tuple(map(str, names))
    return ()


def _record(
    row: Mapping[str, Any], number: int, table: _Table, findings: Findings
) -> Record | None:
    where = f"{table.name}, row {number}"
    try:
        path = _picture(row["image"], number, table)
        size = upright_size(path)
        objects = _objects(row["objects"], table.classes) if "objects" in table.columns else None
    except InputError as error:
        findings.error(where, str(error), "unusable row")
        return None
    question, text = row.get("question"), row.get("text")
    answers = _texts(row, "answers", "answer")
    return Record(
        images=(path,),
        width=size[0],
        height=size[1],
        objects=objects,
        captions=_texts(row, "captions", "caption"),
        questions=(Question(question, answers),) if isinstance(question, str) else (),
        text=text if isinstance(text, str) else None,
        split=table.split,
        where=where,
    )


def _texts(row: Mapping[str, Any], *columns: str) -> tuple[str, ...]:
    """The texts of the first of some columns that is there.

    Answers may be {"answer": text} each, as in VQAv2, or {"text": texts} together, as in SQuAD.
    """
    value = next((row[column] for column in columns if row.get(column) is not None), ())
    if isinstance(value, Mapping) and "text" in value:
        value = value["text"]
    values = value if isinstance(value, list | tuple) else [value]
    known = (each.get("answer") if isinstance(each, Mapping) else each for each in values)
    return tuple(str(each) for each in known if each is not None)


def _picture(value: Any, number: int, table: _Table) -> Path:
    """The file of a picture, written where it has none."""
    given = value if isinstance(value, dict) else {"path": value, "bytes": None}
    path, data = given.get("path"), given.get("bytes")
    if data is None:
        if isinstance(path, str) and Path(path).is_file():
            return Path(path).absolute()
        raise InputError(f"its picture {path} is not there: put it there")
    if table.pictures is None:
        raise InputError(
            "its picture lies inside the data set: write it out with `palikit data convert SRC DST`"
        )
    with opened(io.BytesIO(data)) as picture:
        suffix = {"JPEG": ".jpg"}.get(picture.format or "", f".{(picture.format or 'png').lower()}")
    file = table.pictures / f"{table.name}-{number:06}{suffix}"
    _save(file, data)
    return file.absolute()


def _save(file: Path, data: bytes) -> None:
    """Write a picture, unless the same one is there already; another one is never replaced."""
    if not file.exists():
        with saved_file(file) as temporary:
            temporary.write_bytes(data)
    elif not file.is_file() or file.stat().st_size != len(data) or file.read_bytes() != data:
        raise InputError(f"{file} is there already and differs: remove it, or choose another DST")


def _objects(value: Any, classes: tuple[str, ...]) -> tuple[Annotation, ...]:
    columns = _by_column(value)
    boxes = columns.get("bbox")
    kinds = next((columns[name] for name in _CLASS_COLUMNS if name in columns), None)
    if boxes is None or kinds is None or len(boxes) != len(kinds):
        raise InputError(
            f"its objects have the columns {', '.join(columns)}: expected bbox and category, one "
            "of each an object"
        )
    return tuple(_object(box, kind, classes) for box, kind in zip(boxes, kinds, strict=True))


def _by_column(value: Any) -> dict[str, list[Any]]:
    """Objects as a column each, whether they were given so or as a list of objects."""
    if isinstance(value, Mapping):
        return {str(name): list(column) for name, column in value.items()}
    items = [each for each in value or () if isinstance(each, Mapping)]
    names = dict.fromkeys(name for each in items for name in each) or ("bbox", "category")
    return {str(name): [each.get(name) for each in items] for name in names}


def _object(box: Any, kind: Any, classes: tuple[str, ...]) -> Annotation:
    numbers = finite_numbers(box, 4)
    if numbers is None:
        raise InputError(f"the bbox {box!r} of an object is not [x, y, width, height] in pixels")
    if isinstance(kind, int) and not 0 <= kind < len(classes):
        raise InputError(f"the class {kind} of an object is not among the {len(classes)} names")
    x, y, width, height = numbers
    if kind is None:
        raise InputError("an object has no class: give it one")
    label = classes[kind] if isinstance(kind, int) else str(kind).strip()
    return Annotation(label, Box(x, y, x + width, y + height))
