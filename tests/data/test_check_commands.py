"""`palikit data check` and `palikit data show`: what they print, write and refuse."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from palikit.cli import main
from palikit.cli.data_model import DataModel
from palikit.data.rows import read_rows
from palikit.results import Box, Segment, Segments
from tests.conftest import shared
from tests.data.broken import broken_folder, row, save_picture, whole_folder, write_rows
from tests.data.sources import SQUARE, coco_file


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return whole_folder(tmp_path / "whole")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    return broken_folder(tmp_path / "broken")


def test_a_folder_in_order_ends_with_0(whole: Path) -> None:
    result = run("check", whole)
    assert result.exit_code == 0
    assert "0 errors, 0 warnings" in result.stdout
    assert "train: 4 rows, 4 pictures, 8 objects" in result.stdout


def test_warnings_alone_end_with_0(whole: Path) -> None:
    (whole / "t9.png").write_bytes((whole / "t0.png").read_bytes())
    with (whole / "train.jsonl").open("a") as file:
        file.write(json.dumps(row("t9.png", "caption en", "noise")) + "\n")
    result = run("check", whole)
    assert (result.exit_code, "0 errors, 1 warning" in result.stdout) == (0, True)


def test_errors_end_with_1_and_name_their_lines(broken: Path) -> None:
    result = run("check", broken)
    assert result.exit_code == 1
    for line in (2, 3, 4, 5, 7, 9, 10, 14, 16, 17, 18, 22, 24):
        assert f"train.jsonl, line {line}:" in result.stdout


def test_a_mistake_of_the_command_ends_with_2(whole: Path, tmp_path: Path) -> None:
    assert run("check", tmp_path / "nowhere").exit_code == 2
    assert run("check", whole, "--max-tokens", "0").exit_code == 2
    assert run("check", whole, "--tokenizer", tmp_path / "none.json").exit_code == 2
    result = run("check", whole, "--image-size", "450")
    assert (result.exit_code, "multiple of the patch size" in result.stderr) == (2, True)


def test_the_report_for_machines_holds_every_problem(broken: Path) -> None:
    result = run("check", broken, "--json")
    report = json.loads(result.stdout)
    assert report["errors"] == sum(each["is_error"] for each in report["problems"]) > 10
    assert {"splits", "labels", "lengths", "objects_per_row", "notes", "changes"} <= set(report)


def test_many_problems_of_a_kind_are_cut_short_unless_all_are_wanted(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", [row(f"gone{n}.png") for n in range(9)])
    few, every = run("check", tmp_path), run("check", tmp_path, "--all")
    assert few.stdout.count("there is no picture") == 5
    assert "and 4 more: --all shows them" in few.stdout
    assert every.stdout.count("there is no picture") == 9


def test_one_split_can_be_checked_alone(broken: Path) -> None:
    result = run("check", broken, "--split", "val")
    assert (result.exit_code, "val: 1 row" in result.stdout) == (0, True)


def test_tokens_are_estimated_without_a_tokenizer_and_it_says_so(whole: Path) -> None:
    assert "(estimated: " in run("check", whole).stdout


def test_tokens_are_counted_with_a_tokenizer(whole: Path) -> None:
    tokenizer = shared("tokenizer", "tokenizer.json")
    result = run("check", whole, "--tokenizer", tokenizer, "--max-tokens", "15")
    assert "estimated" not in result.stdout
    # <bos> detect cat ; dog newline, 4 tokens and cat, " ;" " ", 4 tokens and dog, <eos>
    assert "19 tokens (6 of them the prompt 'detect cat ; dog'), and 15 fit" in result.stdout
    assert result.exit_code == 1


def test_a_clean_copy_is_written_and_reported(broken: Path, tmp_path: Path) -> None:
    result = run("check", broken, "--fix", tmp_path / "clean")
    assert "left out: picture in two splits (1)" in result.stdout
    assert "left out: missing picture (1)" in result.stdout
    rows = read_rows(tmp_path / "clean").rows
    assert {row.split for row in rows} == {"train", "val", "test"}
    assert result.exit_code == 1  # a prompt and a class name remain, which a person must decide
    assert run("check", tmp_path / "clean").exit_code == 1


def test_a_clean_copy_of_what_can_be_repaired_is_in_order(whole: Path, tmp_path: Path) -> None:
    (whole / "v1.png").write_bytes((whole / "t1.png").read_bytes())
    assert run("check", whole).exit_code == 1
    assert run("check", whole, "--fix", tmp_path / "clean").exit_code == 0
    assert run("check", tmp_path / "clean").exit_code == 0


def test_a_clean_copy_does_not_replace_what_is_there(whole: Path, tmp_path: Path) -> None:
    assert run("check", whole, "--fix", tmp_path / "clean").exit_code == 0
    again = run("check", whole, "--fix", tmp_path / "clean")
    assert (again.exit_code, "is not empty" in again.stderr) == (2, True)
    assert run("check", whole, "--fix", tmp_path / "clean", "--overwrite").exit_code == 0
    itself = run("check", whole, "--fix", whole, "--overwrite")
    assert (itself.exit_code, "the data set itself" in itself.stderr) == (2, True)


def test_other_formats_are_checked_as_they_would_be_trained(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 1)
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 9, "bbox": [1, 1, 9, 9]},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 900]},
        ],
    }
    (tmp_path / "instances.json").write_text(json.dumps(coco))
    result = run("check", tmp_path / "instances.json")
    assert result.exit_code == 1
    assert "2 errors" in result.stdout


def test_a_page_of_rows_is_written_once(whole: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = run("show", whole, "--output", page, "--number", "3", "--split", "train")
    assert (result.exit_code, result.stdout) == (0, f"wrote {page}\n")
    assert page.read_text().count("<article>") == 3
    again = run("show", whole, "--output", page)
    assert (again.exit_code, "exists" in again.stderr) == (2, True)
    assert run("show", whole, "--output", page, "--overwrite").exit_code == 0


def test_the_page_shows_tokens_where_there_is_a_tokenizer(whole: Path, tmp_path: Path) -> None:
    tokenizer = shared("tokenizer", "tokenizer.json")
    page = tmp_path / "page.html"
    run("show", whole, "--output", page, "--number", "1", "--tokenizer", tokenizer)
    assert '<span class="prefix"> dog</span>' in page.read_text()


def test_the_page_has_the_picture_side_that_is_asked_for(whole: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run("show", whole, "--output", page, "--image-size", "224")
    assert "&lt;image&gt; x 256" in page.read_text()


def test_the_page_of_a_broken_folder_says_what_is_not_on_it(broken: Path, tmp_path: Path) -> None:
    result = run("show", broken, "--output", tmp_path / "page.html")
    assert result.exit_code == 0
    assert "3 problems of the data are not on it" in result.stderr


def test_masks_of_a_codec_are_those_of_the_picture(tmp_path: Path) -> None:
    from palikit.model.mask_codec import MaskCodec, save_mask_codec

    save_mask_codec(MaskCodec(), tmp_path / "codec.npz")
    found = Segments((Segment(Box(2, 3, 20, 30), "cat", (5,) * 16),), 64, 48)
    decode = DataModel(None, 448, 1024, 512, tmp_path / "codec.npz").decoder("round")
    assert decode is not None
    (decoded,) = decode(found)
    assert decoded.mask is not None
    assert (decoded.mask.width, decoded.mask.height) == (64, 48)


def test_a_turned_picture_is_shown_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg", exif=exif)
    write_rows(tmp_path / "train.jsonl", [row("a.jpg")])
    run("show", tmp_path, "--output", tmp_path / "page.html")
    assert "a.jpg, 48 x 64 px" in (tmp_path / "page.html").read_text()


def test_train_stands_first_in_the_report_and_on_the_page(whole: Path, tmp_path: Path) -> None:
    write_rows(whole / "test.jsonl", [row("v0.png", "caption en", "noise")])
    report = json.loads(run("check", whole, "--json").stdout)
    assert [each["name"] for each in report["splits"]] == ["train", "val", "test"]
    run("show", whole, "--output", tmp_path / "page.html", "--number", "1")
    assert "train.jsonl, line 1" in (tmp_path / "page.html").read_text()


def test_the_limit_of_tokens_is_called_as_in_training(whole: Path) -> None:
    for option in ("--max-text-tokens", "--max-tokens"):
        result = run("check", whole, option, "15")
        assert "and 15 fit: name fewer classes or objects in a row, or raise --max-t" in (
            result.stdout
        )
    assert "--max-text-tokens" in result.stdout


def test_the_group_alone_says_which_commands_there_are() -> None:
    for arguments in ((), ("chek",)):
        result = run(*arguments)
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
        assert "convert, check, show or scenes" in result.stderr


def test_help_reaches_the_commands_of_a_group() -> None:
    asked = CliRunner().invoke(main, ["help", "data", "check"])
    assert (asked.exit_code, asked.stdout) == (0, run("check", "--help").stdout)
    assert CliRunner().invoke(main, ["help", "data"]).stdout == run("--help").stdout
    assert CliRunner().invoke(main, ["help"]).stdout == CliRunner().invoke(main, ["--help"]).stdout


def test_options_of_data_are_named_as_they_are_typed(whole: Path) -> None:
    result = run("check", whole, "--prefix", "x", "--prompt-classes", "one")
    assert "--prefix is 'x' and --prompt-classes is one" in result.stderr


def test_outlines_without_a_codec_lead_to_the_built_in_model(tmp_path: Path) -> None:
    coco_file(tmp_path / "a.json", [{"category_id": 7, "segmentation": [SQUARE]}])
    page = ("show", tmp_path, "--task", "segment", "--output", tmp_path / "page.html")
    result = run(*page)
    assert (result.exit_code, "--model nano" in result.stderr) == (2, True)
    assert run(*page, "--model", "nano").exit_code == 0
    assert run("check", tmp_path, "--task", "segment", "--model", "nano").exit_code == 0


def test_a_data_set_without_a_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text('{"images": [], "annotations": []}')
    result = run("check", tmp_path)
    assert (result.exit_code, "it names no picture" in result.stdout) == (1, True)
