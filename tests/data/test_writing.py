"""Files appear whole or not at all, and COCO goes there and back."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palikit.data.coco import read_coco
from palikit.data.records import Annotation
from palikit.data.rows import Row, load_rows
from palikit.data.writing import copy_pictures, unique_names, write_coco, write_jsonl
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.pictures import load_picture
from palikit.results import Box
from tests.data.broken import CAT, PROMPT, save_picture, save_turned
from tests.data.sources import SIZE


def picture_row(folder: Path, *objects: Annotation, name: str = "a.png") -> Row:
    save_picture(folder / name, 0, SIZE)
    return Row((folder / name,), PROMPT, (CAT,), objects=objects, width=64, height=48)


def test_coco_goes_there_and_back(tmp_path: Path) -> None:
    inside = np.zeros(SIZE[::-1], np.bool_)
    inside[5:9, 7:20] = True
    objects = (
        Annotation("dog", Box(7, 5, 20, 9), Mask.from_array(inside)),
        Annotation("cat", Box(1, 2, 3, 4.5), crowd=True),
    )
    row = picture_row(tmp_path / "pictures", *objects)
    write_coco([row], tmp_path / "out" / "train.json", classes=("cat", "dog"))
    found = read_coco(tmp_path / "out")
    assert found.classes == ("cat", "dog")
    assert found.problems == ()
    areas = (float(inside.sum()), 2 * 2.5)  # of the outline, and of the box without one
    assert found.records[0].objects == tuple(
        replace(each, area=area) for each, area in zip(objects, areas, strict=True)
    )
    assert (found.records[0].images, found.records[0].split) == (
        (tmp_path / "out" / ".." / "pictures" / "a.png",),
        "train",
    )


def test_rows_of_one_picture_become_one_image(tmp_path: Path) -> None:
    rows = [picture_row(tmp_path, Annotation(name, Box(1, 2, 3, 4))) for name in ("cat", "dog")]
    write_coco(rows, tmp_path / "all.json")
    (record,) = read_coco(tmp_path).records
    assert [each.label for each in record.objects or ()] == ["cat", "dog"]


def test_objects_are_read_from_the_suffix_where_there_is_nothing_exact(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0, SIZE)
    write_coco([Row((tmp_path / "a.png",), PROMPT, (CAT,))], tmp_path / "all.json")
    (found,) = read_coco(tmp_path).records[0].objects or ()
    expected = [100 / 1023 * 64, 100 / 1023 * 48, 500 / 1023 * 64, 500 / 1023 * 48]
    assert found.box.to_list() == pytest.approx(expected, abs=0.02)
    wrong = Row((tmp_path / "a.png",), PROMPT, ("<loc0001> cat",), where="here")
    with pytest.raises(InputError, match="here: its suffix cannot be read"):
        write_coco([wrong], tmp_path / "b.json")


def test_captions_are_coco_too_and_answers_are_not(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0, SIZE)
    row = Row((tmp_path / "a.png",), "caption en", ("one", "two"))
    write_coco([row], tmp_path / "all.json")
    assert read_coco(tmp_path).records[0].captions == ("one", "two")
    with pytest.raises(InputError, match="COCO has no place for the prompt 'answer en q'"):
        write_coco([Row((tmp_path / "a.png",), "answer en q", ("x",))], tmp_path / "b.json")


def test_existing_files_are_replaced_only_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="exists: choose another folder, or --overwrite"):
        write_jsonl([], file)
    assert file.read_text(encoding="utf-8") == "mine"
    write_jsonl([], file, overwrite=True)
    assert file.read_text(encoding="utf-8") == ""


def test_a_row_that_fails_leaves_no_file_and_the_old_one_whole(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text("old", encoding="utf-8")

    def failing() -> "object":
        yield picture_row(tmp_path)
        raise OSError(28, os.strerror(28))

    with pytest.raises(InputError, match=r"cannot be written .* make room"):
        write_jsonl(failing(), file, overwrite=True)  # type: ignore[arg-type]
    assert file.read_text(encoding="utf-8") == "old"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.png", "train.jsonl"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_jsonl([], tmp_path / "file" / "train.jsonl")


def test_pictures_are_copied_byte_for_byte_under_names_of_their_own(tmp_path: Path) -> None:
    rows = [picture_row(tmp_path / folder) for folder in ("x", "y")]
    copies, turned = copy_pictures(rows, tmp_path / "images")
    assert turned == 0
    assert [each.images[0].name for each in copies] == ["a.png", "a-2.png"]
    for row, copied in zip(rows, copies, strict=True):
        assert row.images[0].read_bytes() == copied.images[0].read_bytes()


def test_pictures_on_their_side_are_turned_only_for_programs_that_do_not(tmp_path: Path) -> None:
    save_turned(tmp_path / "a.jpg", 0, SIZE)
    row = Row((tmp_path / "a.jpg",), PROMPT, (CAT,))
    (same,), turned = copy_pictures([row], tmp_path / "images")
    assert (same.images[0].read_bytes(), turned) == ((tmp_path / "a.jpg").read_bytes(), 0)
    (upright,), turned = copy_pictures([row], tmp_path / "upright", upright=True)
    assert (upright.images[0].name, turned) == ("a.png", 1)
    with Image.open(upright.images[0]) as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(load_picture(tmp_path / "a.jpg")))


def test_names_that_differ_in_case_alone_are_numbered() -> None:
    assert unique_names(["a.png", "A.png", "a.jpg"]) == ["a.png", "A-2.png", "a.jpg"]


def test_ten_thousand_pictures_of_one_name_take_no_time() -> None:
    names = unique_names(["image.png"] * 10_000, taken=["IMAGE-2.png"])
    assert names[:3] == ["image.png", "image-3.png", "image-4.png"]
    assert len(set(names)) == 10_000


def test_a_turned_picture_does_not_take_the_name_of_another(tmp_path: Path) -> None:
    save_turned(tmp_path / "a.jpg", 0, SIZE)
    rows = [Row((tmp_path / "a.jpg",), PROMPT, (CAT,)), picture_row(tmp_path)]
    copies, _ = copy_pictures(rows, tmp_path / "images", upright=True)
    assert [each.images[0].name for each in copies] == ["a.png", "a-2.png"]
    assert copies[1].images[0].read_bytes() == (tmp_path / "a.png").read_bytes()


def test_a_copy_does_not_replace_a_picture_that_is_there_already(tmp_path: Path) -> None:
    rows = [picture_row(tmp_path / "images"), picture_row(tmp_path / "other")]
    copies, _ = copy_pictures(rows, tmp_path / "images")
    assert [each.images[0].name for each in copies] == ["a.png", "a-2.png"]


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_that_are_no_utf8_are_written_and_read_back(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0, SIZE)
    strange = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        (tmp_path / "a.png").rename(strange)
    except OSError:
        pytest.skip("this file system has no such names")
    row = Row((strange,), PROMPT, (CAT,), width=64, height=48)
    write_jsonl([row], tmp_path / "train.jsonl")
    assert load_rows(tmp_path / "train.jsonl").rows[0].images == (strange,)
    write_coco([row], tmp_path / "coco" / "train.json")
    assert read_coco(tmp_path / "coco").records[0].images[0].samefile(strange)


def test_the_coco_api_reads_what_is_written(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    write_coco([picture_row(tmp_path, Annotation("cat", Box(1, 2, 9, 8)))], tmp_path / "a.json")
    truth = coco.COCO(str(tmp_path / "a.json"))
    result = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 6], "score": 1.0}
    assert truth.loadRes([result]).getAnnIds() == [1]
