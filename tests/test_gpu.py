"""The same answers on a CUDA device as on the CPU, and the same training."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from palikit import GenerationOptions, LossOptions, tasks
from palikit.predictor import Predictor
from palikit.processor import Processor
from palikit.training.batches import to_device
from palikit.training.loss import suffix_loss
from tests import tiny
from tests.training.toy import train, with_options

if TYPE_CHECKING:
    from palikit.training import StepFigures

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def on_gpu(family: str, dtype: torch.dtype = torch.float32) -> Predictor:
    model = tiny.model(family).to("cuda", dtype)
    return Predictor(model, Processor(tiny.tokenizer(), 28), name="tiny")


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("beams", [1, 3])
def test_answers_are_those_of_the_cpu(family: str, beams: int) -> None:
    pictures = [tiny.picture(seed) for seed in range(6)]
    options = GenerationOptions(max_new_tokens=24, num_beams=beams)
    there, here = on_gpu(family), tiny.predictor(family)
    for task in (tasks.caption(), tasks.detect("cat ; dog"), tasks.segment("cat")):
        got, expected = (p.ask(pictures, task, options) for p in (there, here))
        assert [each.text for each in got] == [each.text for each in expected]
        for one, other in zip(got, expected, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_runs(dtype: torch.dtype) -> None:
    predictor = on_gpu("paligemma2", dtype)
    assert predictor.detect(tiny.picture(), "cat").finish_reason in {"stop", "repeat", "length"}


def test_sampling_follows_the_seed() -> None:
    options = GenerationOptions(max_new_tokens=12, temperature=1.0, seed=5)
    first, second = (on_gpu("paligemma").caption(tiny.picture(), options=options) for _ in "ab")
    assert first.text == second.text


# Training


def losses(output: Path, device: str = "cuda", **changes: object) -> list[float]:
    """Of the six steps of a toy run, without dropout, whose random numbers differ by device."""
    figures: list[StepFigures] = []
    options = with_options(dropout=0.0, **changes)
    train(output, options, model=tiny.model().to(device), on_step=figures.append)
    return [each.loss for each in figures]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_loss_is_that_of_the_cpu(family: str) -> None:
    inputs = tiny.random_inputs([40, 31, 12], [20, 9, 11])
    found = []
    for device in ("cpu", "cuda"):
        model = tiny.model(family).to(device)
        loss = suffix_loss(model, to_device(inputs, torch.device(device)), LossOptions())
        loss.backward()
        gradient = model.language_model.layers[0].mlp.up_proj.weight.grad
        assert gradient is not None
        found.append((loss.item(), gradient.cpu()))
    (expected, slope), (got, got_slope) = found
    assert got == pytest.approx(expected, rel=1e-3)
    assert (got_slope - slope).norm() < 1e-2 * slope.norm()


def test_steps_are_those_of_the_cpu(tmp_path: Path) -> None:
    expected = losses(tmp_path / "cpu", "cpu")
    got = losses(tmp_path / "cuda", precision="float32")
    assert got == pytest.approx(expected, rel=2e-2)


@pytest.mark.parametrize(
    ("method", "optimizer"),
    [("full", "adamw"), ("lora", "adamw"), ("qlora", "adamw8bit"), ("frozen_tower", "adafactor")],
)
def test_training_in_bfloat16_lowers_the_loss(tmp_path: Path, method: str, optimizer: str) -> None:
    found = losses(
        tmp_path / "run", method=method, optimizer=optimizer, steps=30, schedule="constant"
    )
    assert sum(found[-3:]) < sum(found[:3])
    assert (tmp_path / "run" / "best").is_dir()


def test_a_resumed_run_on_the_gpu_goes_on(tmp_path: Path) -> None:
    options = with_options(method="qlora", optimizer="adamw8bit")
    train(tmp_path / "run", options, model=tiny.model().to("cuda"))
    folder = tmp_path / "run" / "checkpoints"
    latest = (tmp_path / "run" / "latest.json").read_text()
    (tmp_path / "run" / "latest.json").write_text(latest.replace("000006", "000003"))
    assert len(list(folder.iterdir())) == 2
    result = train(tmp_path / "run", options, model=tiny.model().to("cuda"), resume=True)
    assert (result.ending, result.step) == ("finished", 6)


def test_computing_activations_twice_changes_no_loss(tmp_path: Path) -> None:
    plain = losses(tmp_path / "plain", precision="float32")
    twice = losses(tmp_path / "twice", precision="float32", gradient_checkpointing=True)
    assert twice == pytest.approx(plain, rel=1e-3)


def test_kept_features_change_no_loss(tmp_path: Path) -> None:
    """In bfloat16, in which they are kept too."""
    from palikit.data.rows import Row
    from palikit.training import RowExamples

    rows = []
    for n in range(5):
        tiny.picture(n).save(tmp_path / f"{n}.png")
        rows.append(Row((tmp_path / f"{n}.png",), "cat", ("dog " * (n % 3 + 1),)))
    found = {}
    for keeps in (False, True):
        figures: list[StepFigures] = []
        train(
            tmp_path / f"run{keeps}",
            with_options(method="frozen_tower", cache_features=keeps, dropout=0.0),
            model=tiny.model().to("cuda"),
            examples=RowExamples(rows),
            on_step=figures.append,
        )
        found[keeps] = [each.loss for each in figures]
    assert found[True] == pytest.approx(found[False], rel=1e-2)
