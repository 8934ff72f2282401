"""Attention of a prompt in bfloat16 between quantised products."""

import pytest
import torch
from torch import Tensor

from palikit.compute import cpu_dtypes
from palikit.model.attention import attention, attention_reference
from palikit.model.gemma import DecoderAttention
from palikit.quantization import quantize
from palikit.quantization.attention import attention_in_half
from tests.quantization import made
from tests.quantization.made import relative_error

needs_bfloat16 = pytest.mark.skipif(
    torch.bfloat16 not in cpu_dtypes(), reason="this processor has no instructions for bfloat16"
)


def drawn(queries: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, 8, queries, 32), torch.randn(2, 4, 48, 32), torch.randn(2, 4, 48, 32)


@pytest.mark.parametrize("has_limits", [False, True])
def test_many_queries_are_near_the_floats(*, has_limits: bool) -> None:
    q, k, v = drawn(40)
    limits = torch.tensor([[48] * 40, [31] * 40]) if has_limits else None
    got = attention_in_half(q, k, v, limits, 0.2, 50.0)
    assert got.dtype == torch.float32
    assert 0 < relative_error(got, attention_reference(q, k, v, limits, 0.2, 50.0)) < 0.01


def test_a_step_stays_in_float32() -> None:
    q, k, v = drawn(1)
    expected = attention(q, k, v, None, 0.2, 50.0)
    assert torch.equal(attention_in_half(q, k, v, None, 0.2, 50.0), expected)


@needs_bfloat16
@pytest.mark.parametrize(("family", "expected"), [("paligemma", False), ("paligemma2", True)])
def test_only_capped_scores_are_worth_it(family: str, *, expected: bool) -> None:
    model = made.model(family)
    quantize(model, "int8")
    layers = [each for each in model.modules() if isinstance(each, DecoderAttention)]
    found = [layer.attention_function is attention_in_half for layer in layers]
    assert found == [expected] * len(layers)


def test_caps_in_half_precision_have_the_gradients_of_the_reference() -> None:
    q, k, v = (each.to(torch.bfloat16) for each in drawn(40))
    gradients = []
    for function in (attention, attention_reference):
        leaf = q.clone().requires_grad_()
        function(leaf, k, v, None, 0.2, 5.0).float().square().sum().backward()
        assert leaf.grad is not None
        gradients.append(leaf.grad.float())
    assert relative_error(*gradients) < 0.02
