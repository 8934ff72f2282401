"""Prompts, suffixes, and that every suffix is read back exactly."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palikit.errors import InputError
from palikit.results import (
    Answer,
    Box,
    Caption,
    Detection,
    Detections,
    OcrText,
    Segment,
    Segments,
)
from palikit.tasks import (
    Task,
    answer,
    caption,
    describe,
    detect,
    grounded_caption,
    ocr,
    parse,
    plain,
    question,
    refer,
    render,
    segment,
    task_from_prompt,
)

BOX = "<loc0100><loc0200><loc0300><loc0400>"
OTHER = "<loc0010><loc0020><loc0030><loc0040>"
CODES = "".join(f"<seg{code:03d}>" for code in range(0, 128, 8))
CODE_NUMBERS = tuple(range(0, 128, 8))
DETECT = detect("cat ; dog")
SEGMENT = segment("cat ; dog")


def box_text(rows, columns):
    (y1, y2), (x1, x2) = rows, columns
    return f"<loc{y1:04d}><loc{x1:04d}><loc{y2:04d}><loc{x2:04d}>"


# ---------------------------------------------------------------- prompts


@pytest.mark.parametrize(
    ("task", "name", "prompt"),
    [
        (caption(), "caption", "caption en"),
        (caption("zh-Hans"), "caption", "caption zh-Hans"),
        (caption("pt-BR", short=True), "caption", "cap pt-BR"),
        (describe("fil"), "describe", "describe fil"),
        (answer("What is it?"), "answer", "answer en What is it?"),
        (answer(" Was ist das?\n", "de"), "answer", "answer de Was ist das?"),
        (question("a cat"), "question", "question en a cat"),
        (ocr(), "ocr", "ocr"),
        (refer("the left cat; not the right one"), "refer", "the left cat; not the right one"),
        (plain(""), "generate", ""),
        (plain(" as\nit is "), "generate", " as\nit is "),
    ],
)
def test_a_constructor_writes_the_prompt_of_its_task(task, name, prompt):
    assert (task.name, task.prompt, task.allow_special) == (name, prompt, False)


@pytest.mark.parametrize(
    "given_labels",
    ["a cat; dog ;a cat;bird", ["a cat", " dog", "bird", "dog"], "a cat ; dog ; bird"],
)
def test_labels_are_joined_in_order_without_duplicates(given_labels):
    assert detect(given_labels) == Task(
        "detect", "detect a cat ; dog ; bird", ("a cat", "dog", "bird")
    )
    assert segment(given_labels).prompt == "segment a cat ; dog ; bird"


@pytest.mark.parametrize(
    "bad",
    ["", " ", "cat ;", [], [""], ["a ; b"], ["a\nb"], "a\rb"]
    + [
        f"cat {token}"
        for token in ("<loc0001>", "<seg000>", "<loc12>", "<image>", "<bos>", "<eos>")
    ],
)
def test_labels_that_would_break_the_protocol_are_refused(bad):
    with pytest.raises(InputError):
        detect(bad)
    with pytest.raises(InputError):
        segment(bad)


@pytest.mark.parametrize("language", ["", "English", "e", "EN", "en cat", "en\n", "en-", "../x"])
def test_what_is_not_a_language_code_is_refused(language):
    for build in (caption, describe):
        with pytest.raises(InputError, match="language"):
            build(language)
    for build in (answer, question):
        with pytest.raises(InputError, match="language"):
            build("words", language)


@pytest.mark.parametrize("build", [answer, question, refer])
def test_empty_words_are_refused(build):
    with pytest.raises(InputError, match="empty"):
        build(" \n")


@pytest.mark.parametrize("expression", ["the <loc0001> cat", "two\nlines"])
def test_an_expression_cannot_hold_tokens_or_newlines(expression):
    with pytest.raises(InputError):
        refer(expression)


def test_a_grounded_caption_names_the_box_by_rows_first():
    task = grounded_caption(Box(100, 50, 300, 200), width=1023, height=1023)
    expected = "caption <loc0050><loc0100><loc0200><loc0300>"
    assert task == Task("caption", expected, allow_special=True)
    halves = Box(0, 0, 50, 100)
    assert grounded_caption(halves, 100, 200, "1024").prompt.endswith("<loc0512><loc0512>")


def test_a_grounded_caption_outside_the_picture_is_refused():
    with pytest.raises(InputError, match="lies outside the picture of 100 x 90:"):
        grounded_caption(Box(110, 0, 120, 10), 100, 90)


@pytest.mark.parametrize(
    ("prompt", "task"),
    [
        ("detect cat ; dog", detect(["cat", "dog"])),
        ("detect cat;dog\n", detect(["cat", "dog"])),
        ("segment a; b", segment(["a", "b"])),
        ("caption en\n", caption()),
        ("cap de", caption("de", short=True)),
        ("describe en", describe()),
        ("ocr", ocr()),
        ("answer en is it?", answer("is it?")),
        ("answer en  two spaces stay", Task("answer", "answer en  two spaces stay")),
        ("question fr un chat", question("un chat", "fr")),
        ("", plain("")),
        ("What is this?\n", plain("What is this?")),
        ("describe the picture", plain("describe the picture")),
        ("ocr please", plain("ocr please")),
        ("detect", plain("detect")),
        ("detect a ; ; b", plain("detect a ; ; b")),
        ("detect <loc0001>", plain("detect <loc0001>")),
        ("answer en", plain("answer en")),
        ("caption <loc0001><loc0001><loc0009><loc0009>",) * 2,
    ],
)
def test_a_prompt_written_by_hand_is_recognised(prompt, task):
    assert task_from_prompt(prompt) == (plain(task) if isinstance(task, str) else task)


# ---------------------------------------------------------------- writing


def test_render_writes_what_models_were_trained_on():
    boxes = (Detection(Box(200, 100, 400, 300), "cat"), Detection(Box(20, 10, 40, 30), "dog"))
    assert render(DETECT, Detections(boxes, 1023, 1023)) == f"{BOX} cat ; {OTHER} dog"
    outline = (Segment(Box(200, 100, 400, 300), "cat", CODE_NUMBERS),) * 2
    outlines = Segments(outline, 1023, 1023)
    assert render(SEGMENT, outlines) == f"{BOX}{CODES} cat ; {BOX}{CODES} cat"
    assert render(refer("it"), outlines) == f"{BOX}{CODES}{BOX}{CODES}"
    assert render(DETECT, Detections((), 8, 8)) == render(SEGMENT, Segments((), 8, 8)) == ""


@pytest.mark.parametrize(
    ("task", "result"),
    [
        (caption(), Caption(" a\ncat ")),
        (describe(), Caption("")),
        (answer("q"), Answer("yes ; no")),
        (question("a"), Answer(BOX)),
        (plain("x"), Answer("y")),
        (ocr(), OcrText("STOP\tHERE")),
    ],
)
def test_text_is_written_and_read_unchanged(task, result):
    assert render(task, result) == result.text
    assert parse(task, result.text, 5, 7) == result


@pytest.mark.parametrize(
    ("task", "result"),
    [
        (DETECT, Caption("cat")),
        (DETECT, Segments((), 1, 1)),
        (SEGMENT, Detections((), 1, 1)),
        (refer("it"), Detections((), 1, 1)),
        (caption(), Answer("cat")),
        (ocr(), Caption("cat")),
        (plain("detect cat"), Detections((), 1, 1)),
    ],
)
def test_a_result_of_another_task_is_refused(task, result):
    with pytest.raises(InputError, match=type(result).__name__):
        render(task, result)


@pytest.mark.parametrize(
    "label",
    ["", " cat", "cat ", "a;b", "a\nb", "a\rb", "<eos>", "a <loc0001>", "<seg1>", "\x1fcat"],
)
def test_a_label_that_could_not_be_read_back_is_refused(label):
    with pytest.raises(InputError, match="label"):
        render(DETECT, Detections((Detection(Box(0, 0, 1, 1), label),), 2, 2))


@pytest.mark.parametrize("codes", [(), (1,) * 15, (1,) * 17, (128,) * 16, (-1,) * 16])
def test_wrong_codes_are_refused(codes):
    with pytest.raises(InputError, match="codes"):
        render(SEGMENT, Segments((Segment(Box(0, 0, 1, 1), "cat", codes),), 2, 2))


@pytest.mark.parametrize(
    "box",
    [
        Box(5, 5, 5, 9),
        Box(9, 5, 5, 9),
        Box(-5, 0, 0, 9),
        Box(0, 10, 5, 11),
        Box(math.nan, 0, 5, 5),
        Box(0, 0, 5, math.nan),
        Box(math.inf, 0, math.inf, 5),
    ],
)
def test_a_box_without_a_part_in_the_picture_is_refused(box):
    with pytest.raises(InputError, match=r"is empty: expected x1 < x2|outside the picture of 10"):
        render(DETECT, Detections((Detection(box, "cat"),), 10, 10))


def test_a_box_is_cut_at_the_edges_of_the_picture():
    over = Detections((Detection(Box(-4, -math.inf, 14, 11), "cat"),), 10, 10)
    assert render(DETECT, over) == "<loc0000><loc0000><loc1023><loc1023> cat"


@pytest.mark.parametrize("left", [0.0, 0.31, 499.9, 999.89])
@pytest.mark.parametrize("coordinates", ["1023", "1024"])
def test_a_sliver_is_widened_until_it_can_be_read_back(left, coordinates):
    sliver = Detections((Detection(Box(left, 0, left + 0.1, 1000), "cat"),), 1000, 1000)
    (found,) = parse(DETECT, render(DETECT, sliver, coordinates), 1000, 1000).objects
    assert found.box.width == pytest.approx(1000 / 1023, rel=0.01)
    assert abs(found.box.x1 - left) < 2


# ---------------------------------------------------------------- properties

SIDES = st.integers(1, 20_000)
GRIDS = st.sampled_from(["1023", "1024"])
TOKEN = re.compile(r"<(?:(?:loc|seg)[0-9]*|image|bos|eos|pad|unk)>")
LABELS = (
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=";"), min_size=1)
    .map(str.strip)
    .filter(lambda label: label and not TOKEN.search(label))
)
INTERVALS = st.lists(st.integers(0, 1023), min_size=2, max_size=2, unique=True).map(sorted)


BOX_TEXTS = st.builds(box_text, INTERVALS, INTERVALS)
CODE_LISTS = st.lists(st.integers(0, 127), min_size=16, max_size=16).map(tuple)


def box_of(text, width, height, coordinates):
    (found,) = parse(DETECT, f"{text} x", width, height, coordinates=coordinates).objects
    return found.box


@given(st.lists(st.tuples(BOX_TEXTS, LABELS), max_size=5), SIDES, SIDES, GRIDS)
def test_boxes_are_read_back_exactly_as_written(objects, width, height, coordinates):
    found = tuple(
        Detection(box_of(box, width, height, coordinates), label) for box, label in objects
    )
    result = Detections(found, width, height)
    text = render(DETECT, result, coordinates)
    assert text == " ; ".join(f"{box} {label}" for box, label in objects)
    assert parse(DETECT, text, width, height, coordinates=coordinates) == result


@given(st.lists(st.tuples(BOX_TEXTS, CODE_LISTS, LABELS), max_size=3), SIDES, SIDES, GRIDS)
def test_outlines_are_read_back_exactly_as_written(objects, width, height, coordinates):
    found = tuple(
        Segment(box_of(box, width, height, coordinates), label, codes)
        for box, codes, label in objects
    )
    result = Segments(found, width, height)
    text = render(SEGMENT, result, coordinates)
    assert parse(SEGMENT, text, width, height, coordinates=coordinates) == result


@given(BOX_TEXTS, CODE_LISTS, LABELS, SIDES, SIDES, GRIDS)
def test_a_referred_object_is_read_back_exactly(box, codes, phrase, width, height, coordinates):
    found = Segment(box_of(box, width, height, coordinates), phrase, codes)
    result = Segments((found,), width, height)
    text = render(refer(phrase), result, coordinates)
    assert parse(refer(phrase), text, width, height, coordinates=coordinates) == result


def test_every_token_of_the_grid_survives_in_pictures_of_any_side():
    for coordinates in ("1023", "1024"):
        for side in (1, 7, 224, 333, 1919, 4000, 65_535):
            for index in range(1023):
                text = f"<loc{index:04d}><loc0000><loc{index + 1:04d}><loc1023> cat"
                result = parse(DETECT, text, side, side, coordinates=coordinates)
                assert render(DETECT, result, coordinates) == text
