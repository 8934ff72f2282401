"""The same answers on a CUDA device as on the CPU, and the same training."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from palikit import GenerationOptions, LossOptions, tasks
from palikit.choosing import likeliest
from palikit.model.attention import attention_reference, prefix_limits
from palikit.model.decode_graph import Capturer
from palikit.model.fused_attention import FUSED
from palikit.model.lanes import lanes_of
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


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("num_pictures", [1, 5])
def test_captured_steps_write_what_plain_ones_write(
    family: str, num_pictures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second round nothing is captured any more: caches and steps are those of the first."""
    predictor = on_gpu(family)
    pictures = [tiny.picture(seed) for seed in range(num_pictures)]
    options = GenerationOptions(max_new_tokens=40)
    asked = (tasks.caption(), tasks.detect("big dog"), tasks.segment("cat"))
    rounds = [[predictor.ask(pictures, task, options) for task in asked] for _ in "ab"]
    lanes = lanes_of(predictor.model)
    assert lanes is not None
    assert not lanes.capturer.is_off
    assert {width for lane in lanes.kept for width, _ in lane.steps} > {1}
    monkeypatch.setattr("palikit.generation.lanes_of", lambda model: None)
    expected = [predictor.ask(pictures, task, options) for task in asked]
    for found in rounds:
        for got, plain in zip(found, expected, strict=True):
            assert [each.text for each in got] == [each.text for each in plain]
            for one, other in zip(got, plain, strict=True):
                assert one.score == pytest.approx(other.score, abs=1e-3)


def test_a_text_is_streamed_while_another_is_written() -> None:
    predictor, options = on_gpu("paligemma2"), GenerationOptions(max_new_tokens=20)
    whole = "".join(predictor.stream(tiny.picture(1), tasks.caption(), options=options))
    pieces = predictor.stream(tiny.picture(1), tasks.caption(), options=options)
    first = next(pieces)
    predictor.caption(tiny.picture(2), options=options)
    assert first + "".join(pieces) == whole


def test_a_failed_capture_leaves_the_device_as_it_was() -> None:
    stream = torch.cuda.current_stream()

    def waits() -> torch.Tensor:
        values = torch.ones(3, device="cuda")
        if torch.cuda.is_current_stream_capturing():
            values.tolist()  # which no capture allows
        return values

    capturer = Capturer()
    with pytest.warns(RuntimeWarning, match="cannot be captured"):
        assert capturer(waits, torch.device("cuda", torch.cuda.current_device())) is None
    assert torch.cuda.current_stream() == stream
    assert torch.ones(3, device="cuda").sum().item() == 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("batch_size", "kv_heads", "softcap"), [(1, 4, 50.0), (3, 1, None)])
@torch.inference_mode()
def test_the_fused_kernel_for_long_prompts_equals_the_obvious_form(
    dtype: torch.dtype, batch_size: int, kv_heads: int, softcap: float | None
) -> None:
    for length in (1040, 1163):
        shape = (batch_size, length, 8, 256)
        q = torch.randn(shape, device="cuda").to(dtype).transpose(1, 2)
        k, v = torch.randn(2, batch_size, kv_heads, length + 200, 256, device="cuda").to(dtype)
        k, v = k[:, :, :length], v[:, :, :length]
        ends = torch.randint(900, length, (batch_size,), device="cuda")
        limits = prefix_limits(ends - 840, ends - 800, 800, length)
        assert FUSED.suits(q, k)
        got = FUSED(q, k, v, limits, 256**-0.5, softcap)
        expected = attention_reference(q, k, v, limits, 256**-0.5, softcap)
        torch.testing.assert_close(got, expected, atol=1e-2, rtol=2e-2)


def test_the_likeliest_token_is_that_of_the_cpu() -> None:
    logits = torch.randn(4, 257_152)
    logits[2, [5, 200_000]] = 40.0
    for (there, chance), (here, expected) in zip(
        likeliest(logits.cuda()), likeliest(logits), strict=True
    ):
        assert there == here
        assert chance == pytest.approx(expected, abs=1e-5)


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
