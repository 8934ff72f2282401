"""The quick form of GELU is that function, and gradients have PyTorch's."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from palikit.model.activation import gelu


@pytest.fixture
def numbers() -> Tensor:
    spread = torch.randn(20_000, generator=torch.Generator().manual_seed(0)) * 4
    return torch.cat((spread, torch.tensor([0.0, -0.0, 1e-30, -1e-30, 60.0, -60.0, 1e4, -1e4])))


def test_gelu_without_gradients_is_the_same_function(numbers: Tensor) -> None:
    with torch.inference_mode():
        ours = gelu(numbers)
    exact = F.gelu(numbers.double(), approximate="tanh")
    torch.testing.assert_close(ours.double(), exact, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(numbers: Tensor, dtype: torch.dtype) -> None:
    few = numbers.clamp(-60, 60).to(dtype)
    many = few.repeat(4)
    with torch.inference_mode():
        assert torch.equal(gelu(few), F.gelu(few, approximate="tanh"))
        exact = F.gelu(many.double(), approximate="tanh")
        # Half a step, and what float32 loses where that is a tie.
        torch.testing.assert_close(
            gelu(many).double(), exact, rtol=0.5001 * torch.finfo(dtype).eps, atol=1e-6
        )


def test_gradients_are_those_of_the_function(numbers: Tensor) -> None:
    x = numbers.clamp(-8, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(gelu, (x[:20],))


def test_what_a_gelu_is_given_stays_as_it_was(numbers: Tensor) -> None:
    before = numbers.clone()
    with torch.inference_mode():
        gelu(numbers)
    assert torch.equal(numbers, before)
