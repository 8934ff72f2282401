"""Words and their boxes out of an answer, in either order, and what cannot be read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palikit import tasks
from palikit.evaluation.found_words import with_words
from palikit.prediction import Prediction
from palikit.results import Answer, Detections
from palikit.tasks import Task

A, B = "<loc0000><loc0000><loc0512><loc0512>", "<loc0512><loc0100><loc1023><loc1023>"


def read(text: str, *, coordinates: Any = "1023") -> Prediction[Any]:
    result = tasks.parse(Task("detect", "ocr"), text, 64, 32, coordinates=coordinates)
    return with_words(
        Prediction("a.png", "detect", "ocr", text, result, None, "vocabulary", "stop", 64, 32, "")
    )


def words_of(text: str) -> list[str]:
    return [one.label for one in read(text).result]


@pytest.mark.parametrize(
    "text",
    [
        f"{A} EXIT ; {B} No entry!",
        f"{A} EXIT {B} No entry!",
        f"{A}EXIT\n{B}No entry!",
        f"EXIT {A} ; No entry! {B}",
        f"EXIT {A} No entry! {B}",
        f"EXIT {A}\nNo entry! {B}\n",
    ],
)
def test_words_stand_before_or_behind_their_boxes(text: str) -> None:
    found = read(text).result
    assert [one.label for one in found] == ["EXIT", "No entry!"]
    assert [round(one.box.x1) for one in found] == [0, 6]
    assert not found.unparsed


def test_a_word_may_hold_what_separates_labels() -> None:
    assert words_of(f"{A} a;b ; {B} c;d") == ["a;b", "c;d"]
    assert words_of(f"a;b {A} ; c;d {B}") == ["a;b", "c;d"]


def test_a_broken_box_takes_its_own_word_along() -> None:
    for text in (f"{A} a ; <loc0001> b ; {B} c", f"a {A} ; b <loc0001> ; c {B}"):
        found = read(text).result
        assert [one.label for one in found] == ["a", "c"]
        assert found.unparsed == "<loc0001> b"
        assert len(found.problems) == 1


def test_a_word_without_its_box_is_left_over() -> None:
    assert read(f"EXIT {A} STO").result.unparsed == "STO"


def test_other_answers_stay_as_they_are() -> None:
    assert read("no box at all").result.unparsed == "no box at all"
    assert read("").result == Detections((), 64, 32)
    answer = Prediction("", "answer", "", A, Answer(A), None, "vocabulary", "stop", 1, 1, "")
    assert with_words(answer) is answer


@given(st.lists(st.sampled_from([*"ab; \n", A, B, "<loc0001>", "<loc9999>", "<seg001>"])))
def test_every_box_that_detect_reads_keeps_its_place(parts: list[str]) -> None:
    text = "".join(parts)
    result = tasks.parse(Task("detect", "ocr"), text, 64, 32)
    assert [one.box for one in read(text).result] == [one.box for one in result]
