"""What readers share: pictures of other sizes and files that are none, in words."""

from pathlib import Path

import pytest

from palikit.data.findings import Findings
from palikit.data.split_names import is_wanted, split_place
from tests.data.broken import save_picture, save_turned


def told_of(path: Path, stated: tuple[int, int] | None = None) -> str:
    findings = Findings()
    assert findings.picture(path.name, [path.parent], "a.csv, line 2", stated) is None
    (problem,) = findings.problems
    return problem.what


def test_a_size_the_wrong_way_round_blames_an_orientation_only_where_there_is_one(
    tmp_path: Path,
) -> None:
    save_picture(tmp_path / "plain.png", 0)
    save_turned(tmp_path / "turned.jpg", 0)
    plain = told_of(tmp_path / "plain.png", (48, 64))
    assert "EXIF" not in plain
    assert "width and height stand in each other's place" in plain
    assert "turned upright by its EXIF orientation" in told_of(tmp_path / "turned.jpg", (64, 48))


@pytest.mark.parametrize("text", ["version https://git-lfs.github.com/spec/v1\n", "é" * 400])
def test_a_text_that_is_called_a_picture_is_told_as_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.png").write_text(text, encoding="utf-8")
    told = told_of(tmp_path / "a.png")
    assert f"a.png is not a picture but text, which begins with '{text[:10]}" in told


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"\x89PNG\r\n\x1a\nx", b"\xff\xfe\xfd"])
def test_what_is_neither_picture_nor_text_is_not_called_text(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert "but text" not in told_of(tmp_path / "a.png")


def test_splits_stand_in_the_order_of_their_use() -> None:
    names = ["other", "test", None, "val", "train"]
    assert sorted(names, key=split_place) == [None, "train", "val", "test", "other"]


def test_none_among_splits_is_what_has_none() -> None:
    assert is_wanted(None, None)
    assert is_wanted(None, (None, "train"))
    assert not is_wanted(None, ("train",))
    assert not is_wanted(None, "train")
    assert is_wanted("val", "val")
