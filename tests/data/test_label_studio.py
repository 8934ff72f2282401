"""Label Studio: percents, rotation, brushes, and texts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palikit.data.label_studio import read_label_studio
from palikit.data.records import Question, Records
from palikit.errors import InputError
from palikit.results import Box
from tests.data.broken import save_picture
from tests.data.sources import SIZE, only_error, write_json


def region(kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    size = {"original_width": SIZE[0], "original_height": SIZE[1], "image_rotation": 0}
    return {"id": "r1", "type": kind, "value": value, **size, **more}


def export(folder: Path, regions: list[dict[str, Any]], **data: Any) -> Records:
    save_picture(folder / "a.png", 0, SIZE)
    task = {
        "id": 3,
        "data": {"image": "/data/upload/1/0123abcd-a.png", **data},
        "annotations": [{"was_cancelled": True, "result": []}, {"result": regions}],
    }
    return read_label_studio(write_json(folder / "export.json", [task]))


def rectangle(**more: float) -> dict[str, Any]:
    whole = {"x": 25, "y": 25, "width": 50, "height": 25, "rotation": 0, **more}
    return region("rectanglelabels", {**whole, "rectanglelabels": ["cat"]})


def packed(values: "np.ndarray[Any, Any]") -> list[int]:
    """Values packed as Label Studio does: runs where they repeat, and literals elsewhere."""
    bits = f"{len(values):032b}" + f"{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16))
    ends = [*(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    start = 0
    for end in ends:
        for first in range(start, end, 65536):
            length = min(end - first, 65536)
            which = 0 if length <= 8 else 3
            width = 3 if which == 0 else 16
            if length <= 8:
                literal = "".join(f"{value:08b}" for value in values[first : first + length])
                bits += f"0{which:02b}{length - 1:0{width}b}{literal}"
            else:
                bits += f"1{which:02b}{length - 1:0{width}b}{values[first]:08b}"
        start = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]


def test_rectangles_are_percents_of_the_picture(tmp_path: Path) -> None:
    found = export(tmp_path, [rectangle()])
    (record,) = found.records
    assert [(each.label, each.box) for each in record.objects or ()] == [
        ("cat", Box(16, 12, 48, 24))
    ]
    assert found.problems == ()


def test_a_rotated_rectangle_becomes_the_box_around_it(tmp_path: Path) -> None:
    (found,) = export(tmp_path, [rectangle(rotation=90)]).records[0].objects or ()
    assert found.box.to_list() == pytest.approx([16 - 12, 12, 16, 12 + 32])


def test_polygons_become_outlines(tmp_path: Path) -> None:
    points = [[25, 25], [50, 25], [50, 50], [25, 50]]
    value = {"points": points, "polygonlabels": ["cat"]}
    (found,) = export(tmp_path, [region("polygonlabels", value)]).records[0].objects or ()
    assert found.mask is not None
    assert (found.box, found.mask.area) == (Box(16, 12, 32, 24), 16 * 12)


def test_brushes_become_outlines(tmp_path: Path) -> None:
    picture = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
    picture[10:20, 5:30] = 255
    picture[30, 40] = (1, 2, 3, 4)
    value = {"format": "rle", "rle": packed(picture.reshape(-1)), "brushlabels": ["cat"]}
    (found,) = export(tmp_path, [region("brushlabels", value)]).records[0].objects or ()
    assert found.mask is not None
    assert np.array_equal(found.mask.to_array(), picture[:, :, 3] > 0)
    assert found.box == Box(5, 10, 41, 31)


def test_texts_are_captions_or_answers(tmp_path: Path) -> None:
    text = region("textarea", {"text": ["a cat"]})
    (record,) = export(tmp_path, [text]).records
    assert (record.captions, record.text, record.objects) == (("a cat",), "a cat", None)
    (record,) = export(tmp_path, [text], question="what?").records
    assert (record.captions, record.questions) == ((), (Question("what?", ("a cat",)),))
    choice = region("choices", {"choices": ["yes"]}, from_name="is_it_ripe")
    (record,) = export(tmp_path, [choice]).records
    assert record.questions == (Question("is it ripe", ("yes",)),)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (region("polygonlabels", {"points": [[1, 2]], "polygonlabels": ["a"]}), "are no polygon"),
        (region("rectanglelabels", {"x": 1, "rectanglelabels": ["a"]}), "is not x, y, width"),
        (region("rectanglelabels", {"x": 1}), "it has no label"),
        (region("brushlabels", {"rle": [1, 2, 300], "brushlabels": ["a"]}), "its brush is not"),
        (region("brushlabels", {"rle": [0] * 9, "brushlabels": ["a"]}), "its brush is not"),
        ({**rectangle(), "image_rotation": 90}, "was rotated in the editor"),
        ({**rectangle(), "original_width": 10}, "states 10 x 48 pixels"),
    ],
)
def test_a_wrong_region_is_named(tmp_path: Path, wrong: dict[str, Any], told: str) -> None:
    problem = only_error(export(tmp_path, [wrong]).problems)
    assert problem.startswith("task 3")
    assert told in problem


def test_tasks_that_nobody_did_are_left_out(tmp_path: Path) -> None:
    file = write_json(tmp_path / "e.json", [{"id": 1, "data": {"image": "a.png"}}])
    found = read_label_studio(file)
    assert (found.records, [each.is_error for each in found.problems]) == ((), [False])


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no JSON export of Label Studio"):
        read_label_studio(write_json(tmp_path / "a.json", [1, 2]))


def test_marks_of_other_kinds_are_told(tmp_path: Path) -> None:
    other = region("ellipselabels", {"x": 5, "y": 5, "ellipselabels": ["cat"]})
    found = export(tmp_path, [other, rectangle()])
    assert len(found.records[0].objects or ()) == 1
    assert [each.what for each in found.problems] == ["it is of ellipselabels, which are not read"]
