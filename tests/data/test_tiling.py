"""Tiles: even, without overlap, with the objects that lie in them for the most part."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palikit.data.records import Annotation, Record, Records
from palikit.data.tiling import plan_tiles, save_tiles
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.pictures import load_picture
from palikit.results import Box
from tests.data.broken import save_picture, save_turned


def planned(folder: Path, *objects: Annotation, size: tuple[int, int] = (90, 60)) -> Records:
    record = Record((folder / "a.png",), *size, objects, where="a")
    return plan_tiles(Records((record,)), 40, folder / "out")[0]


def test_tiles_divide_the_picture_evenly_and_wholly(tmp_path: Path) -> None:
    records = planned(tmp_path).records
    assert [(each.width, each.height) for each in records] == [(30, 30)] * 6
    assert len({each.images for each in records}) == 6
    assert [each.objects for each in records] == [()] * 6


def test_saved_tiles_are_the_upright_picture_s_own_pixels(tmp_path: Path) -> None:
    save_turned(tmp_path / "a.png", 0, (60, 90))
    record = Record((tmp_path / "a.png",), 90, 60, (), where="a")
    found, tiles = plan_tiles(Records((record,)), 40, tmp_path / "out")
    save_tiles(tiles)
    whole = np.asarray(load_picture(tmp_path / "a.png"))
    with Image.open(found.records[4].images[0]) as tile:
        assert np.array_equal(np.asarray(tile), whole[30:60, 30:60])


def test_an_object_stays_where_half_of_it_lies(tmp_path: Path) -> None:
    left = Annotation("cat", Box(10, 5, 34, 15))  # 20 of 24 columns in the first tile
    records = planned(tmp_path, left).records
    assert records[0].objects == (Annotation("cat", Box(10, 5, 30, 15)),)
    assert [each.objects for each in records[1:]] == [()] * 5


def test_an_object_cut_in_four_is_in_none(tmp_path: Path) -> None:
    middle = Annotation("cat", Box(20, 20, 40, 40))
    assert all(each.objects == () for each in planned(tmp_path, middle).records)


def test_a_cut_outline_gets_the_box_around_what_is_left(tmp_path: Path) -> None:
    inside = np.zeros((60, 90), np.bool_)
    inside[10:20, 5:30] = True
    inside[14, 30:50] = True  # a thin arm into the next tile, so the outline decides, not the box
    thing = Annotation("cat", Box(5, 10, 50, 20), Mask.from_array(inside))
    (found,) = planned(tmp_path, thing).records[0].objects or ()
    assert found.box == Box(5, 10, 30, 20)
    assert found.mask is not None
    assert np.array_equal(found.mask.to_array(), inside[:30, :30])


def test_an_object_within_a_tile_keeps_its_exact_box(tmp_path: Path) -> None:
    inside = np.zeros((60, 90), np.bool_)
    inside[35:40, 65:70] = True
    thing = Annotation("cat", Box(64.5, 34.5, 70.5, 40.5), Mask.from_array(inside))
    (found,) = planned(tmp_path, thing).records[5].objects or ()
    assert found.box == Box(4.5, 4.5, 10.5, 10.5)


def test_pictures_of_one_name_keep_apart(tmp_path: Path) -> None:
    records = []
    for folder in ("x", "y"):
        save_picture(tmp_path / folder / "a.png", 0, (20, 20))
        records.append(Record((tmp_path / folder / "a.png",), 20, 20, (), where=folder))
    _, tiles = plan_tiles(Records(tuple(records)), 40, tmp_path / "out")
    assert len({tile.file for tile in tiles}) == 2


def test_a_side_of_a_few_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--crop is 5"):
        plan_tiles(Records(()), 5, tmp_path)


def test_where_nobody_marked_objects_a_tile_does_not_say_there_are_none(tmp_path: Path) -> None:
    record = Record((tmp_path / "a.png",), 90, 60, None, captions=("x",), where="a")
    found, _ = plan_tiles(Records((record,)), 40, tmp_path / "out")
    assert {each.objects for each in found.records} == {None}


def test_the_stated_area_of_an_object_that_is_cut_is_forgotten(tmp_path: Path) -> None:
    whole, cut = Annotation("a", Box(2, 2, 9, 9), area=5.0), Annotation("b", Box(20, 5, 34, 15))
    objects = planned(tmp_path, whole, replace(cut, area=5.0)).records[0].objects or ()
    assert [each.area for each in objects] == [5.0, None]
