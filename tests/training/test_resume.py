"""A run that was stopped and resumed ends with the very weights of one that was not."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from palikit.errors import InputError
from palikit.scores import Scores
from palikit.train_options import LoraOptions
from tests.training.toy import Killed, are_equal, kill_after, train, trained, with_options

OPTIMIZERS = ("adamw", "adamw8bit", "adafactor", "sgd", "muon")


def stopped_and_resumed(output: Path, options, *, after: int, **rest):
    with pytest.raises(Killed):
        train(output, options, on_step=kill_after(after), **rest)
    return trained(output, options, resume=True, **rest)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path, optimizer: str) -> None:
    options = with_options(optimizer=optimizer, learning_rate=1e-2)
    whole = trained(tmp_path / "whole", options)
    resumed = stopped_and_resumed(tmp_path / "resumed", options, after=5)
    assert are_equal(whole, resumed)


@pytest.mark.parametrize("method", ["lora", "qlora", "attention"])
def test_so_does_a_run_that_trains_a_part(tmp_path: Path, method: str) -> None:
    options = with_options(method=method)
    lora = None if method == "attention" else LoraOptions(lora_dropout=0.1)
    whole = trained(tmp_path / "whole", options, lora=lora)
    resumed = stopped_and_resumed(tmp_path / "resumed", options, after=5, lora=lora)
    assert are_equal(whole, resumed)


def test_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    assert are_equal(whole, stopped_and_resumed(tmp_path / "run", with_options(), after=2))


def test_the_training_changes_the_weights_at_every_step(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    assert not are_equal(whole, trained(tmp_path / "shorter", with_options(steps=5)))


def test_metrics_have_each_step_once_after_a_resumption(tmp_path: Path) -> None:
    stopped_and_resumed(tmp_path / "run", with_options(), after=5)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [int(line.split(",")[0].split(":")[1]) for line in lines] == [1, 2, 3, 4, 5, 6]


def test_how_often_is_saved_may_change(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "run", on_step=kill_after(5))
    changed = with_options(checkpoint_every=1, num_workers=0, keep=5, accumulation=1)
    assert are_equal(whole, trained(tmp_path / "run", changed, resume=True))


def test_other_mathematics_are_refused_and_named(tmp_path: Path) -> None:
    train(tmp_path / "run")
    changed = with_options(learning_rate=2e-3, seed=1, keep=9)
    with pytest.raises(InputError) as refused:
        train(tmp_path / "run", changed, resume=True)
    assert "learning_rate was 0.001 and is 0.002" in str(refused.value)
    assert "seed was 0 and is 1" in str(refused.value)
    assert "keep" not in str(refused.value)


@pytest.mark.parametrize("place", ["decoder", "adapters"])
def test_parts_of_a_step_may_change_only_without_dropout(tmp_path: Path, place: str) -> None:
    share = {"decoder": 0.1, "adapters": 0.0}[place]
    for name, lora_dropout in (("wet", 0.1), ("dry", 0.0)):
        options = with_options(method="lora", dropout=share if name == "wet" else 0.0)
        lora = LoraOptions(lora_dropout=lora_dropout if place == "adapters" else 0.0)
        train(tmp_path / name, options, lora=lora)
        changed = replace(options, accumulation=2)
        if name == "dry":
            assert train(tmp_path / name, changed, lora=lora, resume=True).step == 6
            continue
        with pytest.raises(InputError, match="accumulation was 1 and is 2"):
            train(tmp_path / name, changed, lora=lora, resume=True)


@pytest.mark.parametrize("place", ["decoder", "adapters"])
def test_the_number_of_processes_may_change_only_without_dropout(
    tmp_path: Path, place: str
) -> None:
    for share in (0.0, 0.1):
        run = tmp_path / str(share)
        options = with_options(method="lora", dropout=share if place == "decoder" else 0.0)
        lora = LoraOptions(lora_dropout=share if place == "adapters" else 0.0)
        train(run, options, lora=lora)
        record = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(record | {"processes": 2}))
        if not share:
            assert train(run, options, lora=lora, resume=True).step == 6
            continue
        with pytest.raises(InputError, match=r"processes were 2 and are 1, .* for dropout"):
            train(run, options, lora=lora, resume=True)


def test_a_run_goes_on_for_longer_where_that_changes_nothing_of_what_is_done(
    tmp_path: Path,
) -> None:
    short = with_options(schedule="constant")
    train(tmp_path / "run", short)
    told: list[str] = []
    longer = replace(short, steps=9)
    model = trained(tmp_path / "run", longer, resume=True, on_remark=told.append)
    assert told[-2:] == [
        "the run had 6 steps and has 9 from now on",
        "going on from step 6 of 9",
    ]
    assert are_equal(model, trained(tmp_path / "whole", longer))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["steps"], record["options"]["steps"]) == (9, 9)


def test_a_run_does_not_go_on_for_longer_where_its_rates_would_have_been_others(
    tmp_path: Path,
) -> None:
    train(tmp_path / "run")
    with pytest.raises(InputError, match=r"had 6 steps and has 9, .*other learning rates .*cosine"):
        train(tmp_path / "run", with_options(steps=9), resume=True)
    train(tmp_path / "even", with_options(schedule="constant"))
    with pytest.raises(InputError, match="6 steps are done and the run has 3"):
        train(tmp_path / "even", with_options(schedule="constant", steps=3), resume=True)


def test_a_resumed_run_says_where_it_goes_on(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(tmp_path / "run", on_step=kill_after(5))
    told: list[str] = []
    train(tmp_path / "run", resume=True, on_remark=told.append)
    assert "going on from step 3 of 6" in told


def test_an_option_that_is_newer_than_the_run_had_its_default(tmp_path: Path) -> None:
    train(tmp_path / "run")
    file = tmp_path / "run" / "run.json"
    record = json.loads(file.read_text())
    del record["options"]["label_smoothing"]
    file.write_text(json.dumps(record))
    assert train(tmp_path / "run", resume=True).step == 6


def test_another_precision_is_refused_however_it_was_asked_for(tmp_path: Path) -> None:
    train(tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["options"]["precision"] == "float32"
    assert train(tmp_path / "run", with_options(precision="float32"), resume=True).step == 6
    with pytest.raises(InputError, match="precision was 'float32' and is 'bfloat16'"):
        train(tmp_path / "run", with_options(precision="bfloat16"), resume=True)
    record["options"]["precision"] = "auto"  # as runs were recorded before
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    assert train(tmp_path / "run", resume=True).step == 6


def test_another_way_of_resizing_is_refused(tmp_path: Path) -> None:
    from palikit.processor import Processor
    from palikit.training import finetune
    from tests import tiny
    from tests.training.toy import OPTIONS, Toy

    train(tmp_path / "run")
    processor = Processor(tiny.tokenizer(), 28, "bilinear")
    with pytest.raises(InputError, match="pictures were 28 px, bicubic and are 28 px, bilinear"):
        finetune(tiny.model(), processor, Toy(), OPTIONS, tmp_path / "run", resume=True)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    from tests import tiny

    train(tmp_path / "run")
    with pytest.raises(InputError, match="weights of the model are not the same"):
        train(tmp_path / "run", resume=True, model=tiny.model(seed=1))


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    first = train(tmp_path / "run")
    steps: list[object] = []
    told: list[str] = []
    again = train(tmp_path / "run", resume=True, on_step=steps.append, on_remark=told.append)
    assert not steps
    assert told[-1] == "all 6 steps of the run are done already"
    assert (again.step, again.best, again.ending) == (first.step, first.best, "finished")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_a_checkpoint(tmp_path: Path, number: int) -> None:
    before = signal.getsignal(number)

    def send(figures) -> None:
        if figures.step == 1:
            os.kill(os.getpid(), number)

    result = train(tmp_path / "run", on_step=send)
    assert result.ending == "interrupted"
    assert 0 < result.step < 6
    assert (tmp_path / "run" / "checkpoints" / f"step-{result.step:06d}").is_dir()
    assert signal.getsignal(number) is before
    whole = trained(tmp_path / "whole")
    assert are_equal(whole, trained(tmp_path / "run", resume=True))


class Slow:
    """A validation that a person gives up while it answers the first of many rows."""

    def __init__(self, gives_up: int) -> None:
        self.gives_up, self.begun, self.answered = gives_up, 0, 0

    def __call__(self, model, folder: Path) -> Scores:
        assert not model.training
        self.begun += 1
        if self.begun == self.gives_up:
            os.kill(os.getpid(), signal.SIGINT)
        self.answered += 1
        return Scores((("ap", 0.1 * self.begun),), "ap")


@pytest.mark.parametrize("gives_up", [1, 2])  # in the middle, and after the last step
def test_a_signal_ends_a_validation_at_once(tmp_path: Path, gives_up: int) -> None:
    options = with_options(evaluate_every=4, checkpoint_every=9)
    slow, told = Slow(gives_up), []
    result = train(tmp_path / "run", options, evaluate=slow, on_remark=told.append)
    step = (4, 6)[gives_up - 1]
    assert (result.ending, result.step, slow.answered) == ("interrupted", step, gives_up - 1)
    assert told[-1] == f"the validation after step {step} is left to the resumed run"
    assert (tmp_path / "run" / "checkpoints" / f"step-{step:06d}").is_dir()
    again = Slow(0)
    assert train(tmp_path / "run", options, evaluate=again, resume=True).ending == "finished"
    assert again.begun == 3 - gives_up
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert [line["step"] for line in lines if "validation" in line] == [4, 6]


def test_a_signal_in_a_resumed_validation_ends_the_run_too(tmp_path: Path) -> None:
    options = with_options(evaluate_every=4, checkpoint_every=9)
    for _ in range(2):
        resume = (tmp_path / "run").exists()
        result = train(tmp_path / "run", options, evaluate=Slow(1), resume=resume)
        assert (result.ending, result.step) == ("interrupted", 4)
    train(tmp_path / "run", options, evaluate=Slow(0), resume=True)
    validated = trained(tmp_path / "whole", options)
    assert are_equal(validated, trained(tmp_path / "run", options, resume=True))
