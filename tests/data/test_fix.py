"""`palikit.data.fix`: a clean copy is clean, tells its changes, and leaves the source alone."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from palikit.data.check import check_rows, read_row_pictures
from palikit.data.check_tokens import TokenLimit, estimated_tokens
from palikit.data.fix import Fixed, check_destination, fix_rows, write_fixed
from palikit.data.rows import Row, read_rows
from palikit.errors import InputError
from palikit.results import Box
from tests.data.broken import (
    CAT,
    DOG,
    PROMPT,
    broken_folder,
    row,
    save_picture,
    whole_folder,
    write_rows,
)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Fixed:
    rows = read_rows(broken_folder(tmp_path_factory.mktemp("broken"))).rows
    return fix_rows(rows, read_row_pictures(rows))


def row_at(fixed: Fixed, line: int) -> Row | None:
    where = f"train.jsonl, line {line}"
    return next((row for row in fixed.rows if row.where == where), None)


def kinds_at(fixed: Fixed, line: int) -> set[str]:
    where = f"train.jsonl, line {line}"
    return {change.kind for change in fixed.changes if change.where == where}


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (2, "left out: picture in two splits"),
        (4, "left out: unreadable picture"),
        (5, "left out: unreadable picture"),
        (9, "left out: empty suffix"),
        (16, "left out: other picture size"),
        (20, "left out: repeated row"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_told(fixed: Fixed, line: int, kind: str) -> None:
    assert row_at(fixed, line) is None
    assert kind in kinds_at(fixed, line)


def test_a_shared_picture_stays_in_test(fixed: Fixed) -> None:
    assert "leak.png" in {row.images[0].name for row in fixed.rows if row.split == "test"}


def test_objects_marked_twice_are_kept_once(fixed: Fixed) -> None:
    row = row_at(fixed, 8)
    assert row is not None
    assert row.suffixes == (CAT,)


def test_separators_get_their_one_spelling(fixed: Fixed) -> None:
    row = row_at(fixed, 12)
    assert row is not None
    assert (row.prefix, row.suffixes) == (PROMPT, (f"{CAT} ; {DOG}",))


def test_tokens_that_end_a_text_and_newlines_are_taken_out(fixed: Fixed) -> None:
    suffix, prefix = row_at(fixed, 14), row_at(fixed, 15)
    assert suffix is not None
    assert prefix is not None
    assert (suffix.suffixes, prefix.prefix) == (("a cat",), "caption en")


def test_boxes_are_cut_at_the_edge_of_the_picture(fixed: Fixed) -> None:
    row = row_at(fixed, 17)
    assert row is not None
    assert row.objects is not None
    assert row.objects[0].box == Box(6, 5, 64, 24)


def test_a_row_that_loses_its_objects_does_not_say_that_nothing_is_there(fixed: Fixed) -> None:
    row = row_at(fixed, 18)
    assert row is not None
    assert row.objects is None


@pytest.mark.parametrize("line", [1, 23, 26])
def test_rows_in_order_stay_as_they_are(fixed: Fixed, line: int) -> None:
    assert row_at(fixed, line) is not None
    assert not kinds_at(fixed, line)


def test_a_clean_copy_has_only_errors_that_a_person_must_decide(
    fixed: Fixed, tmp_path: Path
) -> None:
    write_fixed(fixed.rows, tmp_path)
    found = read_rows(tmp_path)
    limit = TokenLimit(512, estimated_tokens)
    report = check_rows("copy", found, read_row_pictures(found.rows), limit)
    assert {problem.kind for problem in report.problems if problem.is_error} == {
        "class name that cannot be used",
        "too many tokens",
        "prompt that names no labels",
    }
    assert len(found.rows) == len(fixed.rows)


def test_fixing_twice_changes_nothing(fixed: Fixed) -> None:
    assert fix_rows(fixed.rows, read_row_pictures(fixed.rows)) == Fixed(fixed.rows, ())


def test_the_source_is_never_touched(tmp_path: Path) -> None:
    folder = broken_folder(tmp_path / "source")
    before = digests(folder)
    rows = read_rows(folder).rows
    write_fixed(fix_rows(rows, read_row_pictures(rows)).rows, tmp_path / "clean")
    assert digests(folder) == before


def digests(folder: Path) -> dict[Path, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_source_is_no_destination(tmp_path: Path) -> None:
    folder = whole_folder(tmp_path)
    for source in (folder, folder / "train.jsonl"):
        with pytest.raises(InputError, match="holds the data set itself"):
            check_destination(folder, source, overwrite=True)


def test_a_destination_that_is_not_empty_is_refused_unless_told(tmp_path: Path) -> None:
    whole_folder(tmp_path / "source")
    target = tmp_path / "target"
    target.mkdir()
    (target / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        check_destination(target, tmp_path / "source", overwrite=False)
    check_destination(target, tmp_path / "source", overwrite=True)


def test_rows_that_would_be_read_with_the_copy_are_not_mixed_into_it(tmp_path: Path) -> None:
    rows = read_rows(whole_folder(tmp_path / "source")).rows
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "old.jsonl").write_text("{}")
    with pytest.raises(InputError, match=r"old\.jsonl would be read with the clean copy"):
        write_fixed(rows, tmp_path / "copy")


def test_long_suffixes_are_told_in_short(tmp_path: Path) -> None:
    objects = ";".join([CAT, DOG] * 30)
    save_picture(tmp_path / "a.png", 0)
    write_rows(tmp_path / "train.jsonl", [row("a.png", suffix=objects)])
    rows = read_rows(tmp_path).rows
    told = [each.what for each in fix_rows(rows, read_row_pictures(rows)).changes]
    assert told
    assert max(map(len, told)) < 200
    assert any("..." in each for each in told)


@pytest.mark.parametrize(
    ("prefix", "codes"), [("detect all classes", ""), ("find the pets", "<seg001>" * 16)]
)
def test_what_a_prompt_in_words_of_its_own_asks_for_is_kept(
    tmp_path: Path, prefix: str, codes: str
) -> None:
    rows = [
        replace(each, prefix=prefix, suffixes=(each.suffixes[0].replace(" cat", f"{codes} cat"),))
        for each in read_rows(whole_folder(tmp_path)).rows
        if each.split == "val"
    ]
    found = fix_rows(rows, read_row_pictures(rows))
    assert [each.suffixes for each in found.rows] == [each.suffixes for each in rows]
    assert found.changes == ()
