"""Label pictures: each value an instance."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palikit.data.instance_labels import read_instance_labels
from palikit.errors import InputError
from palikit.results import Box
from tests.conftest import shared
from tests.data.broken import save_picture
from tests.data.sources import SIZE, only_error


def folder_with(folder: Path, labels: "np.ndarray[tuple[int, ...], np.dtype[np.uint16]]") -> Path:
    save_picture(folder / "images" / "a.png", 0, SIZE)
    (folder / "labels").mkdir()
    Image.fromarray(labels).save(folder / "labels" / "a.png")
    return folder


def test_every_value_is_an_object(tmp_path: Path) -> None:
    labels = np.zeros(SIZE[::-1], np.uint16)
    labels[5:9, 10:20] = 300
    labels[40:48, 60:64] = 7
    labels[0, 0] = 7
    (record,) = read_instance_labels(folder_with(tmp_path, labels)).records
    first, second = record.objects or ()
    assert (first.box, second.box) == (Box(0, 0, 64, 48), Box(10, 5, 20, 9))
    assert first.mask is not None
    assert second.mask is not None
    assert np.array_equal(first.mask.to_array(), labels == 7)
    assert np.array_equal(second.mask.to_array(), labels == 300)


def test_labels_of_another_size_or_in_colours_are_refused(tmp_path: Path) -> None:
    folder_with(tmp_path, np.zeros((4, 4), np.uint16))
    assert "are 4 x 4 pixels" in only_error(read_instance_labels(tmp_path).problems)
    save_picture(tmp_path / "labels" / "a.png", 0, SIZE)
    assert "has colours (mode RGB)" in only_error(read_instance_labels(tmp_path).problems)


def test_a_picture_without_labels_is_told(tmp_path: Path) -> None:
    folder_with(tmp_path, np.ones(SIZE[::-1], np.uint16))
    save_picture(tmp_path / "images" / "b.png", 1)
    found = read_instance_labels(tmp_path)
    assert "b.png: there is no labels/b.png" in only_error(found.problems)
    assert len(found.records) == 1


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no folder of label pictures"):
        read_instance_labels(tmp_path)


def test_the_nuclei_are_read_as_counted() -> None:
    found = read_instance_labels(shared("data", "dsb2018_nuclei"))
    assert len(found.records) == 120
    assert sum(len(each.objects or ()) for each in found.records) == 3488
