"""The same answers on a CUDA device as on the CPU."""

import pytest
import torch

from palikit import GenerationOptions, tasks
from palikit.predictor import Predictor
from palikit.processor import Processor
from tests import tiny

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
