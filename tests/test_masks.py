"""Masks: run lengths against COCO's own tools, polygons against the mask they were made from."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palikit.errors import InputError
from palikit.masks import Mask, iou

Pixels = npt.NDArray[np.bool_]


@st.composite
def pictures(draw: st.DrawFn) -> Pixels:
    """Small bool pictures, from empty to noise to full."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    density = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return random.random((height, width)) < density


def random_masks() -> list[Pixels]:
    """Noise, blobs and full sides, at sizes where runs take from one to four digits."""
    random = np.random.default_rng(3)
    noise = [random.random((37, 53)) < p for p in (0, 0.01, 0.2, 0.5, 0.99, 1)]
    y, x = np.mgrid[:701, :1203]
    disc = (y - 350) ** 2 + (x - 500) ** 2 < 300**2
    return [*noise, disc, ~disc, disc & (x % 7 > 2)]


def fill_even_odd(rings: list[list[float]], height: int, width: int) -> Pixels:
    """Fill rings by counting, for each pixel centre, the vertical edges to its left."""
    inside = np.zeros((height, width), np.bool_)
    for ring in rings:
        points = np.array(ring).reshape(-1, 2)
        for (x1, y1), (_, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
            low, high = sorted((int(y1), int(y2)))
            inside[low:high, int(x1) :] ^= True
    return inside


def signed_area(ring: list[float]) -> float:
    """Positive for a ring that runs clockwise on screen, where y grows downwards."""
    x, y = np.array(ring).reshape(-1, 2).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


@given(pictures())
def test_a_mask_gives_back_the_array_it_was_made_from(pixels: Pixels) -> None:
    mask = Mask.from_array(pixels)

    np.testing.assert_array_equal(mask.to_array(), pixels)
    assert mask.to_array().flags.c_contiguous
    assert mask.area == pixels.sum()


@given(pictures())
def test_rle_read_back_is_the_same_mask(pixels: Pixels) -> None:
    mask = Mask.from_array(pixels)

    assert Mask.from_rle(mask.to_rle()) == mask
    assert Mask.from_rle({"size": list(pixels.shape), "counts": list(mask.counts)}) == mask


def test_runs_go_down_the_columns_and_start_outside() -> None:
    pixels = np.array([[1, 0, 0], [1, 1, 0]], np.bool_)

    assert Mask.from_array(pixels).counts == (0, 2, 1, 1, 2)


@pytest.mark.parametrize("pixels", random_masks())
def test_compressed_text_is_that_of_coco(pixels: Pixels) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    expected = coco.encode(np.asfortranarray(pixels.astype(np.uint8)))

    rle = Mask.from_array(pixels).to_rle()

    assert rle == {"size": list(pixels.shape), "counts": expected["counts"].decode()}
    assert Mask.from_rle(expected) == Mask.from_array(pixels)


def test_differences_of_the_longest_runs_survive_compression() -> None:
    runs = (2**31, 1, 1, 2**30, 2**30 - 7, 3)
    mask = Mask(width=2**30 - 7 + 2**30 + 2**31 + 5, height=1, counts=runs)

    assert Mask.from_rle(mask.to_rle()).counts == runs


@given(pictures(), st.data())
def test_a_patch_is_a_picture_with_nothing_around_it(patch: Pixels, data: st.DataObject) -> None:
    left, top, right, bottom = (data.draw(st.integers(0, 3)) for _ in range(4))
    whole = np.pad(patch, ((top, bottom), (left, right)))
    height, width = whole.shape

    assert Mask.from_patch(patch, left, top, width, height) == Mask.from_array(whole)


def test_empty_runs_make_no_difference() -> None:
    plain = Mask.from_rle({"size": [2, 3], "counts": [1, 3, 2]})

    assert Mask.from_rle({"size": [2, 3], "counts": [1, 2, 0, 1, 2, 0]}) == plain


@settings(max_examples=300)
@given(pictures())
def test_filling_the_polygons_by_even_odd_gives_the_mask(pixels: Pixels) -> None:
    rings = Mask.from_array(pixels).to_polygons()

    np.testing.assert_array_equal(fill_even_odd(rings, *pixels.shape), pixels)
    assert sum(map(signed_area, rings)) == pixels.sum()


def test_outer_rings_run_clockwise_and_holes_the_other_way() -> None:
    pixels = np.ones((5, 6), np.bool_)
    pixels[2, 2:4] = False

    outer, hole = Mask.from_array(pixels).to_polygons()

    assert sorted(zip(outer[::2], outer[1::2], strict=True)) == [(0, 0), (0, 5), (6, 0), (6, 5)]
    assert signed_area(outer) == 30
    assert signed_area(hole) == -2


def test_pixels_that_touch_at_a_corner_are_rings_of_their_own() -> None:
    for pixels in (np.eye(3, dtype=np.bool_), np.eye(3, dtype=np.bool_)[::-1]):
        rings = Mask.from_array(pixels).to_polygons()

        assert [signed_area(ring) for ring in rings] == [1, 1, 1]
        assert all(len(ring) == 8 for ring in rings)


def test_an_empty_mask_has_no_polygons() -> None:
    assert Mask.from_array(np.zeros((4, 5), np.bool_)).to_polygons() == []


@given(pictures(), st.integers(0, 1000))
def test_iou_is_that_of_the_pixels(pixels: Pixels, seed: int) -> None:
    other = np.random.default_rng(seed).random(pixels.shape) < 0.5
    union = (pixels | other).sum()
    expected = (pixels & other).sum() / union if union else 0.0

    assert iou(Mask.from_array(pixels), Mask.from_array(other)) == pytest.approx(expected)


def test_masks_of_different_pictures_are_not_compared() -> None:
    small, large = (Mask.from_array(np.ones((n, n), np.bool_)) for n in (2, 3))

    with pytest.raises(InputError, match="2 x 2 and 3 x 3"):
        iou(small, large)


@pytest.mark.parametrize(
    ("width", "height", "counts"),
    [(2, 2, (3,)), (2, 2, (5,)), (2, 2, (5, -1)), (2, 2, ()), (0, 2, ()), (-1, -1, (1,))],
)
def test_runs_that_do_not_fill_the_picture_are_refused(
    width: int, height: int, counts: tuple[int, ...]
) -> None:
    with pytest.raises(InputError):
        Mask(width, height, counts)


@pytest.mark.parametrize(
    "rle",
    [
        {},
        {"size": [2, 2]},
        {"size": 4, "counts": "4"},
        {"size": [2, 2, 1], "counts": "4"},
        {"size": [2, 2], "counts": ""},
        {"size": [2, 2], "counts": "d"},
        {"size": [2, 2], "counts": "d" * 9 + "0"},
        {"size": [2, 2], "counts": "3é"},
        {"size": [2, 2], "counts": "\x004"},
        {"size": [2, 2], "counts": "5"},
        {"size": [2, 2], "counts": []},
        {"size": [2, 2], "counts": ["a"]},
        {"size": [2, 2], "counts": [2**80]},
        {"size": [2, 2], "counts": 4},
        {"size": [10**9, 10**9], "counts": [10**18]},
    ],
)
def test_malformed_rle_is_refused(rle: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Mask.from_rle(rle)


@given(st.text(max_size=12) | st.binary(max_size=12))
def test_no_text_can_do_worse_than_be_refused(counts: str | bytes) -> None:
    try:
        mask = Mask.from_rle({"size": [3, 5], "counts": counts})
    except InputError:
        return
    assert mask.to_array().shape == (3, 5)


def test_arrays_of_other_kinds_are_refused() -> None:
    for array in (
        np.zeros((2, 2), np.uint8),
        np.zeros((2, 2, 1), np.bool_),
        np.zeros((0, 2), bool),
    ):
        with pytest.raises(InputError):
            Mask.from_array(array)
    with pytest.raises(InputError, match="does not lie within"):
        Mask.from_patch(np.ones((2, 2), np.bool_), 3, 0, 4, 4)
