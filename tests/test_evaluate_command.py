"""`palikit evaluate`: benchmarks, own data, finished answers, comparisons, several processes."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from palikit.cli import main
from palikit.options import LoadOptions
from palikit.quantizing import quantize_checkpoint
from tests import tiny
from tests.e2e.test_finetune import write_rows
from tests.evaluation.exams import docci, docvqa
from tests.fake_predictor import FakePredictor
from tests.parity.oracle import save_tiny
from tests.training.test_distributed import ENVIRONMENT, TIMEOUT_S, TORCHRUN


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("evaluate") / "tiny", tiny.model())


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("evaluate") / "other", tiny.model(seed=1))


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PALIKIT_MODEL", raising=False)
    return tmp_path


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePredictor]:
    predictor = FakePredictor()
    predictor.loaded = []  # type: ignore[attr-defined]

    def load(name: str, options: LoadOptions) -> FakePredictor:
        predictor.loaded.append((name, options))  # type: ignore[attr-defined]
        return predictor

    monkeypatch.setattr("palikit.cli.evaluate_run.load_predictor", load)
    return predictor


def run(*arguments: object) -> Result:
    words = ["evaluate", *map(str, arguments)]
    return CliRunner().invoke(main, words, prog_name="palikit")


def refused(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    return line.removeprefix("palikit: error: ")


def rows(folder: Path, number: int = 5) -> Path:
    folder.mkdir()
    write_rows(folder / "val.jsonl", range(number))
    return folder


def texts(folder: Path, number: int = 5) -> Path:
    folder.mkdir()
    write_rows(folder / "val.jsonl", range(number), prefix="caption en", suffix="cat dog")
    return folder


# Benchmarks


def test_a_benchmark_is_run_in_its_protocol(desk: Path, model: Path, fake: FakePredictor) -> None:
    docvqa(desk / "docvqa")
    result = run("--benchmark", "docvqa", "--data", "docvqa", "--model", model)
    assert result.exit_code == 0, result.output
    assert "DocVQA, val" in result.stdout
    assert "ANLS (%)" in result.stdout
    folder = desk / "evaluation-docvqa-val-tiny"
    assert {file.name for file in folder.iterdir()} == {
        "predictions.jsonl", "report.json", "report.html", "submission.json",
    }  # fmt: skip
    first = json.loads((folder / "predictions.jsonl").read_text().splitlines()[0])
    assert first["prompt"] == "what is number 0?"
    assert fake.options is not None
    assert (fake.options.max_new_tokens, fake.options.num_beams) == (32, 1)
    assert "tiny has none of the released sizes" in result.stderr


def test_the_same_command_has_nothing_left_to_do(
    desk: Path, model: Path, fake: FakePredictor
) -> None:
    docvqa(desk / "docvqa")
    command = ("--benchmark", "docvqa", "--data", "docvqa", "--model", model)
    first = run(*command)
    fake.calls.clear()
    again = run(*command)
    assert again.stdout == first.stdout
    assert "7 of 7 answered in evaluation-docvqa-val-tiny: all are answered" in again.stderr
    assert not fake.calls
    third = run(*command, "--num-beams", "2")  # another evaluation: another folder
    assert "evaluation-docvqa-val-tiny-2: " in third.stdout


def test_ctrl_c_keeps_what_is_answered(desk: Path, model: Path, fake: FakePredictor) -> None:
    docvqa(desk / "docvqa")
    command = ("--benchmark", "docvqa", "--data", "docvqa", "-m", model, "--batch-size", "2")
    fake.interrupt_at = 2
    stopped = run(*command, "--output", "a")
    assert stopped.exit_code == 130
    assert "4 of 7 answered in a: to go on, run the same command again" in stopped.stderr
    assert not (desk / "a" / "report.json").exists()
    fake.interrupt_at = None
    fake.calls.clear()
    assert run(*command, "--output", "a").exit_code == 0
    assert len(fake.calls) == 2
    run(*command, "--output", "b")
    for name in ("predictions.jsonl", "report.html", "submission.json", "report.json"):
        assert (desk / "a" / name).read_bytes() == (desk / "b" / name).read_bytes()


def test_secret_answers_give_a_submission(desk: Path, model: Path, fake: FakePredictor) -> None:
    docvqa(desk / "docvqa", secret=True)
    result = run(
        "--benchmark", "docvqa", "--data", "docvqa", "--split", "test", "-m", model, "--output", "o"
    )
    assert result.exit_code == 0, result.output
    assert "only its server can score it" in result.stderr
    assert "ANLS" not in result.stdout
    assert len(json.loads((desk / "o" / "submission.json").read_bytes())) == 7


def test_finished_answers_need_no_model(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docvqa(desk / "docvqa", 2)
    monkeypatch.setattr("palikit.cli.evaluate_run.load_predictor", None)
    right = [{"questionId": 100 + n, "answer": "picture of 20 x 12"} for n in range(2)]
    (desk / "a.json").write_text(json.dumps(right))
    result = run(
        "--benchmark", "docvqa", "--data", "docvqa", "--predictions", "a.json",
        "--format", "json", "--output", "o",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["figure"]["value"] == 100
    (desk / "a.json").write_text(json.dumps(right[:1]))
    line = refused("--benchmark", "docvqa", "--data", "docvqa", "--predictions", "a.json")
    assert "a.json has no answer to 1 of 2 questions" in line


def test_judgements_of_captions_come_beside_the_figures_later(
    desk: Path, model: Path, fake: FakePredictor
) -> None:
    docci(desk / "docci")
    command = ("--benchmark", "docci", "--data", "docci", "-m", model, "--output", "o")
    assert run(*command).exit_code == 0
    fake.calls.clear()
    said = "caption,sentence,rater_1\na,A dog.,neutral\nb,A cat.,entailment\n"
    (desk / "said.csv").write_text(said)
    result = run(*command, "--judgements", "said.csv", "--format", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["parts"]["nes"] == 50
    assert not fake.calls
    line = refused("--data", "docci", "--judgements", "said.csv", "--compare", "a", "b")
    assert "give no --compare" in line


def test_a_comparison_asks_nobody_before_both_models_are_found(
    desk: Path, model: Path, fake: FakePredictor
) -> None:
    data = texts(desk / "cells")
    assert '"nowhere" is neither' in refused("--data", data, "--compare", model, "nowhere")
    assert not fake.calls


def test_bad_commands_are_refused_in_a_sentence(desk: Path) -> None:
    docvqa(desk / "docvqa")
    assert "did you mean docvqa?" in refused("--benchmark", "docvqaa", "--data", "docvqa")
    assert "--data is missing" in refused("--task", "detect")
    missing = refused("--benchmark", "docvqa")
    assert "--data is missing: the folder of DocVQA" in missing
    assert "val_v1.0_withQT.json" in missing
    empty = refused("--benchmark", "docvqa", "--data", "nowhere")
    assert "val_v1.0_withQT.json" in empty
    assert "there is no nowhere" in refused("--data", "nowhere")
    assert "no split 'tset'" in refused(
        "--benchmark", "docvqa", "--data", "docvqa", "--split", "tset"
    )
    both = refused("--benchmark", "docvqa", "--data", "docvqa", "--task", "vqa")
    assert "--benchmark and --task do not go together" in both
    assert "--limit is 0" in refused("--data", "docvqa", "--limit", "0")
    folders = refused("--compare", "docvqa", "nowhere")
    assert folders.startswith("docvqa holds no finished evaluation")
    forms = refused("--data", "docvqa", "--compare-forms", "bfloat16,int3")
    assert "'int3' is no form of weights" in forms


def test_a_folder_of_other_files_is_kept(desk: Path, model: Path, fake: FakePredictor) -> None:
    docvqa(desk / "docvqa")
    command = ("--benchmark", "docvqa", "--data", "docvqa", "-m", model, "--output", "docvqa")
    result = run(*command)
    assert result.exit_code == 2
    assert "docvqa holds files and no evaluation" in result.stderr
    assert not fake.calls


# Own data


def test_own_data_is_measured(desk: Path, model: Path) -> None:
    result = run("--data", rows(desk / "cells"), "-m", model, "--max-new-tokens", "6")
    assert result.exit_code == 0, result.output
    report = json.loads((desk / "evaluation-detect-val-tiny" / "report.json").read_bytes())
    assert report["figure"]["name"] == "ap"
    assert report["examples"] == 5
    assert report["run"]["weights"]


def test_a_model_that_was_exchanged_is_another_evaluation(
    desk: Path, model: Path, other: Path, fake: FakePredictor
) -> None:
    data = texts(desk / "cells")
    assert run("--data", data, "-m", model, "--output", "o").exit_code == 0
    line = run("--data", data, "-m", other, "--output", "o").stderr
    assert "o holds another evaluation (model: " in line
    assert "weights: " in line


# Comparison


def test_two_models_are_compared(desk: Path, model: Path, other: Path) -> None:
    data = texts(desk / "cells")
    command = ("--data", data, "--compare", model, other, "--max-new-tokens", "4")
    result = run(*command, "--output", "c", "--quiet")
    assert result.exit_code == 0, result.output
    lines = [line.split()[0] for line in result.stdout.splitlines()[3:]]
    assert lines == ["tiny", "other"]
    record = json.loads((desk / "c" / "comparison.json").read_bytes())
    assert [row["name"] for row in record["rows"]] == ["tiny", "other"]
    assert record["rows"][1]["difference_interval"][0] is not None
    again = run("--compare", "c/tiny", "c/other", "--format", "json")
    assert json.loads(again.stdout)["rows"] == record["rows"]


def test_one_model_is_compared_in_several_forms(desk: Path, model: Path) -> None:
    data = texts(desk / "cells")
    result = run(
        "--data", data, "-m", model, "--compare-forms", "float32,int8,bfloat16",
        "--max-new-tokens", "4", "--output", "c", "--format", "json", "--quiet",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert [row["name"] for row in json.loads(result.stdout)["rows"]] == [
        "float32", "int8", "bfloat16",
    ]  # fmt: skip
    made = json.loads((desk / "c" / "int8" / "report.json").read_bytes())
    assert made["run"]["loading"]["quantize"] == "int8"
    before = (desk / "c" / "comparison.json").read_bytes()
    other = ("--compare-forms", "float32,bfloat16", "--output", "c", "--quiet")
    assert "holds another comparison" in refused("--data", data, "-m", model, *other)
    assert (desk / "c" / "comparison.json").read_bytes() == before


def test_a_quantised_model_has_no_other_forms_to_compare(desk: Path, model: Path) -> None:
    quantize_checkpoint(model, "int8", desk / "small")
    told = refused(
        "--data", texts(desk / "cells"), "-m", "small", "--compare-forms", "bfloat16,int8"
    )
    assert "small is held in int8" in told
    assert "give the float checkpoint" in told
    assert not (desk / "comparison-small-own").exists()


# Several processes


def test_two_processes_write_the_file_of_one(desk: Path, model: Path) -> None:
    data = rows(desk / "cells", 9)
    command = ["--data", data, "-m", model, "--batch-size", "2", "--max-new-tokens", "12"]
    one = run(*command, "--output", "one", "--quiet")
    assert one.exit_code == 0, one.output
    words = ["-m", "palikit", "evaluate", *map(str, command), "--output", "two"]
    done = subprocess.run(
        [*TORCHRUN, *words],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("cells (detect), val") == 1
    assert "asking" in done.stderr
    assert "5 questions (process 1 of 2)" in done.stderr
    for name in ("predictions.jsonl", "report.json", "report.html"):
        assert (desk / "one" / name).read_bytes() == (desk / "two" / name).read_bytes(), name
    assert not list((desk / "two").glob("answers.partial*"))


# Drawn scenes


def test_drawn_scenes_are_the_same_each_time_and_ask_for_every_task(desk: Path) -> None:
    for name in ("a", "b"):
        made = CliRunner().invoke(main, ["data", "scenes", name, "--number", "2"])
        assert made.exit_code == 0, made.output
    first = (desk / "a" / "test.jsonl").read_bytes()
    assert first == (desk / "b" / "test.jsonl").read_bytes()
    records = [json.loads(line) for line in first.splitlines()]
    verbs = {record["prefix"].split()[0] for record in records}
    assert verbs == {"detect", "segment", "answer", "caption", "ocr"}
    assert all((desk / "a" / record["image"]).exists() for record in records)
    again = CliRunner().invoke(main, ["data", "scenes", "a"])
    assert again.exit_code == 2
    assert "exists: choose another folder" in again.output
    (desk / "mine" / "images").mkdir(parents=True)
    (desk / "mine" / "images" / "scene-0.png").write_bytes(b"mine")
    other = CliRunner().invoke(main, ["data", "scenes", "mine", "--number", "2"])
    assert other.exit_code == 2
    assert "images is not empty" in other.output
    assert (desk / "mine" / "images" / "scene-0.png").read_bytes() == b"mine"


def test_a_file_of_codes_is_scored_with_the_codec_of_a_model(desk: Path) -> None:
    CliRunner().invoke(main, ["data", "scenes", "s", "--number", "2"])
    rows_of = [json.loads(line) for line in (desk / "s" / "test.jsonl").read_text().splitlines()]
    answers = [
        json.dumps({"id": row["id"], "answer": row["suffix"]})
        for row in rows_of
        if row["prefix"].startswith("segment")
    ]
    (desk / "a.jsonl").write_text("\n".join(answers))
    command = ("--data", "s", "--task", "segment", "--predictions", "a.jsonl", "--output", "o")
    assert "there is no mask codec" in refused(*command)
    result = run(*command, "--model", "nano", "--format", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["figure"]["value"] > 0.8
