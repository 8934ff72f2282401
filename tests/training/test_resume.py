"""A run that was stopped and resumed ends with the very weights of one that was not."""

import os
import signal
from pathlib import Path

import pytest

from palikit.errors import InputError
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
    options, lora = with_options(method=method), LoraOptions(lora_dropout=0.1)
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
