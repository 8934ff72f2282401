"""The folder of a run: what is in it, what it refuses, and what an accident leaves of it."""

import errno
import json
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

import palikit
from palikit.data.reading import require_source
from palikit.errors import CheckpointError, InputError
from palikit.scores import Scores
from palikit.training import shards
from palikit.training import state as state_module
from palikit.training.output import check_output
from palikit.training.result import Origin
from palikit.training.run_folder import RunFolder, opened_run
from tests import tiny
from tests.training.toy import Killed, are_equal, kill_after, train, trained, with_options


def metrics_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_everything_about_a_run_is_in_its_folder(tmp_path: Path) -> None:
    result = train(tmp_path / "run", origin=Origin("tiny"))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {"run.json", "metrics.jsonl", "checkpoints", "latest.json", "best.json", "best"}
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["options"]["learning_rate"] == 1e-3
    assert record["options"]["mean"] == "example"
    assert record["versions"]["torch"] == torch.__version__
    assert record["model"]["name"] == "tiny"
    assert record["data"]["fingerprint"] == "toy"
    rows = metrics_of(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["loss"] == result.loss
    assert {"learning_rate", "gradient_norm", "tokens", "pictures_per_s"} <= rows[0].keys()


def test_a_run_leaves_event_files_for_tensorboard(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(tmp_path / "run")
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]


def test_nothing_is_pickled(tmp_path: Path) -> None:
    train(tmp_path / "run")
    endings = {path.suffix for path in (tmp_path / "run" / "checkpoints").rglob("*.*")}
    assert endings == {".json", ".safetensors"}


def test_the_finished_model_can_be_asked(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(tiny.tokenizer_json(), encoding="utf-8")
    model = trained(tmp_path / "run", origin=Origin("tiny", tokenizer_file=file))
    predictor = palikit.load(tmp_path / "run" / "best")
    assert are_equal(predictor.model, model)
    predictor.caption(tiny.picture(), options=palikit.GenerationOptions(max_new_tokens=2))


def test_only_the_latest_checkpoints_are_kept(tmp_path: Path) -> None:
    train(tmp_path / "run", with_options(checkpoint_every=1, keep=3))
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["step-000004", "step-000005", "step-000006"]


def test_a_run_is_neither_overwritten_nor_resumed_unasked(tmp_path: Path) -> None:
    train(tmp_path / "run")
    with pytest.raises(InputError, match="--resume, or begin anew with --overwrite"):
        train(tmp_path / "run")
    with pytest.raises(InputError, match="exclude each other"):
        train(tmp_path / "run", resume=True, overwrite=True)


def test_overwriting_begins_anew(tmp_path: Path) -> None:
    train(tmp_path / "run", with_options(steps=9, checkpoint_every=1))
    model = trained(tmp_path / "run", overwrite=True)
    assert are_equal(model, trained(tmp_path / "other"))
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 6


def test_what_cannot_begin_costs_no_earlier_run_and_leaves_none(tmp_path: Path) -> None:
    wrong = with_options(train="nonesuch")
    train(tmp_path / "run")
    with pytest.raises(InputError, match="nothing learns"):
        train(tmp_path / "run", wrong, overwrite=True)
    assert train(tmp_path / "run", resume=True).step == 6
    with pytest.raises(InputError, match="nothing learns"):
        train(tmp_path / "far" / "new", wrong)
    assert not (tmp_path / "far").exists()
    (tmp_path / "new").mkdir()
    with pytest.raises(InputError, match="nothing learns"):
        train(tmp_path / "new", wrong)
    assert list((tmp_path / "new").iterdir()) == []
    assert train(tmp_path / "new").step == 6


def test_a_person_may_go_back_to_an_earlier_checkpoint(tmp_path: Path) -> None:
    options = with_options(checkpoint_every=1, keep=4)
    train(tmp_path / "run", options)
    RunFolder(tmp_path / "run").point_to_latest(3)
    with pytest.raises(Killed):
        train(tmp_path / "run", replace(options, keep=2), resume=True, on_step=kill_after(5))
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["step-000003", "step-000004"]
    model = trained(tmp_path / "run", options, resume=True)
    assert are_equal(model, trained(tmp_path / "whole", options))


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for flags in ({"resume": True}, {"overwrite": True}, {}):
        with pytest.raises(InputError, match="not empty and holds no run"):
            train(tmp_path, **flags)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run to resume"):
        train(tmp_path / "run", resume=True)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file: expected a folder"):
        check_output(tmp_path / "file", resume=False, overwrite=False)
    with pytest.raises(InputError, match="cannot be written"):
        check_output(tmp_path / "file" / "run", resume=False, overwrite=False)


def test_looking_at_a_place_leaves_nothing_there(tmp_path: Path) -> None:
    check_output(tmp_path / "runs" / "a", resume=False, overwrite=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    check_output(tmp_path / "empty", resume=False, overwrite=False)
    assert (tmp_path / "empty").is_dir()


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    with (
        opened_run(tmp_path / "run", resume=False, overwrite=False),
        pytest.raises(InputError, match="another process is training"),
        opened_run(tmp_path / "run", resume=False, overwrite=False),
    ):
        pass
    with opened_run(tmp_path / "run", resume=False, overwrite=False):
        pass


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_costs_the_new_checkpoint_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(figures) -> None:
        if figures.step == 4:
            monkeypatch.setattr(shards, "write_tensors", full_disk)

    with pytest.raises(CheckpointError) as told:
        train(tmp_path / "run", on_step=fill)
    sentence = str(told.value)
    assert "step-000006 could not be written (No space left on device)" in sentence
    assert f"the last good one is {tmp_path / 'run' / 'checkpoints' / 'step-000003'}" in sentence
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000003"]
    monkeypatch.undo()
    assert are_equal(trained(tmp_path / "run", resume=True), trained(tmp_path / "whole"))


def test_a_disk_that_is_full_for_a_line_of_metrics_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(figures) -> None:
        if figures.step == 4:
            monkeypatch.setattr(RunFolder, "append", full_disk)

    with pytest.raises(CheckpointError) as told:
        train(tmp_path / "run", on_step=fill)
    assert "run could not be written (No space left on device)" in str(told.value)
    assert "last good checkpoint is " in str(told.value)
    assert "step-000003: make room" in str(told.value)


def test_a_disk_that_is_full_for_an_adapter_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr("palikit.adapters.saving.write_tensors", lambda *_, **__: fill())
    with pytest.raises(CheckpointError, match=r"could not be written .*No space left on device"):
        train(tmp_path / "run", with_options(method="lora"))
    assert not (tmp_path / "run" / "best.json").exists()


def test_too_little_room_is_known_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")

    def fill(figures) -> None:
        monkeypatch.setattr(state_module.shutil, "disk_usage", lambda _: usage(1000))

    with pytest.raises(CheckpointError, match="bytes and the disk has 1,000 free"):
        train(tmp_path / "run", on_step=fill)


def test_what_a_killed_process_left_half_written_is_cleared(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(tmp_path / "run", on_step=kill_after(5))
    half = tmp_path / "run" / "checkpoints" / ".step-000006.tmp"
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"half")
    with (tmp_path / "run" / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"step": 6, "lo')
    train(tmp_path / "run", resume=True)
    assert not half.exists()
    rows = metrics_of(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("old", [".best.old", ".best.a1b2.old"])
def test_a_process_killed_while_it_wrote_the_best_model_leaves_the_one_before(
    tmp_path: Path, old: str
) -> None:
    run = tmp_path / "run"
    train(run)
    (run / "best").rename(run / old)
    for left in (".best.new", ".best.c3d4", "..best.new.e5f6"):
        (run / left).mkdir()
    with opened_run(run, resume=True, overwrite=False):
        assert (run / "best" / "model.safetensors").is_file()
    assert not list(run.glob(".*best*"))


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(tmp_path / "run", on_step=kill_after(5))
    file = tmp_path / "run" / "checkpoints" / "step-000003" / "optimizer.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=f"damaged or missing .*: remove {file.parent} and"):
        train(tmp_path / "run", resume=True)


def test_a_damaged_checkpoint_that_is_removed_costs_its_steps_alone(tmp_path: Path) -> None:
    options = with_options(checkpoint_every=2)
    with pytest.raises(Killed):
        train(tmp_path / "run", options, on_step=kill_after(5))
    gone = tmp_path / "run" / "checkpoints" / "step-000004"
    shutil.rmtree(gone)
    told: list[str] = []
    model = trained(tmp_path / "run", options, resume=True, on_remark=told.append)
    assert told[0] == f"{gone} is gone: the run goes on from {gone.with_name('step-000002')}"
    assert are_equal(model, trained(tmp_path / "whole", options))
    assert [row["step"] for row in metrics_of(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]


def test_checkpoints_that_are_all_gone_are_told(tmp_path: Path) -> None:
    train(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(CheckpointError, match="which is gone, and there is no other"):
        train(tmp_path / "run", resume=True)


def test_a_resumption_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(tmp_path / "run", on_step=kill_after(5))
    begun = RunFolder(tmp_path / "run").read("run")
    for _ in range(2):
        train(tmp_path / "run", resume=True)
    record = RunFolder(tmp_path / "run").read("run")
    resumed = record.pop("resumed")
    assert record == begun
    assert [each["step"] for each in resumed] == [3, 6]
    places = {"command", "directory", "versions", "device", "processes"}
    assert resumed[0].keys() == {"step", "at"} | places


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    model = tiny.model()

    def poison(figures) -> None:
        if figures.step == 4:
            model.language_model.norm.weight.data.fill_(float("nan"))

    with pytest.raises(InputError) as told:
        train(tmp_path / "run", model=model, on_step=poison)
    assert "is nan" in str(told.value)
    assert str(tmp_path / "run" / "checkpoints" / "step-000003") in str(told.value)
    weights = load_file(tmp_path / "run" / "checkpoints" / "step-000003" / "weights.safetensors")
    assert all(weight.isfinite().all() for weight in weights.values())
    assert RunFolder(tmp_path / "run").read("latest")["step"] == 3


class Scored:
    """A validation whose scores are known beforehand."""

    def __init__(self, *values: float, higher_is_better: bool = True) -> None:
        self.values, self.higher_is_better = list(values), higher_is_better
        self.folders: list[Path] = []

    def __call__(self, model, folder: Path) -> Scores:
        assert not model.training
        self.folders.append(folder)
        value = self.values[len(self.folders) - 1]
        return Scores((("ap", value), ("error", -value)), "ap", self.higher_is_better)


EACH_STEP = {"evaluate_every": 1, "checkpoint_every": 1}


def test_the_best_model_is_the_one_with_the_best_score(tmp_path: Path) -> None:
    options = with_options(**EACH_STEP, schedule="constant")
    result = train(tmp_path / "run", options, evaluate=Scored(0.1, 0.5, 0.9, 0.2, 0.3, 0.4))
    assert (result.best_step, result.score) == (3, ("ap", 0.9))
    trained(tmp_path / "third", with_options(steps=3, schedule="constant"))
    saved = load_file(tmp_path / "run" / "best" / "model.safetensors")
    expected = load_file(tmp_path / "third" / "best" / "model.safetensors")
    assert all(torch.equal(saved[name], expected[name]) for name in expected)


def test_less_can_be_better(tmp_path: Path) -> None:
    evaluate = Scored(0.5, 0.1, 0.3, 0.3, 0.3, 0.3, higher_is_better=False)
    assert train(tmp_path / "a", with_options(**EACH_STEP), evaluate=evaluate).best_step == 2


def test_any_figure_can_decide(tmp_path: Path) -> None:
    values = (0.5, 0.1, 0.3, 0.3, 0.3, 0.3)
    for metric, best in (("error", 2), ("-error", 1), ("ap", 1)):
        options = with_options(**EACH_STEP, metric=metric)
        result = train(tmp_path / f"by{metric}", options, evaluate=Scored(*values))
        assert result.best_step == best, metric
    with pytest.raises(InputError, match="no figure 'map': its figures are ap, error"):
        train(tmp_path / "map", with_options(**EACH_STEP, metric="map"), evaluate=Scored(*values))


def test_a_run_that_gets_no_better_stops_early(tmp_path: Path) -> None:
    evaluate = Scored(0.1, 0.5, 0.5, 0.4, 0.9)
    result = train(tmp_path / "run", with_options(**EACH_STEP, patience=2), evaluate=evaluate)
    assert (result.ending, result.step) == ("early", 4)
    assert result.best_step == 3  # as good as the second, and trained for longer


def test_patience_outlives_a_resumption(tmp_path: Path) -> None:
    options = with_options(**EACH_STEP, patience=2)
    with pytest.raises(Killed):
        train(
            tmp_path / "run",
            options,
            evaluate=Scored(0.5, 0.4, 0.3, 0.2),
            on_step=kill_after(3),
        )
    result = train(tmp_path / "run", options, evaluate=Scored(0.3, 0.3), resume=True)
    assert (result.ending, result.step) == ("early", 3)


def test_a_run_resumed_after_an_early_stop_stays_where_it_is(tmp_path: Path) -> None:
    options = with_options(**EACH_STEP, patience=2)
    train(tmp_path / "run", options, evaluate=Scored(0.5, 0.4, 0.3))
    again = train(tmp_path / "run", options, evaluate=Scored(), resume=True)
    assert (again.ending, again.step, again.best_step) == ("early", 3, 1)
    more = replace(options, patience=3)
    result = train(tmp_path / "run", more, evaluate=Scored(0.2), resume=True)
    assert (result.ending, result.step) == ("early", 4)


def test_a_score_that_is_no_number_is_the_worst(tmp_path: Path) -> None:
    nan = float("nan")
    evaluate = Scored(nan, 0.1, nan, 0.5, nan, 0.2)
    assert train(tmp_path / "run", with_options(**EACH_STEP), evaluate=evaluate).best_step == 4


def test_scores_of_two_metrics_are_not_compared(tmp_path: Path) -> None:
    options = with_options(evaluate_every=3, checkpoint_every=3)
    with pytest.raises(Killed):
        train(tmp_path / "run", options, evaluate=Scored(0.9), on_step=kill_after(5))
    changed = replace(options, metric="error")
    result = train(tmp_path / "run", changed, evaluate=Scored(0.95), resume=True)
    assert (result.best_step, result.score) == (6, ("error", -0.95))


def test_a_metric_of_a_wrong_name_costs_no_step(tmp_path: Path) -> None:
    options = with_options(evaluate_every=4, checkpoint_every=9, metric="map")
    with pytest.raises(InputError, match="no figure 'map'"):
        train(tmp_path / "run", options, evaluate=Scored(0.5))
    right = replace(options, metric="ap")
    train(tmp_path / "run", right, evaluate=Scored(0.5, 0.5), resume=True)
    validated = [row["step"] for row in metrics_of(tmp_path / "run") if "validation" in row]
    assert validated == [4, 6]


def test_validation_changes_nothing_of_the_training(tmp_path: Path) -> None:
    measured = tiny.model()
    options = with_options(**EACH_STEP)
    train(tmp_path / "a", options, model=measured, evaluate=Scored(*[0.1] * 6))
    assert are_equal(measured, trained(tmp_path / "b"))


def test_a_validation_that_fails_costs_no_step(tmp_path: Path) -> None:
    def fail(model, folder: Path) -> Scores:
        raise InputError("no such picture")

    with pytest.raises(InputError, match="no such picture"):
        train(tmp_path / "run", with_options(evaluate_every=4, checkpoint_every=9), evaluate=fail)
    assert RunFolder(tmp_path / "run").read("latest")["step"] == 4
    again = Scored(0.1, 0.2)
    options = with_options(evaluate_every=4, checkpoint_every=9)
    train(tmp_path / "run", options, evaluate=again, resume=True)
    assert [folder.name for folder in again.folders] == ["step-000004", "step-000006"]


def test_a_validation_that_was_missed_is_not_repeated(tmp_path: Path) -> None:
    """Its scores are kept though the weights of its step are on the disk already."""
    options = with_options(evaluate_every=3, checkpoint_every=3, steps=3)
    train(tmp_path / "run", options, evaluate=Scored(0.5))
    state = tmp_path / "run" / "checkpoints" / "step-000003" / "state.json"
    record = json.loads(state.read_text())
    state.write_text(json.dumps(record | {"validated": 0, "best": None, "best_step": 0}))
    for evaluate in (Scored(0.5), Scored()):
        result = train(tmp_path / "run", options, evaluate=evaluate, resume=True)
        assert result.best_step == 3
    assert json.loads(state.read_text()) == record


def test_a_run_knows_the_revision_it_was_begun_with(tmp_path: Path) -> None:
    train(tmp_path / "run", origin=Origin("owner/name", revision="bfloat16"))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["model"]["name"] == "owner/name@bfloat16"


def test_copies_of_checkpoints_under_names_of_their_own_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    train(tmp_path / "run", options=with_options(checkpoint_every=1))
    for name in ("step-000001-backup", "step-1", "step-best"):
        (folder / name).mkdir()
    run = RunFolder(tmp_path / "run")
    run.prune(1)
    assert {"step-000001-backup", "step-1", "step-best"} <= {each.name for each in folder.iterdir()}
    assert len([each for each in folder.iterdir() if each.name == run.latest().name]) == 1


def test_a_folder_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\): choose another"):
        check_output(tmp_path / "run", resume=False, overwrite=False)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        require_source(tmp_path / "cells")
