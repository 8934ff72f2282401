"""Rows as JSON lines: written and read back, in the layouts of others, and what is refused."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palikit.data.check import check_before_training
from palikit.data.check_tokens import estimated_tokens
from palikit.data.jsonl import read_jsonl, row_to_json
from palikit.data.options import RenderOptions
from palikit.data.records import Annotation
from palikit.data.rows import Row, load_rows
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.results import Box
from tests.data.broken import CAT, PROMPT, row, save_picture, write_rows
from tests.data.sources import only_error


def test_a_row_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_picture(tmp_path / "pictures" / name, 0)
    inside = np.eye(48, 64, dtype=np.bool_)
    whole = Row(
        images=(tmp_path / "pictures" / "a.png", tmp_path / "pictures" / "b.png"),
        prefix=PROMPT,
        suffixes=(CAT, "für alle"),
        order="random",
        objects=(
            Annotation("cat", Box(1.5, 2, 3, 4.25), Mask.from_array(inside)),
            Annotation("dog", Box(0, 0, 4, 4), crowd=True),
        ),
        width=64,
        height=48,
        where="train.jsonl, line 1",
        split="train",
        id="7",
    )
    line = row_to_json(whole, tmp_path)
    (tmp_path / "train.jsonl").write_text(line + "\n", encoding="utf-8")
    assert json.loads(line)["image"] == ["pictures/a.png", "pictures/b.png"]
    assert read_jsonl(tmp_path).rows == (whole,)


@pytest.mark.parametrize(
    "file", ["train.jsonl", "dataset/_annotations.train.jsonl", "train/annotations.jsonl"]
)
def test_the_layouts_of_others_are_known(tmp_path: Path, file: str) -> None:
    write_rows(tmp_path / file, [row("a.jpg.png")])
    save_picture((tmp_path / file).parent / "a.jpg.png", 0)
    found = read_jsonl(tmp_path)
    assert [each.split for each in found.rows] == ["train"]
    assert found.classes == ("cat", "dog")


def test_big_vision_s_rows_get_their_prefix_from_an_option(tmp_path: Path) -> None:
    write_rows(tmp_path / "data_train90.jsonl", [{"image": "a.png", "suffix": "a long caption"}])
    save_picture(tmp_path / "a.png", 0)
    with pytest.raises(InputError, match=r"line 1: its prefix is None: .* --prefix"):
        load_rows(tmp_path)
    (found,) = load_rows(tmp_path, "train", RenderOptions(prefix="caption en")).rows
    assert found.prefix == "caption en"


def test_pictures_are_found_in_a_folder_that_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", [row("a.png")])
    save_picture(tmp_path / "elsewhere" / "a.png", 0)
    assert "there is no picture a.png" in only_error(read_jsonl(tmp_path).problems)
    found = read_jsonl(tmp_path, images=tmp_path / "elsewhere")
    assert found.rows[0].images == (tmp_path / "elsewhere" / "a.png",)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"suffix": ""}, "its suffix is empty"),
        ({"suffix": ["a", " "]}, "its suffix is empty"),
        ({"suffix": 5}, "its suffix is 5"),
        ({"suffix": []}, r"its suffix is \[\]"),
        ({"prefix": None}, "its prefix is None"),
        ({"image": []}, r"its image is \[\]"),
        ({"image": "gone.png"}, "there is no picture gone.png"),
        ({"order": "up"}, "its order is 'up'"),
        ({"width": -1, "height": 5}, "its width and height are"),
        ({"objects": [{"label": "a"}]}, "one of its objects is"),
    ],
)
def test_a_row_that_makes_training_wrong_is_refused_by_its_line(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    save_picture(tmp_path / "a.png", 0)
    write_rows(tmp_path / "val.jsonl", [row("a.png"), {**row("a.png"), **change}])
    with pytest.raises(InputError, match=rf"val.jsonl, line 2: .*{told}"):
        load_rows(tmp_path)


@pytest.mark.parametrize("line", ["not json", "[1, 2]", '{"image":'])
def test_a_line_that_is_no_object_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "train.jsonl").write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"train.jsonl, line 2: it is no"):
        load_rows(tmp_path)


def test_an_empty_suffix_is_meant_where_the_row_says_nothing_is_there(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0)
    write_rows(tmp_path / "train.jsonl", [row("a.png", suffix="", objects=[])])
    assert load_rows(tmp_path).rows[0].suffixes == ("",)


def test_crowds_alone_mean_that_nothing_is_there_to_be_found(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0)
    crowd = {"label": "cat", "bbox": [1, 1, 9, 9], "crowd": True, "area": 12.5}
    write_rows(
        tmp_path / "train.jsonl",
        [row("a.png", suffix="", objects=[crowd], width=64, height=48)],
    )
    (found,) = load_rows(tmp_path).rows
    assert (found.objects or ())[0].area == 12.5
    check_before_training({"train": [found]}, estimated_tokens, 128)


@pytest.mark.parametrize("name", ["data:image/png;base64," + "A" * 5000, "a\0.png"])
def test_a_name_that_no_file_can_have_is_a_missing_picture(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path / "train.jsonl", [row(name)])
    with pytest.raises(InputError, match="there is no picture") as raised:
        load_rows(tmp_path)
    assert len(str(raised.value)) < 500


@pytest.mark.skipif(os.name == "nt", reason="there a backslash parts folders")
def test_a_backslash_may_part_folders_or_be_part_of_a_name(tmp_path: Path) -> None:
    save_picture(tmp_path / "b" / "c.png", 0)
    save_picture(tmp_path / "d\\e.png", 0)
    write_rows(tmp_path / "train.jsonl", [row("b\\c.png"), row("d\\e.png")])
    names = [each.images[0].name for each in load_rows(tmp_path).rows]
    assert names == ["c.png", "d\\e.png"]


def test_hidden_files_beside_the_others_are_not_read(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0)
    write_rows(tmp_path / "train.jsonl", [row("a.png")])
    (tmp_path / "._train.jsonl").write_bytes(b"\0\5\x16\7")
    assert len(load_rows(tmp_path).rows) == 1


def test_a_line_end_of_unicode_is_part_of_a_text(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0)
    line = json.dumps(row("a.png", "caption en", "one\u2028two"), ensure_ascii=False)
    (tmp_path / "train.jsonl").write_text(line, encoding="utf-8")
    assert load_rows(tmp_path).rows[0].suffixes == ("one\u2028two",)


def test_an_empty_file_is_an_error_that_says_so(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0)
    write_rows(tmp_path / "val.jsonl", [row("a.png")])
    (tmp_path / "train.jsonl").write_text("\n\n")
    found = read_jsonl(tmp_path)
    assert only_error(found.problems).startswith("train.jsonl: it is empty: give a row on each")
    assert len(found.rows) == 1
    with pytest.raises(InputError, match=r"train\.jsonl: it is empty"):
        load_rows(tmp_path)


def test_a_line_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    line = '{"image": "a.png", "prefix": "ocr", "suffix": "%s"}\n'
    text = (line % "a") * 2 + line % "é" + line % "b"
    (tmp_path / "train.jsonl").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"train\.jsonl, line 3, is not UTF-8 text"):
        read_jsonl(tmp_path)


def test_what_is_wrong_in_other_splits_is_not_looked_at(tmp_path: Path) -> None:
    save_picture(tmp_path / "in" / "a.png", 0)
    write_rows(tmp_path / "in" / "train.jsonl", [row("a.png")])
    write_rows(tmp_path / "in" / "extra.jsonl", [row("a.png")])
    write_rows(tmp_path / "in" / "test.jsonl", [row("gone.png")])
    assert len(load_rows(tmp_path / "in", (None, "train", "valid")).rows) == 2
    with pytest.raises(InputError, match="no split 'dev' or 'other': it has train"):
        load_rows(tmp_path / "in", ("dev", "other"))
