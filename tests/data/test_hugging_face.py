"""Hugging Face `datasets`, from a folder saved to disk."""

import sys
from pathlib import Path
from typing import Any

import pytest

from palikit.data.hugging_face import is_hugging_face, read_hugging_face
from palikit.data.reading import recognise
from palikit.data.records import Question
from palikit.errors import InputError, MissingExtraError
from palikit.results import Box
from tests.data.broken import save_picture
from tests.data.sources import SIZE, only_error


@pytest.fixture
def datasets() -> Any:
    return pytest.importorskip("datasets")


def picture_bytes(folder: Path) -> dict[str, Any]:
    save_picture(folder / "source.png", 0, SIZE)
    return {"path": None, "bytes": (folder / "source.png").read_bytes()}


def saved(datasets: Any, folder: Path, columns: dict[str, list[Any]], **features: Any) -> Path:
    whole = datasets.Dataset.from_dict({"image": [picture_bytes(folder)], **columns})
    whole = whole.cast_column("image", datasets.Image())
    for name, feature in features.items():
        whole = whole.cast_column(name, feature)
    datasets.DatasetDict({"validation": whole}).save_to_disk(folder / "saved")
    return folder / "saved"


def test_objects_are_read_and_pictures_written(datasets: Any, tmp_path: Path) -> None:
    objects = {"bbox": [[10.0, 8.0, 20.0, 20.0]], "category": [1]}
    feature = {
        "bbox": datasets.Sequence(datasets.Sequence(datasets.Value("float32"))),
        "category": datasets.Sequence(datasets.ClassLabel(names=["cat", "dog"])),
    }
    source = saved(datasets, tmp_path, {"objects": [objects]}, objects=feature)
    assert recognise(source) == "huggingface"
    found = read_hugging_face(source, pictures=tmp_path / "out")
    (record,) = found.records
    assert [(each.label, each.box) for each in record.objects or ()] == [
        ("dog", Box(10, 8, 30, 28))
    ]
    assert found.classes == ("cat", "dog")
    assert (record.split, record.width, record.height) == ("val", *SIZE)
    assert record.images[0].read_bytes() == (tmp_path / "source.png").read_bytes()


def test_captions_questions_and_texts_are_recognised(datasets: Any, tmp_path: Path) -> None:
    columns = {
        "captions": [["one", "two"]],
        "question": ["what?"],
        "answers": [["a", "b"]],
        "text": ["STOP"],
    }
    (record,) = read_hugging_face(
        saved(datasets, tmp_path, columns), pictures=tmp_path / "out"
    ).records
    assert record.captions == ("one", "two")
    assert record.questions == (Question("what?", ("a", "b")),)
    assert (record.text, record.objects) == ("STOP", None)


def test_without_a_folder_for_them_inner_pictures_are_told(datasets: Any, tmp_path: Path) -> None:
    found = read_hugging_face(saved(datasets, tmp_path, {"caption": ["x"]}))
    assert "lies inside the data set: write it out with `palikit data convert" in only_error(
        found.problems
    )


def test_a_folder_of_something_else_is_refused(datasets: Any, tmp_path: Path) -> None:
    assert not is_hugging_face(tmp_path)
    with pytest.raises(InputError, match="could not be read by datasets"):
        read_hugging_face(tmp_path)


def test_without_the_package_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match="datasets is needed to read"):
        read_hugging_face(tmp_path)


def test_answers_may_be_gathered_and_none_is_no_text(datasets: Any, tmp_path: Path) -> None:
    columns = {
        "question": ["what?"],
        "answers": [{"text": ["a", None, "b"], "answer_start": [0, 1, 2]}],
    }
    source = saved(datasets, tmp_path, columns)
    (record,) = read_hugging_face(source, pictures=tmp_path / "out").records
    assert record.questions == (Question("what?", ("a", "b")),)


def test_a_picture_that_is_there_already_is_kept_and_another_never_replaced(
    datasets: Any, tmp_path: Path
) -> None:
    source = saved(datasets, tmp_path, {"caption": ["x"]})
    (record,) = read_hugging_face(source, pictures=tmp_path / "out").records
    assert read_hugging_face(source, pictures=tmp_path / "out").problems == ()
    record.images[0].write_bytes(b"another")
    found = read_hugging_face(source, pictures=tmp_path / "out")
    assert "is there already and differs" in only_error(found.problems)
    assert record.images[0].read_bytes() == b"another"


def test_a_folder_that_cannot_be_written_is_told(datasets: Any, tmp_path: Path) -> None:
    source = saved(datasets, tmp_path, {"caption": ["x"]})
    (tmp_path / "file").touch()
    found = read_hugging_face(source, pictures=tmp_path / "file" / "images")
    assert "cannot be written" in only_error(found.problems)
