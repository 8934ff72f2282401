"""Dividing: by shares with a seed, by lists, never one picture into two splits."""

from pathlib import Path

import pytest

from palikit.data.rows import Row
from palikit.data.splits import divide
from palikit.errors import InputError


def rows(count: int, questions: int = 1) -> list[Row]:
    return [
        Row((Path(f"/p/{index}.jpg"),), f"q{question}", ("a",))
        for index in range(count)
        for question in range(questions)
    ]


def count(found: tuple[Row, ...], split: str) -> int:
    return sum(each.split == split for each in found)


def test_shares_are_kept_and_the_seed_decides() -> None:
    found = divide(rows(100), "train=0.8,valid=0.1,test=0.1")
    assert [count(found, name) for name in ("train", "val", "test")] == [80, 10, 10]
    assert found == divide(rows(100), "train=0.8,valid=0.1,test=0.1")
    assert found != divide(rows(100), "train=0.8,valid=0.1,test=0.1", seed=1)


def test_the_draw_does_not_depend_on_the_order_of_the_source() -> None:
    plan = "train=0.5,val=0.5"
    backwards = divide(rows(20)[::-1], plan)
    assert sorted(backwards, key=lambda each: each.images) == sorted(
        divide(rows(20), plan), key=lambda each: each.images
    )


def test_rows_of_one_picture_go_together() -> None:
    split_of = {}
    for each in divide(rows(20, questions=3), "train=0.7,val=0.3"):
        assert split_of.setdefault(each.images, each.split) == each.split


def test_lists_name_pictures_with_or_without_ending(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("images/0.jpg\n1\n", encoding="utf-8")
    (tmp_path / "v.txt").write_text("2.jpg\n", encoding="utf-8")
    found = divide(rows(4), f"train={tmp_path / 't.txt'},val={tmp_path / 'v.txt'}")
    assert [each.split for each in found] == ["train", "train", "val"]


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ("train", "cannot be read"),
        ("train=0.5,train=0.5", "cannot be read"),
        ("train=0.8,val=0.1", "sum to 0.9"),
        ("train=1.5,val=-0.5", "smallest is -0.5"),
        ("train=0.8,val=v.txt", "mixes shares and lists"),
        ("../x=1.0", "names '../x'"),
        ("train=gone.txt", "cannot be read"),
        ("train=nan,val=0.5", "sum to nan"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(plan: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        divide(rows(4), plan)


def test_lists_with_unknown_or_shared_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("9\n", encoding="utf-8")
    with pytest.raises(InputError, match="names 9, and there is no such picture"):
        divide(rows(4), f"train={tmp_path / 't.txt'}")
    (tmp_path / "t.txt").write_text("1\n", encoding="utf-8")
    with pytest.raises(InputError, match="1 stands in two lists"):
        divide(rows(4), f"train={tmp_path / 't.txt'},val={tmp_path / 't.txt'}")


def test_a_name_that_several_pictures_have_is_refused(tmp_path: Path) -> None:
    alike = [Row((Path(f"/{folder}/a.png"),), "q", ("a",)) for folder in "xy"]
    (tmp_path / "t.txt").write_text("a.png\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"names a\.png, and 2 pictures are called so"):
        divide(alike, f"train={tmp_path / 't.txt'}")


def test_splits_of_the_source_s_own_are_not_mixed() -> None:
    own = [Row((Path("/a"),), "q", ("a",), split="val")]
    with pytest.raises(InputError, match="has splits of its own"):
        divide(own, "train=1.0")
