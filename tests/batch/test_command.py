"""The command line of `palikit batch`: what is refused before any work, and a run to its end."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from palikit.cli import main
from tests.fake_predictor import FakePredictor, write_picture


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["batch", *words], prog_name="palikit")


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    predictor = FakePredictor("nano")
    monkeypatch.setattr("palikit.cli.asking.load_predictor", lambda *_: predictor)
    for n in range(3):
        write_picture(tmp_path / "in" / f"{n}.png")
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name one with --output"),
        (["--output", "o", "--task", "detect"], "--task detect needs the labels"),
        (["--output", "o", "--text", "cat"], "--task caption takes no --text"),
        (["--output", "o", "--task", "ocr", "--format", "coco"], "COCO has no records for ocr"),
        (["--output", "o", "--workers", "2"], "2 --workers are Ray's: add --ray"),
        (["--output", "o", "--ray", "--tensor-parallel", "2"], "choose one of them"),
        (["--output", "o", "--shard-size", "0"], "--shard-size is 0"),
        (["--output", "o", "--frames", "600"], "--frames is 600"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    pictures: Path, words: list[str], sentence: str
) -> None:
    told = run(str(pictures), *words)
    assert told.exit_code == 2
    assert sentence in told.output


def test_answers_stand_in_shards_and_the_same_command_has_nothing_to_do(
    pictures: Path, tmp_path: Path
) -> None:
    words = (str(pictures), "--output", str(tmp_path / "out"), "--shard-size", "2")
    first, second = run(*words), run(*words)
    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert "3 of 3 done" in first.output
    assert "nothing left to do" in second.output
    parts = sorted((tmp_path / "out").glob("part-*"))
    assert [len(part.read_text().splitlines()) for part in parts] == [2, 1]


def test_a_damaged_picture_fails_alone(pictures: Path, tmp_path: Path) -> None:
    (pictures / "1.png").write_bytes(b"no picture")
    told = run(str(pictures), "--output", str(tmp_path / "out"))
    assert told.exit_code == 1
    assert "1 of 3 failed" in told.output
    assert told.output.count(str(pictures / "1.png")) == 1
    failed = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert failed["input"] == str(pictures / "1.png")


def test_the_built_in_model_is_told_where_none_was_named(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PALIKIT_MODEL", raising=False)
    told = run(str(pictures), "--output", str(tmp_path / "unnamed"))
    assert "using nano, built in" in told.output
    for more in (["--model", "nano"], ["--quiet"]):
        told = run(str(pictures), "--output", str(tmp_path / more[0]), *more)
        assert "using nano" not in told.output


def test_the_answers_of_an_earlier_run_in_the_folder_are_no_inputs(
    pictures: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "out" / "drawn.png")
    told = run(str(tmp_path), "--output", str(tmp_path / "out"))
    assert "3 of 3 done" in told.output
