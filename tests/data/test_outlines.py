"""Polygons become masks, as COCO's own tools fill them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palikit.data.outlines import box_of_mask, box_of_points, fill_rings
from palikit.errors import InputError
from palikit.masks import Mask, iou
from palikit.results import Box


def test_a_square_along_pixel_edges_is_filled_exactly() -> None:
    mask = fill_rings([[(2, 1), (5, 1), (5, 4), (2, 4)]], 8, 6)
    expected = np.zeros((6, 8), np.bool_)
    expected[1:4, 2:5] = True
    assert np.array_equal(mask.to_array(), expected)
    assert box_of_mask(mask) == Box(2, 1, 5, 4)


def test_a_pixel_is_inside_where_its_centre_is() -> None:
    ring = [(1.6, 0.4), (4.4, 0.4), (4.4, 2.6), (1.6, 2.6)]
    expected = np.zeros((6, 8), np.bool_)
    expected[0:3, 2:4] = True
    assert np.array_equal(fill_rings([ring], 8, 6).to_array(), expected)


def test_rings_are_united_and_cut_at_the_picture() -> None:
    left, right = [(-9, 0), (2, 0), (2, 9), (-9, 9)], [(6, 0), (99, 0), (99, 3), (6, 3)]
    found = fill_rings([left, right, left], 8, 6).to_array()
    assert found[:, :2].all()
    assert found[:3, 6:].all()
    assert found.sum() == 2 * 6 + 3 * 2


def test_a_ring_that_crosses_itself_has_an_empty_middle() -> None:
    inner = [(2, 2), (6, 2), (6, 6), (2, 6)]
    ring = [(0, 0), (8, 0), (8, 8), (0, 8), (0, 0), *inner, inner[0]]
    assert not fill_rings([ring], 8, 8).to_array()[3:5, 3:5].any()


def test_two_points_are_no_outline() -> None:
    with pytest.raises(InputError, match="has 2 points"):
        fill_rings([[(0, 0), (1, 1)]], 8, 8)


def test_an_empty_mask_has_no_box() -> None:
    assert box_of_mask(Mask(4, 4, (16,))) is None
    assert box_of_points([(3, 1), (2, 5)]) == Box(2, 1, 3, 5)


@given(st.integers(0, 10_000))
def test_filling_agrees_with_coco_s_tools(seed: int) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * np.pi, 12))
    radii = random.uniform(25, 60, 12)
    ring = np.stack([64 + radii * np.cos(angles), 64 + radii * np.sin(angles)], 1)
    (rle,) = coco.frPyObjects([ring.reshape(-1).tolist()], 128, 128)
    theirs = Mask.from_rle(rle)
    ours = fill_rings([[(float(x), float(y)) for x, y in ring]], 128, 128)
    if theirs.area > 2000:  # COCO takes in part of the boundary
        assert iou(ours, theirs) > 0.93
