"""One door for every format, and rows that are fit for training."""

from pathlib import Path

import pytest

from palikit.data.options import RenderOptions
from palikit.data.reading import recognise
from palikit.data.rows import load_rows, read_rows
from palikit.errors import InputError
from tests.data.broken import row, save_picture, write_rows
from tests.data.sources import (
    coco_file,
    voc_folder,
    voc_lists,
    voc_xml,
    write_json,
    yolo_folder,
)

BOX = {"category_id": 7, "bbox": [10, 8, 20, 20]}


def test_every_format_is_recognised_by_its_folder(tmp_path: Path) -> None:
    write_rows(tmp_path / "jsonl" / "train.jsonl", [])
    coco_file(tmp_path / "coco" / "train" / "_annotations.coco.json", [BOX])
    voc_folder(tmp_path / "voc", {"a": voc_xml("a", [])})
    yolo_folder(tmp_path / "yolo", "[cat]", {"a": ""})
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "a.csv").write_text("image,text\n", encoding="utf-8")
    write_json(tmp_path / "label-studio" / "a.json", [{"data": {"image": "a"}}])
    for name in ("images", "labels"):
        save_picture(tmp_path / "instance-labels" / name / "a.png", 0)
    for folder in tmp_path.iterdir():
        assert recognise(folder) == folder.name


def test_every_format_is_recognised_by_its_file(tmp_path: Path) -> None:
    for name, known in [("a.jsonl", "jsonl"), ("a.csv", "csv"), ("data.yaml", "yolo")]:
        (tmp_path / name).touch()
        assert recognise(tmp_path / name) == known
    assert recognise(coco_file(tmp_path / "a.json", [BOX])) == "coco"
    assert recognise(write_json(tmp_path / "b.json", [{"data": {}}])) == "label-studio"


def test_a_folder_of_two_formats_is_refused_until_one_is_named(tmp_path: Path) -> None:
    coco_file(tmp_path / "a.json", [BOX])
    write_rows(tmp_path / "train.jsonl", [row("0.png")])
    with pytest.raises(InputError, match=r"could be jsonl or coco: .* --format"):
        load_rows(tmp_path)
    assert len(load_rows(tmp_path, format="coco").rows) == 1


def test_a_folder_of_none_is_told_what_each_needs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the formats that were tried") as error:
        load_rows(tmp_path)
    for need in ("data.yaml", "Annotations/*.xml", "save_to_disk", "*.csv"):
        assert need in str(error.value)
    with pytest.raises(InputError, match="there is no"):
        load_rows(tmp_path / "gone")


def test_a_split_is_read_alone_under_any_of_its_names(tmp_path: Path) -> None:
    voc_folder(tmp_path, {name: voc_xml(name, [("cat", 1, 1, 9, 9)]) for name in "ab"})
    voc_lists(tmp_path, train="a", val="b")
    assert [each.images[0].stem for each in load_rows(tmp_path, "validation").rows] == ["b"]
    with pytest.raises(InputError, match="has no split 'test': it has train, val"):
        load_rows(tmp_path, "test")


def test_the_first_error_stops_loading_and_all_are_collected_when_reading(tmp_path: Path) -> None:
    wrong = {**BOX, "category_id": 1}
    coco_file(tmp_path / "a.json", [BOX, wrong, wrong])
    with pytest.raises(InputError, match=r"a\.json, annotation 101: its category_id 1"):
        load_rows(tmp_path)
    assert len(read_rows(tmp_path).problems) == 2


def test_a_source_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    coco_file(tmp_path / "a.json", [])
    with pytest.raises(InputError, match=r"has no rows to train on: .* dropped"):
        load_rows(tmp_path, options=RenderOptions(empty="drop"))


def test_one_prefix_replaces_those_of_a_table_of_rows(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0)
    (tmp_path / "a.csv").write_text("image,prefix,suffix\na.png,<JSON>,x\n", encoding="utf-8")
    (found,) = load_rows(tmp_path, options=RenderOptions(prefix="extract JSON")).rows
    assert found.prefix == "extract JSON"
