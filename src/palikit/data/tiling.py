"""Cutting large pictures with many small objects into tiles.

A picture is divided evenly, without overlap, into the fewest tiles whose sides do not exceed the
one asked for. An object cut by a tile's edge stays where at least half of its area lies: its
outline is cut and its box drawn anew around what is left. Where less of it lies it is seen and not
marked.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from palikit.data.outlines import box_of_mask
from palikit.data.records import Annotation, Record, Records
from palikit.data.writing import saved_file, unique_names
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.pictures import load_picture
from palikit.results import Box

KEPT_SHARE = 0.5
"""The part of an object's area that must lie in a tile."""

MIN_SIDE = 16
"""Pixels; smaller tiles show nothing to a model that looks at patches of 14."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture, in its pixels, and the file it is saved as."""

    source: Path
    left: int
    top: int
    right: int
    bottom: int
    file: Path


def plan_tiles(records: Records, side: int, folder: Path) -> tuple[Records, tuple[Tile, ...]]:
    """Records of tiles in place of those of whole pictures, and the tiles to save.

    Args:
        records: as `admit_records` gives them.
        side: longest side of a tile, in pixels.
        folder: where the tiles will be.

    Raises:
        InputError: `side` is too small, or a record has several pictures.
    """
    if side < MIN_SIDE:
        raise InputError(f"--crop is {side}: it must be {MIN_SIDE} pixels or more")
    stems = unique_names(record.images[0].stem for record in records.records)
    tiled: list[Record] = []
    tiles: list[Tile] = []
    for record, stem in zip(records.records, stems, strict=True):
        if len(record.images) > 1:
            raise InputError(f"{record.where} has several pictures: --crop cuts single ones")
        for left, top, right, bottom in _grid(record, side):
            file = folder / f"{stem}-x{left}-y{top}.png"
            tile = Tile(record.images[0], left, top, right, bottom, file)
            tiles.append(tile)
            tiled.append(_cut(record, tile))
    return replace(records, records=tuple(tiled)), tuple(tiles)


def save_tiles(tiles: Sequence[Tile]) -> None:
    """Write the tiles as PNG files; each picture is opened once.

    Raises:
        InputError: a picture cannot be opened, or a tile cannot be written.
    """
    source, picture = None, None
    for tile in tiles:
        if picture is None or tile.source != source:
            source, picture = tile.source, load_picture(tile.source)
        part = picture.crop((tile.left, tile.top, tile.right, tile.bottom))
        with saved_file(tile.file) as temporary:
            part.save(temporary, format="PNG")


def _grid(record: Record, side: int) -> Iterator[tuple[int, int, int, int]]:
    xs, ys = (_edges(length, side) for length in (record.width, record.height))
    for top, bottom in pairwise(ys):
        for left, right in pairwise(xs):
            yield left, top, right, bottom


def _edges(length: int, side: int) -> list[int]:
    count = math.ceil(length / side)
    return [round(index * length / count) for index in range(count + 1)]


def _cut(record: Record, tile: Tile) -> Record:
    width, height = tile.right - tile.left, tile.bottom - tile.top
    objects = None
    if record.objects is not None:  # where nobody marked any, that is not to say there are none
        cut = (_cut_object(each, tile) for each in record.objects)
        objects = tuple(each for each in cut if each is not None)
    return replace(
        record,
        images=(tile.file.absolute(),),
        width=width,
        height=height,
        objects=objects,
        where=f"{record.where}, tile {tile.left},{tile.top}",
    )


def _cut_object(found: Annotation, tile: Tile) -> Annotation | None:
    """The object as the tile shows it; None where too little of it does."""
    box = found.box
    cut = Box(
        max(box.x1, tile.left) - tile.left,
        max(box.y1, tile.top) - tile.top,
        min(box.x2, tile.right) - tile.left,
        min(box.y2, tile.bottom) - tile.top,
    )
    if cut.width <= 0 or cut.height <= 0:
        return None
    whole = box.width * box.height
    left = cut.width * cut.height
    mask = None
    if found.mask is not None:
        mask = _cut_mask(found.mask, tile)
        whole, left = found.mask.area, mask.area
    if left < KEPT_SHARE * whole and not found.crowd:
        return None
    is_whole = (cut.width, cut.height) == (box.width, box.height)
    if mask is not None and not is_whole:
        cut = box_of_mask(mask) or cut
    return replace(found, box=cut, mask=mask, area=found.area if is_whole else None)


def _cut_mask(mask: Mask, tile: Tile) -> Mask:
    return Mask.from_array(mask.to_array()[tile.top : tile.bottom, tile.left : tile.right])
