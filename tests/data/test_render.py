"""Records become rows: prompts, suffixes, and what is left out or refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palikit import tasks
from palikit.data.options import RenderOptions
from palikit.data.records import Annotation, Question, Record, Records
from palikit.data.render import render_records
from palikit.data.rows import Rows
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.results import Box, Detections
from tests.data.sources import only_error

CLASSES = ("cat", "dog", "cow", "hen")
CODES = tuple(range(16))
SQUARE = Box(10, 10, 30, 30)


def record(*objects: Annotation, name: str = "a.png", **more: Any) -> Record:
    return Record((Path("/pictures") / name,), 64, 48, objects, where=name, **more)


def cat(box: Box = SQUARE, **more: Any) -> Annotation:
    return Annotation("cat", box, **more)


def rendered(
    given_records: Sequence[Record], known: Sequence[str] = CLASSES, **options: Any
) -> Rows:
    return render_records(
        Records(tuple(given_records), tuple(known)),
        RenderOptions(**options),
        lambda mask, box: CODES,
    )


def notes(found: Rows) -> list[str]:
    return [problem.kind for problem in found.problems if not problem.is_error]


def test_all_classes_are_in_the_prompt_by_default() -> None:
    (row,) = rendered([record(cat())]).rows
    assert row.prefix == "detect cat ; dog ; cow ; hen"
    assert row.suffixes == ("<loc0213><loc0160><loc0639><loc0480> cat",)
    assert row.objects == (cat(),)
    assert (row.width, row.height, row.order) == (64, 48, "fixed")


def test_present_asks_for_absent_classes_among_those_present() -> None:
    records = [record(Annotation("cow", SQUARE), name=f"{i}.png") for i in range(20)]
    found = rendered(records, prompt_classes="present", negatives=2)
    for row in found.rows:
        asked = tasks.task_from_prompt(row.prefix).labels
        assert len(asked) == 3
        assert "cow" in asked
        assert sorted(asked, key=CLASSES.index) == list(asked)
    assert len({row.prefix for row in found.rows}) > 1
    assert found == rendered(records, prompt_classes="present", negatives=2)
    assert found != rendered(records, prompt_classes="present", negatives=2, seed=1)


def test_what_is_drawn_for_a_picture_does_not_depend_on_the_others() -> None:
    records = [record(cat(), name=f"{i}.png") for i in range(5)]
    whole = rendered(records, prompt_classes="present").rows
    assert rendered(records[3:], prompt_classes="present").rows == whole[3:]


def test_one_class_a_row_answers_with_its_own_objects_only() -> None:
    both = record(cat(), Annotation("dog", Box(0, 0, 5, 5)))
    rows = rendered([both], prompt_classes="one", negatives=1).rows
    answered = {row.prefix: row.suffixes[0] for row in rows}
    assert len(rows) == 3
    assert answered["detect cat"].endswith(" cat")
    assert answered["detect dog"].endswith(" dog")
    assert [row.objects for row in rows if row.suffixes == ("",)] == [()]


def test_objects_go_from_top_to_bottom_and_left_to_right() -> None:
    boxes = [Box(30, 20, 40, 30), Box(5, 20, 9, 30), Box(50, 1, 60, 9)]
    (row,) = rendered([record(*map(cat, boxes))]).rows
    assert [each.box for each in row.objects or ()] == [boxes[2], boxes[1], boxes[0]]
    (row,) = rendered([record(*map(cat, boxes))], object_order="random").rows
    assert row.order == "random"


def test_empty_pictures_are_kept_or_dropped_as_asked() -> None:
    (row,) = rendered([record()]).rows
    assert (row.suffixes, row.objects) == (("",), ())
    found = rendered([record()], empty="drop")
    assert (found.rows, notes(found)) == ((), ["empty picture"])


def test_an_empty_picture_without_an_absent_class_to_ask_for_is_dropped() -> None:
    found = rendered([record()], prompt_classes="present", negatives=0)
    assert (found.rows, notes(found)) == ((), ["empty picture"])


def test_crowds_are_no_targets_and_stay_for_evaluation() -> None:
    found = rendered([record(cat(crowd=True), Annotation("dog", SQUARE))])
    (row,) = found.rows
    assert row.suffixes == ("<loc0213><loc0160><loc0639><loc0480> dog",)
    assert len(row.objects or ()) == 2
    assert notes(found) == ["crowd or difficult object"]


def test_a_class_seen_only_as_a_crowd_is_not_asked_for_as_absent() -> None:
    rows = rendered([record(cat(crowd=True))], prompt_classes="one", negatives=9).rows
    assert {row.prefix for row in rows} == {"detect dog", "detect cow", "detect hen"}


@pytest.mark.parametrize("box", [Box(30, 9, 5, 12), Box(5, 30, 9, 12), Box(30, 30, 5, 30)])
def test_width_and_height_in_the_place_of_edges_are_an_error(box: Box) -> None:
    told = only_error(rendered([record(cat(box), cat())]).problems)
    assert "of 'cat' ends before it begins: give left, top, right and bottom edge" in told


@pytest.mark.parametrize("box", [Box(5, 5, 5, 9), Box(5, 5, 9, 5)])
def test_degenerate_boxes_are_told_and_left_out(box: Box) -> None:
    found = rendered([record(cat(box), cat())])
    assert notes(found) == ["degenerate box"]
    assert found.rows[0].objects == (cat(),)


def test_boxes_beyond_the_picture_are_errors_unless_they_are_to_be_cut() -> None:
    beyond, outside = cat(Box(-5, 10, 30, 30)), cat(Box(70, 10, 80, 30))
    assert "the box [-5, 10, 30, 30] of 'cat' reaches beyond the picture" in only_error(
        rendered([record(beyond)]).problems
    )
    found = rendered([record(beyond, outside)], clip=True)
    assert found.rows[0].objects == (cat(Box(0, 10, 30, 30)),)
    assert notes(found) == ["clipped box", "box outside the picture"]


def test_rounding_at_the_edge_is_cut_silently() -> None:
    found = rendered([record(cat(Box(0, 0, 64.4, 48)))])
    assert found.problems == ()
    assert found.rows[0].objects == (cat(Box(0, 0, 64, 48)),)


def test_classes_are_chosen_and_renamed() -> None:
    records = [record(cat(), Annotation("dog", SQUARE), Annotation("cow", SQUARE))]
    options = {"classes": "beast ; cow", "rename": (("cat", "beast"), ("dog", "beast"))}
    found = rendered(records, **options)
    assert found.classes == ("beast", "cow")
    assert found.rows[0].prefix == "detect beast ; cow"
    assert [each.label for each in found.rows[0].objects or ()] == ["beast", "beast", "cow"]
    found = rendered(records, classes="cow")
    assert [each.label for each in found.rows[0].objects or ()] == ["cow"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"classes": "cat ; horse"}, "--classes speaks of 'horse'"),
        ({"rename": (("horse", "x"),)}, "--rename speaks of 'horse'"),
    ],
)
def test_unknown_classes_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        rendered([record(cat())], **options)


def test_a_class_with_a_separator_is_an_error_that_says_how_to_rename_it() -> None:
    wrong = record(Annotation("a ; b", SQUARE))
    assert '--rename "a ; b=a and b"' in only_error(rendered([wrong], ["a ; b"]).problems)
    found = rendered([wrong], ["a ; b"], rename=(("a ; b", "a and b"),))
    assert (found.classes, found.problems) == (("a and b",), ())


@pytest.mark.parametrize("name", ["<loc0001>", "two\nlines", ""])
def test_a_class_that_could_not_be_read_back_is_an_error(name: str) -> None:
    problem = only_error(rendered([record(Annotation(name, SQUARE))], [name]).problems)
    assert "--rename" in problem


def test_segments_take_codes_and_need_outlines() -> None:
    mask = Mask.from_patch(np.ones((20, 20), np.bool_), 10, 10, 64, 48)
    (row,) = rendered([record(cat(mask=mask))], task="segment").rows
    assert row.prefix == "segment cat ; dog ; cow ; hen"
    codes = "".join(f"<seg{code:03}>" for code in CODES)
    assert row.suffixes == (f"<loc0213><loc0160><loc0639><loc0480>{codes} cat",)
    found = rendered([record(cat(mask=mask), cat())], task="segment")
    assert "has a box and no outline" in only_error(found.problems)


def test_empty_outlines_are_left_out() -> None:
    mask = Mask.from_patch(np.ones((2, 2), np.bool_), 10, 10, 64, 48)
    empty = Mask(64, 48, (64 * 48,))
    found = rendered([record(cat(mask=mask), cat(mask=empty))], task="segment")
    assert notes(found) == ["degenerate outline"]


def test_segments_without_an_encoder_are_refused() -> None:
    outlined = record(cat(mask=Mask(64, 48, (0, 64 * 48))))
    with pytest.raises(InputError, match="--mask-codec"):
        render_records(Records((outlined,)), RenderOptions(task="segment"))


def test_captions_are_the_suffixes_of_one_row() -> None:
    captioned = record(captions=("one", " two "))
    (row,) = rendered([captioned], task="caption", language="de").rows
    assert (row.prefix, row.suffixes) == ("caption de", ("one", "two"))


def test_every_question_is_a_row_with_all_its_answers() -> None:
    asked = record(questions=(Question("what\n is it?", ("a", "a", "b")), Question("r", ("1",))))
    rows = rendered([asked], task="vqa").rows
    assert [(row.prefix, row.suffixes) for row in rows] == [
        ("answer en what is it?", ("a", "a", "b")),
        ("answer en r", ("1",)),
    ]


def test_texts_are_read_by_ocr_and_may_be_empty_where_that_is_kept() -> None:
    texts = [record(text="STOP"), record(text="")]
    rows = rendered(texts, task="ocr").rows
    assert [(row.prefix, row.suffixes, row.objects) for row in rows] == [
        ("ocr", ("STOP",), None),
        ("ocr", ("",), ()),
    ]
    assert len(rendered(texts, task="ocr", empty="drop").rows) == 1


def test_empty_captions_and_questions_are_errors() -> None:
    assert "is empty" in only_error(rendered([record(captions=("",))], task="caption").problems)
    asked = record(questions=(Question(" ", ("a",)),))
    assert "a question is empty" in only_error(rendered([asked], task="vqa").problems)


def test_a_task_the_source_has_nothing_for_is_refused_with_what_it_has() -> None:
    captioned = Record((Path("/a.png"),), 64, 48, captions=("one",), where="a")
    with pytest.raises(InputError, match="nothing to learn detect from: choose --task caption"):
        rendered([captioned])
    with pytest.raises(InputError, match="segment from: choose --task detect"):
        rendered([record(cat())], task="segment")


def test_one_prefix_for_all_replaces_the_prompt() -> None:
    assert rendered([record(cat())], prefix="find it").rows[0].prefix == "find it"
    with pytest.raises(InputError, match="one prompt for all rows"):
        RenderOptions(prefix="find it", prompt_classes="one")


edges = st.floats(0, 64, allow_nan=False)
objects = st.builds(
    Annotation,
    st.sampled_from(CLASSES),
    st.builds(Box, edges, edges, edges, edges),
)


@given(st.lists(objects, max_size=6), st.sampled_from(["all", "present", "one"]))
def test_what_is_written_is_read_back(found: list[Annotation], prompt_classes: str) -> None:
    rows = rendered([record(*found)], prompt_classes=prompt_classes, clip=True).rows
    for row in rows:
        task = tasks.task_from_prompt(row.prefix)
        result = tasks.parse(task, row.suffixes[0], 64, 48)
        assert isinstance(result, Detections)
        assert result.problems == ()
        truth = row.objects or ()
        assert [each.label for each in result] == [each.label for each in truth]
        for read, meant in zip(result, truth, strict=True):
            wide = 64 / 1023  # a box thinner than a token's step is widened to it
            assert read.box.to_list() == pytest.approx(meant.box.to_list(), abs=wide)
