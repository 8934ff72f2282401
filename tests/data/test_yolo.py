"""YOLO: fractions of the upright picture, class names from data.yaml or classes.txt."""

from pathlib import Path

import pytest

from palikit.data.rows import load_rows
from palikit.data.yolo import read_yolo
from palikit.errors import InputError
from palikit.results import Box
from tests.data.broken import save_picture, save_turned
from tests.data.sources import only_error, yolo_folder


def test_boxes_become_pixels(tmp_path: Path) -> None:
    yolo_folder(tmp_path, "[cat, dog]", {"a": "1 0.5 0.5 0.25 0.5\n"})
    found = read_yolo(tmp_path)
    (record,) = found.records
    assert [(each.label, each.box) for each in record.objects or ()] == [
        ("dog", Box(24, 12, 40, 36))
    ]
    assert (found.classes, record.split) == (("cat", "dog"), "train")


def test_polygons_become_outlines(tmp_path: Path) -> None:
    yolo_folder(tmp_path, "{0: cat}", {"a": "0 0.25 0.25 0.5 0.25 0.5 0.5 0.25 0.5"})
    (found,) = read_yolo(tmp_path).records[0].objects or ()
    assert found.mask is not None
    assert (found.box, found.mask.area) == (Box(16, 12, 32, 24), 16 * 12)
    (found,) = read_yolo(tmp_path, masks=False).records[0].objects or ()
    assert (found.box, found.mask) == (Box(16, 12, 32, 24), None)


def test_fractions_are_of_the_picture_turned_upright(tmp_path: Path) -> None:
    yolo_folder(tmp_path, "[cat]", {"a": "0 0.5 0.5 1 1"})
    save_turned(tmp_path / "images" / "train" / "a.png", 0, (64, 48))
    (found,) = read_yolo(tmp_path).records[0].objects or ()
    assert found.box == Box(0, 0, 48, 64)


def test_key_points_after_a_box_are_left_out(tmp_path: Path) -> None:
    yolo_folder(tmp_path, "[cat]\nkpt_shape: [2, 2]", {"a": "0 .5 .5 .25 .5 .1 .1 .9 .9"})
    (found,) = read_yolo(tmp_path).records[0].objects or ()
    assert (found.box, found.mask) == (Box(24, 12, 40, 36), None)


def test_folders_in_the_folder_of_pictures_are_searched(tmp_path: Path) -> None:
    yolo_folder(tmp_path, "[cat]", {"a": "0 .5 .5 1 1"})
    save_picture(tmp_path / "images" / "train" / "deep" / "b.png", 0)
    (tmp_path / "labels" / "train" / "deep").mkdir()
    (tmp_path / "labels" / "train" / "deep" / "b.txt").write_text("0 .5 .5 1 1", encoding="utf-8")
    assert [len(each.objects or ()) for each in read_yolo(tmp_path).records] == [1, 1]


def test_pictures_without_any_file_of_labels_are_refused(tmp_path: Path) -> None:
    yolo_folder(tmp_path, "[cat]", {"a": "0 .5 .5 1 1"})
    (tmp_path / "labels" / "train" / "a.txt").rename(tmp_path / "a.txt")
    with pytest.raises(InputError, match="has 1 picture and no file of labels: expected"):
        read_yolo(tmp_path)


def test_hidden_files_are_no_pictures(tmp_path: Path) -> None:
    yolo_folder(tmp_path, "[cat]", {"a": "0 .5 .5 1 1"})
    (tmp_path / "images" / "train" / "._a.png").write_bytes(b"\0\5\x16\7")
    found = read_yolo(tmp_path)
    assert (len(found.records), found.problems) == (1, ())


def test_a_picture_without_labels_shows_nothing(tmp_path: Path) -> None:
    yolo_folder(tmp_path, "[cat]", {"a": "", "b": ""})
    (tmp_path / "labels" / "train" / "b.txt").unlink()
    assert [each.objects for each in read_yolo(tmp_path).records] == [(), ()]


def test_paths_of_roboflow_s_exports_are_found(tmp_path: Path) -> None:
    save_picture(tmp_path / "valid" / "images" / "a.png", 0)
    (tmp_path / "valid" / "labels").mkdir()
    (tmp_path / "valid" / "labels" / "a.txt").write_text("0 .5 .5 .5 .5", encoding="utf-8")
    (tmp_path / "data.yaml").write_text("val: ../valid/images\nnames: ['x']\n", encoding="utf-8")
    (record,) = read_yolo(tmp_path).records
    assert (record.split, len(record.objects or ())) == ("val", 1)


def test_classes_txt_serves_a_folder_of_pictures(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0)
    (tmp_path / "a.txt").write_text("1 .5 .5 .5 .5", encoding="utf-8")
    (tmp_path / "classes.txt").write_text("cat\ndog\n", encoding="utf-8")
    (record,) = read_yolo(tmp_path).records
    assert [each.label for each in record.objects or ()] == ["dog"]
    assert record.split is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "5 .5 .5 .5 .5",
            "its class 5 is not among the names of the classes, which are numbered 0 to 0",
        ),
        ("0 .5 .5 .5", "it has 4 values"),
        ("0 .5 .5 .5 .5 .9", "it has 6 values"),
        ("0 .5 .5 x .5", "expected numbers alone"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, told: str) -> None:
    yolo_folder(tmp_path, "[cat]", {"a": f"0 .5 .5 .1 .1\n{line}"})
    problem = only_error(read_yolo(tmp_path).problems)
    assert "a.txt, line 2" in problem
    assert told in problem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train: nowhere\nnames: [a]", "names nowhere and there is no"),
        ("train: images\nnames: cat", "has no class names"),
        ("names: [a\n", "is not YAML"),
        ("names: !!python/object/apply:os.getcwd []", "is not YAML"),
        (f"names: {'[' * 5000}{']' * 5000}", "is not YAML"),
        ("names: [yes, no]", "class name of type bool: write it in quotes"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b]", "class name of type list"),
        ("train: 5\nnames: [a]", "value of type int for pictures"),
    ],
)
def test_a_wrong_data_yaml_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=told):
        read_yolo(tmp_path / "data.yaml")


def test_pixels_in_place_of_shares_are_told_as_such(tmp_path: Path) -> None:
    yolo_folder(tmp_path, "[cat]", {"a": "0 32 24 16 8"})
    problem = only_error(read_yolo(tmp_path).problems)
    assert "its largest number is 32: expected shares of the picture's width and height" in problem


def test_pictures_of_a_split_that_is_not_wanted_need_not_be_there(tmp_path: Path) -> None:
    yolo_folder(tmp_path, "[cat]", {"a": "0 .5 .5 .1 .1"})
    with (tmp_path / "data.yaml").open("a") as file:
        file.write("test: ../test/images\n")
    assert len(load_rows(tmp_path, (None, "train", "val")).rows) == 1
    with pytest.raises(InputError, match=r"names \.\./test/images and there is no"):
        load_rows(tmp_path)
