"""`palikit.data.check`: what is wrong is found, what is right is left alone."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from palikit.data.check import check_before_training, check_rows, read_row_pictures
from palikit.data.check_report import Report, Spread, report_lines
from palikit.data.check_tokens import ESTIMATE, TokenLimit, estimated_tokens, text_limit
from palikit.data.records import Annotation, Problem
from palikit.data.rows import Row, read_rows
from palikit.errors import InputError
from palikit.results import Box
from palikit.tokenizer import Tokenizer
from tests.conftest import shared
from tests.data.broken import CAT, DOG, PROMPT, broken_folder, save_picture, whole_folder

LIMIT = TokenLimit(512, estimated_tokens)


def checked(folder: Path, limit: TokenLimit = LIMIT) -> Report:
    found = read_rows(folder)
    return check_rows(str(folder), found, read_row_pictures(found.rows), limit)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return checked(broken_folder(tmp_path_factory.mktemp("broken")))


def problems_of(report: Report, where: str) -> list[Problem]:
    return [problem for problem in report.problems if problem.where == where]


def test_nothing_is_said_of_a_folder_in_order(tmp_path: Path) -> None:
    report = checked(whole_folder(tmp_path))
    assert (report.problems, report.notes) == ((), ())


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        (2, "picture in two splits", "t1.png is in train and in test (there leak.png)"),
        (3, "missing picture", "gone.png"),
        (4, "unreadable picture", "cut.png is damaged"),
        (5, "unreadable picture", "text.jpg is not a picture"),
        (7, "unusable row", "suffix is empty"),
        (9, "suffix that cannot be read back", "3 of 4 location tokens"),
        (10, "label that was not asked for", "names 'bird'"),
        (14, "control token in the suffix", "<eos>"),
        (16, "other picture size", "48 x 64 pixels and its row says 64 x 48"),
        (17, "box out of range", "[6, 5, 99, 24], reaches beyond its picture of 64 x 48"),
        (18, "empty box", "[6, 5, 6, 24], is empty"),
        (19, "too many tokens", "512 fit"),
        (22, "prompt that names no labels", "'detect' is no list of labels"),
        (24, "unusable row", "suffix is 7"),
    ],
)
def test_an_error_is_told_with_its_place(report: Report, line: int, kind: str, words: str) -> None:
    (found,) = [
        each for each in problems_of(report, f"train.jsonl, line {line}") if each.kind == kind
    ]
    assert words in found.what
    assert found.is_error or kind == "too many tokens"


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        (6, "duplicate picture", "copy.png is the same picture as"),
        (8, "duplicate object", "'cat' is marked twice"),
        (12, "separator", "write 'detect cat ; dog'"),
        (13, "control token in the prefix", "<loc0001>"),
        (15, "newline in the prefix", "ends in a newline"),
        (20, "repeated row", "train.jsonl, line 1"),
    ],
)
def test_a_warning_is_told_with_its_place(report: Report, line: int, kind: str, words: str) -> None:
    found = [each for each in problems_of(report, f"train.jsonl, line {line}") if each.kind == kind]
    assert words in found[0].what
    assert not found[0].is_error


@pytest.mark.parametrize("line", [1, 23, 26])
def test_rows_in_order_are_not_told(report: Report, line: int) -> None:
    assert not problems_of(report, f"train.jsonl, line {line}")


def test_class_names_that_clash_or_cannot_be_used_are_told(report: Report) -> None:
    told = {problem.kind: problem.what for problem in problems_of(report, "class names")}
    assert "'cat', 'Cats'" in told["class names that clash"]
    assert "'a ; b' holds \";\"" in told["class name that cannot be used"]
    assert "'a < b'" in told["suspicious class name"]


def test_names_and_labels_of_splits_are_compared(report: Report) -> None:
    told = {problem.kind: problem.what for problem in report.problems}
    assert "named t19.png" in told["picture name in two splits"]
    assert "'zebra'" in told["label that is never trained"]


def test_what_is_in_order_and_looks_odd_is_noted(report: Report) -> None:
    assert any("different texts: 1; that is fine" in note for note in report.notes)
    assert any("nothing is there" in note for note in report.notes)


def test_labels_and_splits_are_counted(tmp_path: Path) -> None:
    report = checked(whole_folder(tmp_path))
    assert [(each.label, each.objects, each.rows) for each in report.labels] == [
        ("cat", 6, 6),
        ("dog", 4, 4),
    ]
    assert [(each.name, each.rows, each.pictures, each.objects) for each in report.splits] == [
        ("train", 4, 4, 8),
        ("val", 2, 2, 2),
    ]
    assert report.objects_per_row == Spread(2, 2, 2, 2)


def test_percentiles_are_by_nearest_rank() -> None:
    assert Spread.of(range(1, 101)) == Spread(50, 90, 99, 100)
    assert Spread.of([7]) == Spread(7, 7, 7, 7)
    assert Spread.of([]) is None


def test_only_so_many_of_a_kind_are_told_unless_all_are_wanted() -> None:
    problems = tuple(Problem(f"line {n}", "it is bad", True, "bad") for n in range(30))
    report = Report("here", problems, (), (), (), None, None)
    few, every = ("\n".join(report_lines(report, most, ESTIMATE)) for most in (5, None))
    assert few.count("it is bad") == 5
    assert "and 25 more: --all shows them" in few
    assert every.count("it is bad") == 30


def test_the_estimate_is_near_the_tokenizer_on_detections() -> None:
    tokenizer = Tokenizer.load(shared("tokenizer", "tokenizer.json"))
    suffix = f"{CAT} ; {DOG} ; {CAT.replace('cat', 'traffic light')}"
    exact = len(tokenizer.encode(PROMPT)) + len(tokenizer.encode(suffix, allow_special=True)) + 3
    assert estimated_tokens(PROMPT, suffix) == pytest.approx(exact, rel=0.15)


def test_the_limit_is_that_of_the_releases() -> None:
    assert (text_limit(224), text_limit(448), text_limit(896)) == (128, 512, 512)


def rows_of(folder: Path) -> dict[str, list[Row]]:
    found = read_rows(whole_folder(folder)).rows
    return {name: [row for row in found if row.split == name] for name in ("train", "val")}


def test_rows_in_order_may_be_trained_on(tmp_path: Path) -> None:
    check_before_training(rows_of(tmp_path), estimated_tokens, 128)


def changed(rows: dict[str, list[Row]], **change: object) -> dict[str, list[Row]]:
    first, *rest = rows["train"]
    return {**rows, "train": [replace(first, **change), *rest]}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"suffixes": ("",)}, "suffix of 'detect cat ; dog' is empty"),
        ({"suffixes": ()}, "is empty"),
        ({"suffixes": (CAT, " ")}, "is empty"),
        ({"suffixes": ("a cat",)}, "cannot be read back"),
        ({"suffixes": (CAT.replace("cat", "cow"),)}, "names 'cow'"),
        ({"prefix": "detect"}, "no list of labels"),
        ({"suffixes": (f"{CAT}<bos>",)}, "holds <bos>"),
        (
            {"objects": (Annotation("cat", Box(1, 1, 90, 9)),), "width": 64, "height": 48},
            "reaches beyond its picture",
        ),
        ({"suffixes": (" ; ".join([CAT] * 200),)}, "and 128 fit"),
        ({"images": (Path("/nowhere/a.png"),)}, "there is no picture /nowhere/a.png"),
    ],
)
def test_training_is_refused_naming_the_row(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_before_training(changed(rows_of(tmp_path), **change), estimated_tokens, 128)
    assert str(caught.value).startswith("train.jsonl, line 1: ")
    assert words in str(caught.value)


def test_training_is_refused_where_splits_share_a_picture(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    (tmp_path / "other.png").write_bytes((tmp_path / "t2.png").read_bytes())
    rows["val"][0] = replace(rows["val"][0], images=(tmp_path / "other.png",))
    with pytest.raises(InputError, match=r"other.png is in val and in train \(there t2.png\)"):
        check_before_training(rows, estimated_tokens, 128)


def test_a_picture_may_repeat_within_a_split(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    rows["train"].append(replace(rows["train"][0], prefix="detect cat", suffixes=(CAT,)))
    check_before_training(rows, estimated_tokens, 128)


def test_nothing_to_find_is_no_empty_suffix(tmp_path: Path) -> None:
    rows = changed(rows_of(tmp_path), suffixes=("",), objects=())
    check_before_training(rows, estimated_tokens, 128)


def test_short_rows_are_not_counted(tmp_path: Path) -> None:
    asked: list[str] = []

    def count(prefix: str, suffix: str) -> int:
        asked.append(suffix)
        return 1

    check_before_training(rows_of(tmp_path), count, 128)
    assert not asked


def test_an_expression_may_be_answered_without_a_label(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 1)
    codes = "".join(f"<seg{n:03d}>" for n in range(16))
    row = Row((tmp_path / "a.png",), "the left cat", (CAT.removesuffix(" cat") + codes,))
    check_before_training({"train": [row]}, estimated_tokens, 128)


@pytest.mark.parametrize(
    ("prefix", "codes"),
    [("detect all classes", ""), ("find the pets", ""), ("find the pets", "<seg001>" * 16)],
)
def test_a_prompt_in_words_of_its_own_may_be_answered_with_any_class(
    tmp_path: Path, prefix: str, codes: str
) -> None:
    folder = whole_folder(tmp_path)
    suffix = f"{CAT} ; {DOG}".replace(" cat", f"{codes} cat").replace(" dog", f"{codes} dog")
    rows = {
        split: [replace(each, prefix=prefix, suffixes=(suffix,)) for each in found]
        for split, found in rows_of(folder).items()
    }
    check_before_training(rows, LIMIT.count, 512)
    found = replace(read_rows(folder), rows=tuple(row for each in rows.values() for row in each))
    report = check_rows("pets", found, read_row_pictures(found.rows), LIMIT)
    assert {(each.kind, each.is_error) for each in report.problems} == {
        ("prompt in words of its own", False)
    }
    assert f"{prefix!r} names none of the labels of its suffix ('cat ; dog')" in str(
        report.problems[0]
    )


def test_markers_of_pictures_are_no_control_tokens(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 1)
    row = Row((tmp_path / "a.png",), f"<image>{PROMPT}", (CAT,))
    assert not check_rows("x", replace(read_rows(whole_folder(tmp_path / "w")), rows=(row,)),
                          read_row_pictures([row]), LIMIT).problems  # fmt: skip


def test_equal_pixels_are_equal_pictures_whatever_the_file(tmp_path: Path) -> None:
    folder = whole_folder(tmp_path)
    with Image.open(folder / "t0.png") as picture:
        picture.save(folder / "v0.png", compress_level=1)
    kinds = {problem.kind for problem in checked(folder).problems}
    assert kinds == {"picture in two splits"}


def test_boxes_are_compared_with_the_picture_where_the_row_has_no_size(tmp_path: Path) -> None:
    rows = changed(rows_of(tmp_path), objects=(Annotation("cat", Box(1, 1, 99, 9)),))
    with pytest.raises(InputError, match="reaches beyond its picture of 64 x 48"):
        check_before_training(rows, estimated_tokens, 128)
