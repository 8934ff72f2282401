"""Pascal VOC: pixels from 1, lists of splits, and XML that is not trusted."""

from pathlib import Path

import pytest

from palikit.data.rows import load_rows
from palikit.data.voc import read_voc
from palikit.errors import InputError
from palikit.results import Box
from tests.conftest import shared
from tests.data.broken import save_picture
from tests.data.sources import only_error, voc_folder, voc_lists, voc_xml


def boxes(folder: Path) -> list[Box]:
    return [each.box for record in read_voc(folder).records for each in record.objects or ()]


def test_pixels_count_from_one_and_include_both_ends(tmp_path: Path) -> None:
    voc_folder(tmp_path, {"a": voc_xml("a", [("cat", 1, 1, 64, 48), ("dog", 5, 6, 6, 7)])})
    assert boxes(tmp_path) == [Box(0, 0, 64, 48), Box(4, 5, 6, 7)]


def test_a_zero_of_tools_that_count_from_zero_is_taken_as_one(tmp_path: Path) -> None:
    voc_folder(tmp_path, {"a": voc_xml("a", [("cat", 0, 0, 10, 10)])})
    assert boxes(tmp_path) == [Box(0, 0, 10, 10)]


def test_a_box_without_extent_stays_empty(tmp_path: Path) -> None:
    voc_folder(tmp_path, {"a": voc_xml("a", [("cat", 7, 7, 7, 20)])})
    assert boxes(tmp_path)[0].width == 0


def test_lists_say_the_split_and_what_no_list_names_is_left_out(tmp_path: Path) -> None:
    voc_folder(tmp_path, {name: voc_xml(name, [("cat", 1, 1, 9, 9)]) for name in "abcd"})
    voc_lists(tmp_path, train="a", val="b", trainval="a b", test="c")
    found = read_voc(tmp_path)
    assert [(each.images[0].stem, each.split) for each in found.records] == [
        ("a", "train"),
        ("b", "val"),
        ("c", "test"),
    ]


def test_trainval_alone_is_train(tmp_path: Path) -> None:
    voc_folder(tmp_path, {"a": voc_xml("a", [])})
    voc_lists(tmp_path, trainval="a")
    assert [each.split for each in read_voc(tmp_path).records] == ["train"]


def test_a_name_without_a_file_is_told(tmp_path: Path) -> None:
    voc_folder(tmp_path, {"a": voc_xml("a", [])})
    voc_lists(tmp_path, train="a b")
    assert "it names b, and there is no" in only_error(read_voc(tmp_path).problems)


def test_files_beside_their_pictures_have_the_split_in_the_folder(tmp_path: Path) -> None:
    save_picture(tmp_path / "valid" / "a.png", 0)
    (tmp_path / "valid" / "a.xml").write_text(voc_xml("a", []), encoding="utf-8")
    (record,) = read_voc(tmp_path).records
    assert (record.split, record.objects) == ("val", ())


def test_difficult_objects_are_trained_on_only_when_asked(tmp_path: Path) -> None:
    extra = "<difficult>1</difficult>"
    voc_folder(tmp_path, {"a": voc_xml("a", [("cat", 1, 1, 9, 9)], extra)})
    for difficult in (False, True):
        (record,) = read_voc(tmp_path, difficult=difficult).records
        assert [each.crowd for each in record.objects or ()] == [not difficult]


def test_entities_are_never_read(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY x "aaaa"><!ENTITY y "&x;&x;">]>' + voc_xml("a", [])
    voc_folder(tmp_path, {"a": bomb})
    assert "declares a document type or entities" in only_error(read_voc(tmp_path).problems)


@pytest.mark.parametrize("text", ["<annotation>", "", "\x00"])
def test_what_is_not_xml_is_told(tmp_path: Path, text: str) -> None:
    voc_folder(tmp_path, {"a": text})
    assert "is not XML" in only_error(read_voc(tmp_path).problems)


def test_a_box_that_is_no_numbers_is_told(tmp_path: Path) -> None:
    xml = voc_xml("a", [("cat", 1, 1, 9, 9)]).replace("<xmin>1", "<xmin>left")
    voc_folder(tmp_path, {"a": xml})
    assert "the box of 'cat' is ['left'" in only_error(read_voc(tmp_path).problems)


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no Pascal VOC files"):
        read_voc(tmp_path)


def test_the_blood_cells_are_read_as_published() -> None:
    found = read_voc(shared("data", "bccd"))
    splits = [each.split for each in found.records]
    assert [splits.count(name) for name in ("train", "val", "test")] == [205, 87, 72]
    objects = [each for record in found.records for each in record.objects or ()]
    assert len(objects) == 4888
    assert sum(each.box.width == 0 or each.box.height == 0 for each in objects) == 2
    assert found.classes == ("Platelets", "RBC", "WBC")


def test_a_list_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    voc_folder(tmp_path / "voc", {"a": voc_xml("a", [])})
    (tmp_path / "b.xml").write_text("<annotation/>", encoding="utf-8")
    voc_lists(tmp_path / "voc", train=f"a {tmp_path / 'b'}")
    assert "there is no" in only_error(read_voc(tmp_path / "voc").problems)


def test_names_in_the_list_of_a_split_that_is_not_wanted_need_no_file(tmp_path: Path) -> None:
    voc_folder(tmp_path, {"a": voc_xml("a", [("cat", 1, 1, 9, 9)])})
    voc_lists(tmp_path, train="a", test="gone")
    assert len(load_rows(tmp_path, ("train", "val")).rows) == 1
    with pytest.raises(InputError, match="names gone"):
        load_rows(tmp_path)
