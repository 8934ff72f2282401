"""Commands of two processes that share a model do what those of one do, and say it once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from palikit.batch import Source
from palikit.cli import main
from palikit.cli.team import Team
from palikit.errors import InputError
from tests import tiny

ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m")
TWO = ("--tensor-parallel", "2", "--device", "cpu")
TIMEOUT_S = 300


def palikit(*words: str, launcher: tuple[str, ...] = ("-m",)) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *launcher, "palikit", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=ENVIRONMENT,
        check=False,
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(3):
        tiny.picture(n, (60 + n, 50)).save(folder / f"{n}.png")
    return folder


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def assert_same_answers(ours: str, theirs: str) -> None:
    for one, other in zip(lines(ours), lines(theirs), strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)
        for name in ("input", "text", "finish_reason"):
            assert one[name] == other[name]


def test_a_verb_of_two_processes_answers_as_one(pictures: Path, tmp_path: Path) -> None:
    # In half precision the sums of two halves are rounded otherwise than those of a whole.
    sized = ("--dtype", "float32", "--format", "jsonl", "--max-new-tokens", "16")
    asked = ("detect", str(pictures), "circle ; star", *sized)
    one = palikit(*asked)
    two = palikit(*asked, *TWO, "--save", str(tmp_path / "drawn"), launcher=TORCHRUN)
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    assert_same_answers(two.stdout, one.stdout)
    assert two.stderr.count("using nano") == 1
    assert len(list((tmp_path / "drawn").iterdir())) == 3


def test_a_batch_of_two_processes_writes_the_records_of_one(pictures: Path, tmp_path: Path) -> None:
    asked = ("batch", str(pictures), "--task", "detect", "--text", "circle ; star")
    sized = ("--dtype", "float32", "--batch-size", "2", "--max-new-tokens", "16", "--output")
    one = palikit(*asked, *sized, str(tmp_path / "one"))
    several = (*asked, *sized, str(tmp_path / "two"), *TWO)
    two = palikit(*several, launcher=TORCHRUN)
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    assert_same_answers(*((tmp_path / n / "part-00000.jsonl").read_text() for n in ("two", "one")))
    assert two.stderr.count("3 of 3 done, in") == 1
    again = palikit(*several, launcher=TORCHRUN)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("nothing left to do") == 1


def test_a_run_that_is_finished_ends_in_every_process(pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "captions.jsonl"
    asked = ("caption", str(pictures), "--output", str(file), "--max-new-tokens", "4", *TWO)
    assert palikit(*asked, launcher=TORCHRUN).returncode == 0
    before = file.read_bytes()
    again = palikit(*asked, launcher=TORCHRUN)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("nothing left to do") == 1
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [(("gone.png",), "no such file or folder: gone.png"), (("{pictures}", "-m", "gone"), "gone")],
    ids=["before the others work", "in each"],
)
def test_an_error_is_told_once(pictures: Path, words: tuple[str, ...], said: str) -> None:
    named = [word.format(pictures=pictures) for word in words]
    told = palikit("caption", *named, *TWO, launcher=TORCHRUN)
    assert told.returncode != 0
    assert told.stderr.count("palikit: error: ") == 1
    assert said in told.stderr


@pytest.mark.parametrize("command", ["caption", "batch", "evaluate"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tensor-parallel", "2", "--quantize", "int8"), "quantised weights cannot be cut"),
        (("--tensor-parallel", "2"), "torchrun --nproc-per-node 2 -m palikit"),
        (("--tensor-parallel", "0"), "--tensor-parallel is 0"),
    ],
)
def test_what_cannot_be_cut_is_told_in_a_sentence(
    pictures: Path, tmp_path: Path, command: str, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "val.jsonl").write_text(
        json.dumps({"image": str(pictures / "0.png"), "prefix": "caption en", "suffix": "a star"})
    )
    inputs = ("--data", str(tmp_path), "--task", "caption") if command == "evaluate" else ("a.png",)
    asked = (command, *inputs, "--output", str(tmp_path / "out.jsonl"), *words)
    told = CliRunner().invoke(main, asked, prog_name="palikit")
    assert told.exit_code == 2
    assert said in told.output


def test_a_picture_on_standard_input_is_not_for_several() -> None:
    with pytest.raises(InputError, match="standard input is one process's"):
        Team(mesh=None).say_todo([Source("-", (b"a picture",))])


def test_an_evaluation_of_two_processes_gives_the_figures_of_one(
    pictures: Path, tmp_path: Path
) -> None:
    rows = [
        {"image": f"{n}.png", "prefix": "caption en", "suffix": "a circle and a star"}
        for n in range(3)
    ]
    (pictures / "val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ("evaluate", "--data", str(pictures), "--task", "caption", "--dtype", "float32")
    short = ("--max-new-tokens", "8", "--format", "json", "--quiet")
    one = palikit(*asked, *short, "--output", str(tmp_path / "one"))
    two = palikit(*asked, *short, "--output", str(tmp_path / "two"), *TWO, launcher=TORCHRUN)
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    answers = [(tmp_path / n / "predictions.jsonl").read_text() for n in ("one", "two")]
    assert len(lines(answers[0])) == 3
    for ours, theirs in zip(lines(answers[1]), lines(answers[0]), strict=True):
        assert ours["answer"] == theirs["answer"]
