"""`palikit data convert`, as a person runs it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from palikit import tasks
from palikit.cli.data_model import outline_encoder
from palikit.cli.program import main
from palikit.data.rows import load_rows
from palikit.model.mask_codec import MaskCodec, MaskCodecConfig, save_mask_codec
from palikit.results import Segments
from tests.conftest import shared
from tests.data.broken import CAT, DOG, row, save_picture, write_rows
from tests.data.sources import SQUARE, coco_file, voc_folder, voc_lists, voc_xml, write_json

BOX = {"category_id": 7, "bbox": [10, 8, 20, 20], "segmentation": [SQUARE]}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PALIKIT_MODEL", raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["data", "convert", *arguments])


def refused(*arguments: str) -> str:
    """The one sentence of a refusal; nothing may have been written."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert not list(Path().glob("out/**/*.json*"))
    return result.stderr


def lines(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]


def codec_file(folder: Path) -> Path:
    torch.manual_seed(0)
    config = MaskCodecConfig((4, 4, 4, 4), codebook_width=8, decoder_channels=(4, 4, 4, 4, 4))
    save_mask_codec(MaskCodec(config), folder / "codec.npz")
    return folder / "codec.npz"


def test_a_voc_folder_becomes_a_file_for_each_split(desk: Path) -> None:
    voc_folder(desk / "in", {name: voc_xml(name, [("cat", 1, 1, 9, 9)]) for name in "abc"})
    voc_lists(desk / "in", train="a b", val="c")
    result = run("in", "out", "--task", "detect")
    assert result.exit_code == 0, result.output
    assert "train.jsonl: 2 rows, 2 objects (cat 2)" in result.stdout
    assert sorted(each.name for each in (desk / "out").iterdir()) == ["train.jsonl", "val.jsonl"]
    (only,) = lines("out/val.jsonl")
    assert only["image"] == "../in/JPEGImages/c.png"
    assert len(load_rows("out", "train").rows) == 2


def test_degenerate_boxes_are_told_and_counted(desk: Path) -> None:
    boxes = [("cat", 5, 5, 5, 5), ("cat", 1, 1, 9, 9)]
    voc_folder(desk / "in", {"a": voc_xml("a", boxes)})
    result = run("in", "out")
    assert "a.xml: the box [4, 4, 4, 4] of 'cat' is empty and is left out" in result.stderr
    assert "noted: 1 x degenerate box" in result.stdout
    assert "the data set has no splits" in result.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"category_id": 1}, "annotation 100: its category_id 1 is not among the categories"),
        ({"bbox": [10, 8, 60, 20]}, "reaches beyond the picture, which is 64 x 48 pixels"),
        ({"image_id": 5}, "is not among the images"),
    ],
)
def test_wrong_labels_are_named_and_nothing_is_written(
    desk: Path, change: dict[str, Any], told: str
) -> None:
    coco_file(desk / "in" / "a.json", [{**BOX, **change}])
    sentence = refused("in", "out")
    assert told in sentence
    assert "nothing was written because of 1 error in" in sentence


def test_boxes_beyond_the_picture_are_cut_when_asked(desk: Path) -> None:
    coco_file(desk / "in" / "a.json", [{**BOX, "bbox": [10, 8, 60, 20]}])
    assert run("in", "out", "--clip").exit_code == 0
    assert lines("out/train.jsonl")[0]["objects"][0]["bbox"] == [10, 8, 64, 28]


def test_a_class_with_a_separator_is_renamed_as_the_refusal_says(desk: Path) -> None:
    voc_folder(desk / "in", {"a": voc_xml("a", [("a ; b", 1, 1, 9, 9)])})
    assert '--rename "a ; b=a and b"' in refused("in", "out")
    assert run("in", "out", "--rename", "a ; b=a and b").exit_code == 0
    assert lines("out/train.jsonl")[0]["prefix"] == "detect a and b"
    assert "--rename 'x' cannot be read" in run("in", "o", "--rename", "x").stderr


def test_many_problems_of_a_kind_are_summed_up(desk: Path) -> None:
    coco_file(desk / "in" / "a.json", [{**BOX, "category_id": 1}] * 25)
    sentence = refused("in", "out")
    assert sentence.count("its category_id 1") == 10
    assert "... and 15 more of this kind: unknown category" in sentence


def test_outlines_become_codes_that_are_read_back(desk: Path) -> None:
    coco_file(desk / "in" / "a.json", [BOX])
    codec = codec_file(desk)
    assert "--mask-codec" in refused("in", "out", "--task", "segment")
    assert "no mask codec beside" in refused("in", "out", "--task", "segment", "--model", "in")
    result = run("in", "out", "--task", "segment", "--mask-codec", str(codec))
    assert result.exit_code == 0, result.output
    (only,) = load_rows("out").rows
    parsed = tasks.parse(tasks.task_from_prompt(only.prefix), only.suffixes[0], 64, 48)
    assert isinstance(parsed, Segments)
    (truth,) = only.objects or ()
    assert truth.mask is not None
    assert parsed[0].codes == outline_encoder(codec)(truth.mask, truth.box)
    assert len(parsed[0].codes) == 16


def test_a_model_s_own_codec_is_found_beside_it(desk: Path) -> None:
    coco_file(desk / "in" / "a.json", [BOX])
    (desk / "model").mkdir()
    codec_file(desk).rename(desk / "model" / "mask_codec.npz")
    assert run("in", "out", "--task", "segment", "--model", "model").exit_code == 0


def test_encoding_leaves_the_number_of_threads_alone(desk: Path) -> None:
    coco_file(desk / "in" / "a.json", [BOX])
    before = torch.get_num_threads()
    assert run("in", "out", "--task", "segment", "--mask-codec", str(codec_file(desk)))
    assert torch.get_num_threads() == before


def test_tiles_are_written_beside_the_rows(desk: Path) -> None:
    coco_file(desk / "in" / "a.json", [BOX])
    assert run("in", "out", "--crop", "32").exit_code == 0
    found = load_rows("out").rows
    assert len(list((desk / "out" / "images").iterdir())) == len(found) == 4
    assert sum(len(each.objects or ()) for each in found) == 1
    assert "--crop cuts objects" in run("in", "o", "--crop", "32", "--task", "ocr").stderr


def test_tiles_that_are_dropped_are_not_written(desk: Path) -> None:
    coco_file(desk / "in" / "a.json", [BOX])
    assert run("in", "out", "--crop", "32", "--empty", "drop").exit_code == 0
    assert len(list((desk / "out" / "images").iterdir())) == 1


def test_what_exists_is_overwritten_only_when_asked(desk: Path) -> None:
    coco_file(desk / "in" / "a.json", [BOX])
    command = ("in", "out", "--copy")
    assert run(*command).exit_code == 0
    result = run(*command)
    assert (result.exit_code, "exists: choose another folder" in result.stderr) == (2, True)
    assert run(*command, "--overwrite").exit_code == 0
    (desk / "file").touch()
    assert "file is a file" in run("in", "file").stderr


def test_tiles_in_the_way_are_told_before_outlines_are_encoded(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coco_file(desk / "in" / "a.json", [BOX])
    command = ("in", "out", "--task", "segment", "--crop", "32", "--mask-codec")
    codec = str(codec_file(desk))
    assert run(*command, codec).exit_code == 0
    (desk / "out" / "train.jsonl").unlink()  # as a run leaves it that is killed before
    encoded: list[object] = []
    monkeypatch.setattr(
        "palikit.cli.data.outline_encoder", lambda _: lambda *outline: encoded.append(outline)
    )
    assert "exists: choose another folder, or --overwrite it" in run(*command, codec).stderr
    assert not encoded


def test_encoding_tells_how_far_it_is_unless_told_not_to(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palikit.cli.progress.INTERVAL_S", 0.0)
    coco_file(desk / "in" / "a.json", [BOX])
    command = ("in", "out", "--task", "segment", "--mask-codec", str(codec_file(desk)))
    assert "palikit: encoding outlines: 1 done\n" in run(*command).stderr
    assert "outlines" not in run(*command, "--overwrite", "--quiet").stderr


def test_rows_are_taken_as_they_are(desk: Path) -> None:
    save_picture(desk / "in" / "a.png", 0)
    write_rows(desk / "in" / "train.jsonl", [row("a.png", "<JSON>", "{}")])
    assert run("in", "out", "--prefix", "extract JSON", "--copy").exit_code == 0
    assert lines("out/train.jsonl") == [
        {"image": "images/a.png", "prefix": "extract JSON", "suffix": "{}"}
    ]
    told = run("in", "o", "--prompt-classes", "one").stderr
    assert "taken as they are: leave --prompt-classes out" in told


def test_coco_is_written_when_asked(desk: Path) -> None:
    voc_folder(desk / "in", {"a": voc_xml("a", [("cat", 1, 1, 9, 9)])})
    assert run("in", "out", "--to", "coco").exit_code == 0
    whole = json.loads((desk / "out" / "train.json").read_text(encoding="utf-8"))
    assert whole["annotations"][0]["bbox"] == [0, 0, 9, 9]
    assert whole["categories"] == [{"id": 1, "name": "cat"}]


def test_easy_vqa_becomes_questions(desk: Path) -> None:
    source = shared("data", "easy_vqa_test")
    questions = json.loads((source / "questions.json").read_text(encoding="utf-8"))[:40]
    text = "".join(f'{image}.png,"{q}",{a}\n' for q, a, image in questions)
    (desk / "q.csv").write_text("image,question,answer\n" + text, encoding="utf-8")
    arguments = ("q.csv", "out", "--task", "vqa", "--images", str(source / "images"))
    assert run(*arguments, "--split", "train=0.5,val=0.5").exit_code == 0
    rows = [*lines("out/train.jsonl"), *lines("out/val.jsonl")]
    assert len(rows) == 40
    assert {each["prefix"] for each in rows} == {f"answer en {q}" for q, _, _ in questions}


def test_an_unknown_source_is_one_sentence(desk: Path) -> None:
    (desk / "in").mkdir()
    assert "none of the formats that were tried" in refused("in", "out")
    write_json(desk / "in" / "a.json", {"images": [], "annotations": []})
    assert "gives no rows" in refused("in", "out")


def test_objects_of_rows_are_kept_and_counted(desk: Path) -> None:
    save_picture(desk / "in" / "a.png", 0)
    rows = [row("a.png", suffix=f"{CAT} ; {DOG}"), row("a.png", "detect cat")]
    write_rows(desk / "in" / "train.jsonl", rows)
    write_rows(desk / "in" / "val.jsonl", [row("a.png", "caption en", "noise")])
    told = run("in", "out").stdout
    assert "train.jsonl: 2 rows, 3 objects (cat 2, dog 1)" in told
    assert "val.jsonl: 1 row, 0 objects" in told
    assert "train.json: 2 rows, 3 objects (cat 2, dog 1)" in run("in", "o", "--to", "coco").stdout
    written = json.loads((desk / "o" / "train.json").read_text(encoding="utf-8"))
    assert len(written["annotations"]) == 3


def test_outlines_without_a_codec_lead_to_the_built_in_model(desk: Path) -> None:
    coco_file(desk / "in" / "a.json", [BOX])
    assert "--model nano" in refused("in", "out", "--task", "segment")
    assert "--model nano" in refused("in", "out", "--task", "segment", "--model", "in")
    assert run("in", "out", "--task", "segment", "--model", "nano").exit_code == 0
