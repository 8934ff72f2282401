"""Drawings: what changes on a picture, and what must not."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from palikit.drawing import _PALETTE, _on, draw, undrawable
from palikit.errors import InputError
from palikit.fonts import font_for, wrapped
from palikit.masks import Mask
from palikit.pictures import load_picture
from palikit.results import (
    Answer,
    Box,
    Caption,
    Detection,
    Detections,
    OcrText,
    Result,
    Segment,
    Segments,
)

GREY = (128, 128, 128)
CODES = (0,) * 16


def grey(width: int = 400, height: int = 300) -> Image.Image:
    return Image.new("RGB", (width, height), GREY)


def boxes(*found: tuple[Box, str], size: tuple[int, int] = (400, 300)) -> Detections:
    return Detections(tuple(Detection(box, label, 0.5) for box, label in found), *size)


def pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(image)


def count(image: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((pixels(image) == colour).all(axis=2).sum())


def colour_of(label: str) -> tuple[int, int, int]:
    """The colour most used for a label, as seen in a drawing."""
    colours = draw(grey(), boxes((Box(50, 100, 350, 250), label))).getcolors(10**6) or []
    ranked = sorted(colours, reverse=True)
    return next(c for _, c in ranked if isinstance(c, tuple) and c != GREY)


@pytest.mark.parametrize(
    "result",
    [
        Detections((), 400, 300, unparsed="what?"),
        Segments((), 400, 300),
        Caption(""),
        Answer(" \n "),
        OcrText("\x00"),
    ],
)
def test_an_empty_result_gives_an_unchanged_copy(result: Result) -> None:
    picture = grey()

    drawn = draw(picture, result)

    assert drawn is not picture
    assert drawn.mode == "RGB"
    np.testing.assert_array_equal(pixels(drawn), pixels(picture))


def test_the_picture_itself_stays_as_it_was() -> None:
    picture = grey()

    draw(picture, boxes((Box(10, 40, 200, 200), "cat")))

    assert picture.getcolors() == [(400 * 300, GREY)]


def test_boxes_and_masks_can_each_be_left_out() -> None:
    inside = np.zeros((300, 400), bool)
    inside[120:200, 150:250] = True
    found = Segment(Box(100, 100, 300, 250), "cat", CODES, Mask.from_array(inside), 0.5)
    result = Segments((found,), 400, 300)
    masks = (pixels(draw(grey(), result, boxes=False)) != GREY).any(axis=2)
    np.testing.assert_array_equal(masks, inside)
    frame = draw(grey(), result, masks=False)
    np.testing.assert_array_equal(
        pixels(frame), pixels(draw(grey(), boxes((found.box, found.label))))
    )
    assert draw(grey(), result, boxes=False, masks=False).getcolors() == [(400 * 300, GREY)]


def test_a_box_is_drawn_on_its_edges_and_nowhere_inside() -> None:
    drawn = pixels(draw(grey(), boxes((Box(100, 100, 300, 250), "cat"))))

    for y, x in ((100, 200), (249, 200), (200, 100), (200, 299)):
        assert tuple(drawn[y, x]) == colour_of("cat")
    assert (drawn[110:240, 110:290] == GREY).all()
    assert (drawn[:, :90] == GREY).all()
    assert (drawn[260:] == GREY).all()


def test_a_mask_is_tinted_inside_but_not_in_its_holes() -> None:
    outline = np.zeros((300, 400), np.bool_)
    outline[100:250, 100:300] = True
    outline[150:200, 150:250] = False
    found = Segment(Box(100, 100, 300, 250), "cat", CODES, Mask.from_array(outline))

    drawn = pixels(draw(grey(), Segments((found,), 400, 300)))

    tinted = drawn[125, 200].astype(float)
    assert (np.abs(tinted - (0.6 * np.array(GREY) + 0.4 * np.array(colour_of("cat")))) < 2).all()
    assert tuple(drawn[148, 200]) == colour_of("cat")  # the border, within the mask
    assert (drawn[150:200, 150:250] == GREY).all()
    assert (drawn[260:] == GREY).all()


def test_a_segment_without_a_mask_shows_its_box() -> None:
    box = Box(100, 100, 300, 250)

    drawn = draw(grey(), Segments((Segment(box, "cat", CODES, score=0.5),), 400, 300))

    np.testing.assert_array_equal(pixels(drawn), pixels(draw(grey(), boxes((box, "cat")))))


def test_scores_can_be_left_out() -> None:
    box = Box(100, 100, 300, 250)
    scored, bare = boxes((box, "cat")), Detections((Detection(box, "cat"),), 400, 300)

    assert count(draw(grey(), scored), colour_of("cat")) > count(
        draw(grey(), scored, scores=False), colour_of("cat")
    )
    np.testing.assert_array_equal(
        pixels(draw(grey(), scored, scores=False)), pixels(draw(grey(), bare))
    )


def test_a_label_has_one_colour_in_every_run() -> None:
    # Of the CRC-32 of the label, so that drawings of different days can be compared.
    assert colour_of("cat") == (105, 240, 225)
    assert colour_of("dog") == (165, 105, 0)


def test_text_stands_out_from_its_plate() -> None:
    def luminance(colour: tuple[int, int, int]) -> float:  # of WCAG 2
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in (v / 255 for v in colour)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in _PALETTE:
        low, high = sorted((luminance(colour), luminance(_on(colour))))
        assert (high + 0.05) / (low + 0.05) > 4


@pytest.mark.parametrize("place", [(0, 0), (320, 0), (0, 250), (320, 250)])
def test_a_label_is_whole_wherever_its_box_lies(place: tuple[int, int]) -> None:
    middle = draw(grey(), boxes((Box(160, 125, 240, 175), "elephant")))
    x, y = place

    corner = draw(grey(), boxes((Box(x, y, x + 80, y + 50), "elephant")))

    text = _on(colour_of("elephant"))
    assert count(corner, colour_of("elephant")) > 0.75 * count(middle, colour_of("elephant"))
    assert count(corner, text) > 0.5 * count(middle, text)


def test_labels_of_boxes_at_one_place_do_not_hide_each_other() -> None:
    box = Box(100, 100, 300, 250)
    frame_pixels = 2 * 2 * (200 + 150)
    together = draw(grey(), boxes((box, "cat"), (box, "dog"), (box, "tree")))

    for label in ("cat", "dog", "tree"):  # of the frames only the last is seen, of labels all
        alone = draw(grey(), boxes((box, label)))
        plate = count(alone, colour_of(label)) - frame_pixels
        assert count(together, colour_of(label)) > 0.8 * plate > 0


def test_in_a_crowd_a_known_label_gives_way_to_the_objects() -> None:
    corners = [(x, y) for x in range(0, 224, 14) for y in range(0, 224, 14)]
    crowd = [(Box(x, y, x + 12, y + 12), "cell") for x, y in corners]

    drawn = pixels(draw(grey(240, 240), boxes(*crowd, size=(240, 240))))

    seen = sum(tuple(drawn[y + 6, x + 6]) == GREY for x, y in corners)
    assert 0.9 * len(corners) < seen < len(corners)


def test_lines_and_labels_grow_with_the_picture() -> None:
    lines, plates = [], []
    for side in (560, 1680):
        box = Box(side / 4, side / 4, side * 3 / 4, side * 3 / 4)
        drawn = draw(grey(side, side), boxes((box, "cat"), size=(side, side)))
        coloured = (pixels(drawn) == colour_of("cat")).all(axis=2)
        lines.append(int(coloured[side // 2, : side // 2].sum()))
        plates.append(int(coloured[: side // 4].any(axis=1).sum()))

    assert lines[1] == 3 * lines[0]
    assert plates[1] == pytest.approx(3 * plates[0], rel=0.15)


def test_a_picture_of_another_size_is_refused() -> None:
    outline = Mask.from_array(np.ones((30, 40), np.bool_))
    found = Segment(Box(0, 0, 9, 9), "cat", CODES, outline)

    with pytest.raises(InputError, match="200 x 100, and this one has 400 x 300"):
        draw(grey(), boxes(size=(200, 100)))
    with pytest.raises(InputError, match="40 x 30, and this one has 400 x 300"):
        draw(grey(), Segments((found,), 400, 300))


def test_exif_orientation_is_applied() -> None:
    lying = grey(300, 400)
    lying.getexif()[0x0112] = 6  # to be turned by a quarter

    assert draw(lying, boxes()).size == (400, 300)


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (400, 300), (0, 0, 0, 0))

    assert draw(clear, boxes()).getcolors() == [(400 * 300, (255, 255, 255))]


def test_a_picture_is_drawn_on_as_it_is_shown_to_the_model() -> None:
    deep = Image.fromarray(np.full((300, 400), 80 * 257, np.uint16))
    floats = Image.fromarray(np.full((300, 400), 0.25, np.float32))

    for picture in (deep, floats):
        np.testing.assert_array_equal(pixels(draw(picture, boxes())), pixels(load_picture(picture)))


@pytest.mark.parametrize("kind", [Caption, Answer, OcrText])
def test_text_stands_on_a_strip_below_the_picture(kind: type[Caption | Answer | OcrText]) -> None:
    drawn = draw(grey(), kind("a cat on a mat"))

    assert drawn.width == 400
    assert drawn.height > 300
    assert (pixels(drawn)[:300] == GREY).all()
    assert (pixels(drawn)[300:] < 100).any()  # ink


def test_lines_of_a_text_are_kept() -> None:
    one, two = draw(grey(), OcrText("EXIT left")), draw(grey(), OcrText("EXIT\nleft"))

    assert two.height > one.height


@pytest.mark.parametrize("text", ["word " * 200, "w" * 700, "日本語のテキスト" * 50])
def test_long_text_is_wrapped_within_the_strip(text: str) -> None:
    strip = pixels(draw(grey(), Caption(text)))[300:]

    assert (strip[:, -3:] == 255).all()
    assert (strip[-3:] == 255).all()
    assert len(strip) > 100


@given(st.text(max_size=80), st.integers(1, 120))
def test_wrapping_loses_nothing_but_spaces(text: str, room: int) -> None:
    text = " ".join("".join(c for c in text if c.isprintable()).split())

    lines = list(wrapped(text, font_for(text, 10), room))

    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_latin_text_is_set_in_the_font_that_comes_with_pillow() -> None:
    assert font_for("a cat", 20).getname()[0] == "Aileron"


def test_text_of_another_script_is_set_in_a_font_that_has_it() -> None:
    font = font_for("звезда", 20)
    if font.getname()[0] == "Aileron":
        pytest.skip("no font with Cyrillic letters is installed")

    assert bytes(font.getmask("з")) != bytes(font.getmask("в"))


labels = st.text(max_size=30) | st.sampled_from(["\ud800", "a\nb\tc", "cat " * 40, "👁️‍🗨️", "مرحبا"])
edges = st.floats(-50, 150) | st.sampled_from([-1e9, 1e9, 0.0])


@settings(max_examples=150)
@given(
    st.integers(1, 100),
    st.integers(1, 100),
    st.lists(st.tuples(edges, edges, edges, edges, labels), max_size=4),
)
def test_no_box_or_label_can_break_a_drawing(
    width: int, height: int, found: list[tuple[float, float, float, float, str]]
) -> None:
    result = boxes(*((Box(*box), label) for *box, label in found), size=(width, height))

    assert draw(grey(width, height), result).size == (width, height)
    for *_, label in found:
        assert draw(grey(width, height), Caption(label)).width in (width, 320)


def test_the_strip_of_a_narrow_picture_is_wide_enough_to_read() -> None:
    drawing = pixels(draw(grey(1, 1), Caption("a cat on a mat")))
    assert drawing.shape[1] == 320
    assert drawing.shape[0] < 40
    assert (drawing[0, 0] == GREY).all()
    assert (drawing[0, 1:] == 255).all()


def test_characters_that_no_font_has_are_known() -> None:
    unassigned = "\U000e1fff"
    assert undrawable(Caption("a cat\nand a dog")) == ""
    if undrawable(Caption("\u4e00")):
        assert undrawable(boxes((Box(0, 0, 1, 1), "a \u4e00\u4e00"))) == "\u4e00"
    assert undrawable(Caption(unassigned)) == ""  # is not drawn at all
