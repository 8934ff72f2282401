"""A data set in any format -> a folder that training reads: prepared whole, then written."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from palikit.data.admitting import admit_records
from palikit.data.check_objects import objects_of
from palikit.data.options import OBJECT_TASKS, ConvertOptions, Format, Layout, RenderOptions
from palikit.data.reading import read_source
from palikit.data.records import Annotation, Records
from palikit.data.render import check_material, render_admitted, render_records
from palikit.data.rows import Encode, Row, Rows
from palikit.data.split_names import split_place
from palikit.data.splits import divide
from palikit.data.tiling import Tile, plan_tiles, save_tiles
from palikit.data.writing import copy_pictures, planned_copies, write_coco, write_jsonl
from palikit.errors import InputError

IMAGES = "images"
"""The folder that pictures are written to, beside the files of rows."""

_ENDING: dict[Layout, str] = {"jsonl": ".jsonl", "coco": ".json"}

_OF_ANY_ROWS = ("task", "prefix", "images", "seed")
"""What can be said about a source that holds rows already."""


@dataclass(frozen=True)
class Prepared:
    """A data set ready to be written.

    Attributes:
        rows: of all splits; `rows.problems` with an error forbid writing.
        tiles: pictures still to be cut.
    """

    rows: Rows
    tiles: tuple[Tile, ...] = ()


@dataclass(frozen=True)
class Written:
    """One file of a split."""

    split: str
    file: Path
    num_rows: int
    objects_by_class: tuple[tuple[str, int], ...]


def prepare(
    source: str | Path,
    destination: Path,
    *,
    format: Format = "auto",  # noqa: A002 (the word users know it by)
    render: RenderOptions | None = None,
    options: ConvertOptions | None = None,
    encode: Encode | None = None,
    hub: bool = False,
) -> Prepared:
    """Read a data set and make its rows; nothing is written but pictures that have no files.

    Args:
        source: a folder or file, or with `hub` a name on the Hugging Face Hub.
        destination: the folder to write to later.
        format: what the source is written in.
        render: how records become rows.
        options: where they go.
        encode: turns an outline into codes; needed for the task "segment".
        hub: whether `source` is a name.

    Raises:
        InputError: the source cannot be read, an option does not fit it, or files are in the way.
        MissingExtraError: a package is missing.
    """
    render, options = render or RenderOptions(), options or ConvertOptions()
    pictures = destination / IMAGES
    _check_is_folder(destination)
    found = read_source(source, format, None, render, hub=hub, pictures=pictures)
    if isinstance(found, Rows):
        _check_fits_rows(source, render, options)
        rows = (
            found.rows if options.split is None else divide(found.rows, options.split, render.seed)
        )
        return _checked(Prepared(replace(found, rows=rows)), destination, options)
    if options.split is not None:
        found = replace(found, records=divide(found.records, options.split, render.seed))
    if options.crop is None:
        prepared = Prepared(render_records(found, render, encode))
    else:
        prepared = _cropped(found, options.crop, pictures, render, options, encode)
    return _checked(prepared, destination, options)


def write(
    prepared: Prepared, destination: Path, options: ConvertOptions
) -> tuple[list[Written], int]:
    """Write what `prepare` made.

    Returns:
        The files, and how many pictures were saved anew because of their EXIF orientation.

    Raises:
        InputError: something cannot be written.
    """
    save_tiles(prepared.tiles)
    rows, turned = prepared.rows, 0
    if options.copy:
        upright = options.to == "coco"
        copies, turned = copy_pictures(rows.rows, destination / IMAGES, upright=upright)
        rows = replace(rows, rows=copies)
    written = []
    for split, file in _files(rows, destination, options):
        part = [row for row in rows.rows if (row.split or "train") == split]
        if options.to == "coco":
            write_coco(part, file, classes=rows.classes, overwrite=options.overwrite)
        else:
            write_jsonl(part, file, overwrite=options.overwrite)
        counts = Counter(each.label for row in part for each in _objects(row))
        by_class = tuple((name, counts[name]) for name in dict.fromkeys([*rows.classes, *counts]))
        written.append(Written(split, file, len(part), by_class))
    return written, turned


def _objects(row: Row) -> Sequence[Annotation]:
    """The objects of a row, crowds included; read from its suffix where it has no others."""
    return objects_of(row) if row.objects is None else row.objects


def _cropped(
    records: Records,
    side: int,
    pictures: Path,
    render: RenderOptions,
    options: ConvertOptions,
    encode: Encode | None,
) -> Prepared:
    if render.task not in OBJECT_TASKS:
        raise InputError(f"--crop cuts objects, and --task is {render.task}: leave --crop out")
    check_material(records, render)
    tiled, tiles = plan_tiles(admit_records(records, render), side, pictures)
    _check_absent([tile.file for tile in tiles], options)  # outlines take minutes to encode
    rows = render_admitted(tiled, render, encode)
    used = {path for row in rows.rows for path in row.images}
    return Prepared(rows, tuple(tile for tile in tiles if tile.file.absolute() in used))


def _check_is_folder(destination: Path) -> None:
    if destination.exists() and not destination.is_dir():
        raise InputError(f"{destination} is a file: give the name of a folder")


def _check_fits_rows(source: str | Path, render: RenderOptions, options: ConvertOptions) -> None:
    """Raises InputError where an option speaks of labels and the source holds rows already."""
    given = [
        field.name
        for field in fields(render)
        if field.name not in _OF_ANY_ROWS and getattr(render, field.name) != field.default
    ]
    if options.crop is not None:
        given.append("crop")
    if given:
        raise InputError(
            f"{source} holds rows of prefix and suffix, which are taken as they are: leave "
            f"--{given[0].replace('_', '-')} out, or convert the data set they were made from"
        )


def _checked(prepared: Prepared, destination: Path, options: ConvertOptions) -> Prepared:
    """The same, if nothing that exists would be overwritten unasked."""
    files = [file for _, file in _files(prepared.rows, destination, options)]
    if options.copy and not prepared.tiles:
        upright = options.to == "coco"
        copies = planned_copies(prepared.rows.rows, destination / IMAGES, upright=upright)
        files += copies.values()
    _check_absent(files, options)
    return prepared


def _check_absent(files: Iterable[Path], options: ConvertOptions) -> None:
    there = next((file for file in files if file.exists()), None)
    if there is not None and not options.overwrite:
        raise InputError(f"{there} exists: choose another folder, or --overwrite it")


def _files(rows: Rows, destination: Path, options: ConvertOptions) -> Sequence[tuple[str, Path]]:
    """Each split and its file, train first; rows without a split are train."""
    splits = {row.split or "train" for row in rows.rows}
    names = sorted(splits, key=lambda split: (split_place(split), split))
    return [(name, destination / f"{name}{_ENDING[options.to]}") for name in names]
