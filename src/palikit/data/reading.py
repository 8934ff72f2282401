"""One door for every format: recognising what a data set is written in, and reading it."""

from collections.abc import Iterable
from pathlib import Path

from palikit.data.coco import coco_files, is_coco, read_coco
from palikit.data.csv_table import csv_files, read_csv
from palikit.data.hugging_face import is_hugging_face, read_hugging_face
from palikit.data.instance_labels import label_folder, read_instance_labels
from palikit.data.jsonl import jsonl_files, read_jsonl
from palikit.data.label_studio import is_label_studio, label_studio_file, read_label_studio
from palikit.data.options import Format, RenderOptions
from palikit.data.records import Records
from palikit.data.rows import Rows
from palikit.data.split_names import Splits, is_wanted, split_name
from palikit.data.voc import read_voc, voc_files
from palikit.data.yolo import read_yolo, yolo_file
from palikit.errors import InputError

_NEEDS: dict[Format, str] = {
    "jsonl": "*.jsonl, dataset/_annotations.*.jsonl or train/annotations.jsonl",
    "coco": "a JSON file with images and annotations, here, in annotations/ or train/",
    "voc": "Annotations/*.xml, or XML files beside the pictures",
    "yolo": "data.yaml with names, or classes.txt",
    "csv": "*.csv, or train/_annotations.csv",
    "label-studio": "a JSON export with a list of tasks",
    "instance-labels": "images/ and labels/ or masks/ with label pictures",
    "huggingface": "a folder made by save_to_disk",
}
_ENDINGS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".yaml": "yolo",
    ".yml": "yolo",
}


def read_source(
    source: str | Path,
    format: Format = "auto",  # noqa: A002 (the word users know it by)
    split: Splits = None,
    options: RenderOptions | None = None,
    *,
    hub: bool = False,
    pictures: Path | None = None,
) -> Records | Rows:
    """Read a data set: rows where it holds rows already, records otherwise.

    Args:
        source: a folder or a file, or with `hub` the name of a data set on the Hugging Face Hub.
        format: what it is written in.
        split: only this one, or these, of which None is what has no split; None for all.
        options: which labels and pictures are looked for, and the prefix of rows without one.
        hub: whether `source` is such a name.
        pictures: folder for pictures that have no files of their own.

    Raises:
        InputError: no such source, format or split, or the source as a whole cannot be read.
        MissingExtraError: a package is missing.
    """
    options, wanted = options or RenderOptions(), _in_one_spelling(split)
    if hub:
        found: Records | Rows = read_hugging_face(source, wanted, hub=True, pictures=pictures)
    else:
        path = Path(source)
        require_source(path)
        known = recognise(path) if format == "auto" else format
        found = _read(path, known, wanted, options, pictures)
    given = found.rows if isinstance(found, Rows) else found.records
    if wanted is not None:
        kept = [each for each in given if is_wanted(each.split, wanted)]
        if not kept and not any(problem.is_error for problem in found.problems):
            raise InputError(
                f"{source} has no split {_listed(split)}: it has "
                f"{_splits_there(source, format, options)}"
            )
    return found


def require_source(path: Path) -> None:
    """Raises InputError where there is no data set, or it cannot be looked at."""
    try:
        is_there = path.exists()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    if not is_there:
        raise InputError(f"there is no {path}: give a folder or file of a data set")


def _in_one_spelling(split: Splits) -> Splits:
    if split is None or isinstance(split, str):
        return split_name(split)
    return frozenset(map(split_name, split))


def _listed(split: Splits) -> str:
    names = [split] if isinstance(split, str) else sorted(filter(None, split or ()))
    return " or ".join(map(repr, names))


def recognise(path: Path) -> Format:
    """The format of a folder or file.

    Raises:
        InputError: none, or more than one; the message says what each needs.
    """
    found = list(_formats_of(path))
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{path} could be {' or '.join(found)}: say which one is meant with --format"
        )
    needs = "; ".join(f"{name}: {need}" for name, need in _NEEDS.items())
    raise InputError(f"{path} is none of the formats that were tried ({needs})")


def _formats_of(path: Path) -> Iterable[Format]:
    if path.is_dir():
        return [name for name in _NEEDS if _is_folder_of(name, path)]
    if path.suffix.lower() == ".json":
        return ["coco"] if is_coco(path) else ["label-studio"] if is_label_studio(path) else []
    known = _ENDINGS.get(path.suffix.lower())
    return [known] if known else []


def _is_folder_of(name: Format, path: Path) -> bool:
    if name == "jsonl":
        return bool(jsonl_files(path))
    if name == "coco":
        return bool(coco_files(path))
    if name == "voc":
        return bool(voc_files(path))
    if name == "yolo":
        return yolo_file(path) is not None
    if name == "csv":
        return bool(csv_files(path))
    if name == "label-studio":
        return label_studio_file(path) is not None
    if name == "instance-labels":
        return label_folder(path) is not None
    return is_hugging_face(path)


def _read(
    path: Path, known: Format, split: Splits, options: RenderOptions, pictures: Path | None
) -> Records | Rows:
    images = None if options.images is None else Path(options.images)
    masks = options.task == "segment"
    if known == "jsonl":
        return read_jsonl(path, split, images=images, prefix=options.prefix)
    if known == "csv":
        return read_csv(path, split, images=images, prefix=options.prefix)
    if known == "coco":
        return read_coco(path, split, images=images, masks=masks)
    if known == "voc":
        return read_voc(path, split, images=images, difficult=options.difficult)
    if known == "yolo":
        return read_yolo(path, split, images=images, masks=masks)
    if known == "label-studio":
        return read_label_studio(path, images=images, masks=masks)
    if known == "instance-labels":
        return read_instance_labels(path, images=images, masks=masks)
    return read_hugging_face(path, split, pictures=pictures)


def _splits_there(source: str | Path, known: Format, options: RenderOptions) -> str:
    whole = read_source(source, known, None, options)
    given = whole.rows if isinstance(whole, Rows) else whole.records
    names = sorted({each.split for each in given if each.split})
    return ", ".join(names) or "none; draw some with `palikit data convert --split`"
