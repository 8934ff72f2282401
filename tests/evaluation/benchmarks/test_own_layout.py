"""The plain layout that every benchmark is read from, and data that cannot be used."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from palikit.errors import InputError
from palikit.evaluation.benchmarks import BENCHMARKS, Benchmark, Clip, Example, benchmark_named
from palikit.evaluation.benchmarks.layouts import items
from palikit.evaluation.benchmarks.layouts.items import lines_of, table_rows
from tests.evaluation.benchmarks.writing import SIZE, as_json, as_lines, film, picture, text

NAMES = [benchmark.name for benchmark in BENCHMARKS]

ROW: dict[str, Any] = {
    "id": 17,
    "image": "a.png",
    "question": "Which one?",
    "answers": ["b"],
    "choices": ["a", "b"],
}


def read(name: str, folder: Path, split: str | None = None) -> list[Example]:
    benchmark = benchmark_named(name)
    return list(benchmark.read(folder, split or benchmark.splits[0]))


def wrong(name: str, folder: Path, split: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read(name, folder, split)
    return str(caught.value)


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=NAMES)
def test_every_benchmark_is_read_from_plain_lines_too(benchmark: Benchmark, tmp_path: Path) -> None:
    picture(tmp_path, "images/a.png")
    film(tmp_path, "a.mp4")
    row = {**ROW, "group": "g", "context": "c", "language": "de"}
    if benchmark.family == "video":
        row = {**row, "video": "a.mp4"}
    as_lines(tmp_path, f"{benchmark.splits[0]}.jsonl", [row])
    (example,) = benchmark.read(tmp_path, benchmark.splits[0])
    assert (example.id, example.answers, example.group) == ("17", ("b",), "g")
    assert ("Which one?" in example.prompt) == ("{question}" in benchmark.prompt)
    assert (example.video is not None) == (benchmark.family == "video")


def test_objects_words_and_marks_are_read(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    counts = [0, 4, 44]
    found = {
        "label": "cat",
        "bbox": [0, 0, 4, 1],
        "segmentation": {"size": [SIZE[1], SIZE[0]], "counts": counts},
        "crowd": 1,
        "area": 4,
    }
    word = {"text": "EXIT", "polygon": [[0, 0], [4, 0], [4, 2]], "legible": False}
    row = {**ROW, "objects": [found], "words": [word], "box": [1, 1, 3, 3]}
    as_lines(tmp_path, "val.jsonl", [row])
    (example,) = read("coco-detection", tmp_path)
    assert example.objects is not None
    assert example.words is not None
    (object_,), (read_word,) = example.objects, example.words
    assert (object_.label, object_.crowd, object_.area) == ("cat", True, 4.0)
    assert object_.mask is not None
    assert object_.mask.area == 4
    assert (read_word.text, read_word.legible) == ("EXIT", False)
    assert example.change is not None
    assert example.change(Image.new("RGB", SIZE), 32).size == (32, 32)


def test_an_answer_may_be_one_text_or_number_or_secret(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    rows = [{**ROW, "id": 1, "answers": "yes"}, {**ROW, "id": 2, "answers": 3}]
    secret = {key: value for key, value in ROW.items() if key != "answers"}
    as_lines(tmp_path, "val.jsonl", [*rows, secret])
    assert [each.answers for each in read("vqav2", tmp_path)] == [("yes",), ("3",), ()]


def test_a_secret_split_is_scored_by_its_server_alone(tmp_path: Path) -> None:
    from palikit.evaluation.benchmarks import Answered

    picture(tmp_path, "a.png")
    as_lines(tmp_path, "test.jsonl", [{"id": 1, "image": "a.png", "question": "Q?"}])
    answered = [Answered(each, "x") for each in read("docvqa", tmp_path, "test")]
    with pytest.raises(InputError, match="only its server can score"):
        benchmark_named("docvqa").score(answered)


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=NAMES)
def test_missing_data_get_one_message_that_says_what_to_fetch(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    message = wrong(benchmark.name, tmp_path)
    assert str(tmp_path) in message
    assert benchmark.title in message
    assert benchmark.layout in message


def test_a_folder_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    message = wrong("docvqa", tmp_path / "none")
    assert "is no folder" in message
    assert "rrc.cvc.uab.es" in message


def test_an_unknown_split_is_answered_with_those_there_are(tmp_path: Path) -> None:
    assert "choose val, test" in wrong("docvqa", tmp_path, "train")


BAD_OUTLINE = (
    '{"id": 2, "image": "a.png", "objects": [{"label": "a", "bbox": [0, 0, 1, 1], '
    '"segmentation": {"size": [2, 2], "counts": [9]}}]}'
)

BAD_LINES = [
    ("{", "line 2 is not JSON"),
    ("[1]", "line 2 is no JSON object"),
    ('{"image": "a.png", "question": "Q?"}', "line 2: its id is None"),
    ('{"id": true, "image": "a.png", "question": "Q?"}', "line 2: its id is True"),
    ('{"id": 2, "question": "Q?"}', "line 2: its image is None"),
    ('{"id": 2, "images": [], "question": "Q?"}', "line 2: its images is []"),
    ('{"id": 2, "image": "a.png"}', "line 2: it has no question"),
    ('{"id": 2, "image": "a.png", "question": 3}', "line 2: its question is 3"),
    ('{"id": 2, "image": "no.png", "question": "Q?"}', "line 2: there is no file no.png"),
    ('{"id": 17, "image": "a.png", "question": "Q?"}', "line 2 has the id 17 of val.jsonl, line 1"),
    ('{"id": 2, "image": "a.png", "question": "Q?", "answers": [1]}', "line 2: its answers is [1]"),
    ('{"id": 2, "image": "a.png", "question": "Q?", "box": [3, 1, 1, 3]}', "line 2: its box is"),
    ('{"id": 2, "image": "a.png", "words": [{"text": "a", "polygon": [[0, 0]]}]}', "line 2: its p"),
    (BAD_OUTLINE, "line 2: "),
]


@pytest.mark.parametrize(("line", "expected"), BAD_LINES)
def test_a_line_that_cannot_be_used_is_named(line: str, expected: str, tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    as_lines(tmp_path, "val.jsonl", [ROW])
    with (tmp_path / "val.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    assert f"val.jsonl, {expected}" in wrong("vqav2", tmp_path)


@pytest.mark.parametrize("name", ["../b.png", "/etc/hostname", "C:\\b.png", "x/../../b.png"])
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    picture(tmp_path, "b.png")
    folder = tmp_path / "data"
    folder.mkdir()
    as_lines(folder, "val.jsonl", [{**ROW, "image": name}])
    assert "leads out of" in wrong("vqav2", folder)


def test_names_in_the_official_files_do_not_lead_out_either(tmp_path: Path) -> None:
    data = [{"questionId": 1, "question": "Q?", "image": "../x.png", "answers": ["a"]}]
    as_json(tmp_path, "val_v1.0.json", {"data": data})
    assert "val_v1.0.json, data entry 1: the name '../x.png' leads out" in wrong("docvqa", tmp_path)


def test_a_link_that_the_user_put_there_is_followed(tmp_path: Path) -> None:
    picture(tmp_path, "elsewhere/a.png")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "images").symlink_to(tmp_path / "elsewhere")
    as_lines(folder, "val.jsonl", [ROW])
    assert len(read("vqav2", folder)) == 1


def test_ids_that_come_twice_are_refused_in_the_official_layout(tmp_path: Path) -> None:
    picture(tmp_path, "images/1.jpg")
    row = {"question_id": 1, "image": "1.jpg", "question": "How many?", "answer": 2, "issimple": 1}
    as_json(tmp_path, "test.json", [row, row])
    message = wrong("tallyqa", tmp_path)
    assert "test.json, entry 2 has the id 1 of test.json, entry 1" in message


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("docvqa", "val_v1.0.json"),
        ("docvqa", "val.jsonl"),
        ("xm3600", "captions.jsonl"),
        ("mmvp", "Questions.csv"),
        ("icdar15", "gt/gt_img_1.txt"),
    ],
)
def test_a_file_that_is_not_utf_8_is_named(name: str, file: str, tmp_path: Path) -> None:
    picture(tmp_path, "images/img_1.jpg")
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b'{"data": "caf\xe9"}\n')
    message = wrong(name, tmp_path)
    assert path.name in message
    assert "line 1, is not UTF-8" in message


def test_an_empty_list_of_questions_is_no_benchmark(tmp_path: Path) -> None:
    as_json(tmp_path, "val_v1.0.json", {"data": []})
    assert "holds no question of DocVQA (val)" in wrong("docvqa", tmp_path)


def test_a_file_of_another_kind_is_named_with_what_was_expected(tmp_path: Path) -> None:
    as_json(tmp_path, "test.json", {"a": 1})
    assert "is no JSON list" in wrong("tallyqa", tmp_path)
    as_json(tmp_path, "testdev_balanced_questions.json", [])
    assert "is no JSON object" in wrong("gqa", tmp_path)
    text(tmp_path, "screen_summaries.csv", "screenId\n1\n")
    text(tmp_path, "split/test_screens.txt", "1\n")
    assert "expected summary too" in wrong("screen2words", tmp_path)


def test_annotations_of_another_release_are_refused(tmp_path: Path) -> None:
    question = {"image_id": 9, "question": "Q?", "question_id": 1}
    as_json(tmp_path, "v2_OpenEnded_mscoco_val2014_questions.json", {"questions": [question]})
    as_json(tmp_path, "v2_mscoco_val2014_annotations.json", {"annotations": []})
    assert "question 1 is not in v2_mscoco" in wrong("vqav2", tmp_path)


def test_a_choice_that_is_none_of_the_options_is_refused(tmp_path: Path) -> None:
    row = {
        "image_id": 9,
        "question_id": "q",
        "question": "Q?",
        "choices": ["a", "b"],
        "correct_choice_idx": 2,
    }
    as_json(tmp_path, "aokvqa_v1p0_val.json", [row])
    picture(tmp_path, "val2017/000000000009.jpg")
    assert "its correct_choice_idx is 2" in wrong("aokvqa-mc", tmp_path)


def test_a_python_pickle_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "refs(unc).p").write_bytes(b"cos\nsystem\n")
    as_json(tmp_path, "instances.json", {"images": [], "annotations": []})
    assert "is a Python pickle" in wrong("refcoco-val", tmp_path)


def test_files_and_lines_that_are_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "MAX_JSON_BYTES", 10)
    monkeypatch.setattr(items, "MAX_LINE", 10)
    as_json(tmp_path, "test.json", ["x" * 20])
    assert "has more than 10 bytes" in wrong("tallyqa", tmp_path)
    as_lines(tmp_path, "test.jsonl", ["x" * 20])
    assert "test.jsonl, line 1, has more than 10 bytes" in wrong("tallyqa", tmp_path)


def test_a_broken_word_or_outline_is_named(tmp_path: Path) -> None:
    picture(tmp_path, "images/img_1.jpg")
    text(tmp_path, "gt/gt_img_1.txt", "1,2,3,word\n")
    assert "gt_img_1.txt, line 1" in wrong("icdar15", tmp_path)
    picture(tmp_path, "images/img1.jpg")
    text(tmp_path, "gt/poly_gt_img1.txt", "x: [[1 2]], transcriptions: [u'a']\n")
    assert "1 words of which 0 can be read" in wrong("total-text", tmp_path)


def test_a_table_whose_cells_do_not_fit_is_refused(tmp_path: Path) -> None:
    picture(tmp_path, "val/a.png")
    html = {"structure": {"tokens": ["<tr>", "<td>", "</td>", "</tr>"]}, "cells": []}
    as_lines(
        tmp_path, "PubTabNet_2.0.0.jsonl", [{"filename": "a.png", "split": "val", "html": html}]
    )
    assert "line 1: its structure has more cells" in wrong("pubtabnet", tmp_path)


def test_rows_of_a_table_have_as_many_cells_as_its_header(tmp_path: Path) -> None:
    text(tmp_path, "a.csv", 'x,y\n1,"two\nlines"\n3\n')
    rows = table_rows(tmp_path / "a.csv", "x", "y")
    assert next(rows).text("y") == "two\nlines"
    with pytest.raises(InputError, match="row 2 has 1 cells: expected 2"):
        next(rows)


def test_a_clip_takes_every_so_manieth_frame_and_begins_again_where_it_is_short() -> None:
    clip = Clip(Path("a.mp4"), 4, 9)
    assert clip.indices(100) == [0, 9, 18, 27]
    assert clip.indices(20) == [0, 9, 18, 0]
    assert clip.indices(1) == [0, 0, 0, 0]


@given(st.integers(1, 500), st.integers(1, 16), st.integers(1, 70))
def test_frames_of_a_clip_are_always_there(total: int, frames: int, stride: int) -> None:
    indices = Clip(Path("a.mp4"), frames, stride).indices(total)
    assert len(indices) == frames
    assert all(0 <= index < total for index in indices)


@given(st.text(max_size=60))
def test_questions_are_put_into_the_prompt_letter_for_letter(words: str) -> None:
    from palikit.evaluation.benchmarks.layouts.entry import Entry
    from palikit.evaluation.benchmarks.protocol import prompt_of

    entry = Entry("1", (), words)
    assert prompt_of("answer en {question}", entry) == f"answer en {words}"


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\n\r\ntwo")
    assert list(lines_of(tmp_path / "a.txt")) == [(1, "one"), (3, "two")]
