"""The kernel for long prompts, traced as for a GPU and run uncompiled, against the obvious form."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from palikit.generation import allocate_cache
from palikit.model.attention import attention, attention_reference, prefix_limits
from palikit.model.fused_attention import MIN_SCORES, FusedAttention, Kernel
from tests import tiny

CLOSE = 1e-3


class Traced:
    """In the place of `compiled`: follows the function for all lengths alike, and counts."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, kernel: Kernel) -> Kernel:
        def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
            self.times += 1
            return graph

        return torch.compile(kernel, dynamic=True, fullgraph=True, backend=backend)


@pytest.fixture(scope="module")
def traced() -> Traced:
    return Traced()


@pytest.fixture(scope="module")
def fused(traced: Traced) -> FusedAttention:
    return FusedAttention(traced)


def case(B: int, S: int, *, heads: int, masked: bool) -> tuple[Tensor, ...]:
    """Queries, keys, values and limits; keys and values lie in a cache with room for more."""
    q = torch.randn(B, S, 4, 16).transpose(1, 2) * 3
    k, v = torch.randn(2, B, heads, S + 24, 16)[..., :S, :]
    lengths = torch.randint(3, S - 2, (B,))
    limits = prefix_limits(lengths - 1, lengths, 2, S)
    return q, k, v, limits if masked else None


@pytest.mark.parametrize(("softcap", "heads", "scale"), [(5.0, 2, 0.3), (None, 1, 0.25)])
@torch.inference_mode()
def test_it_equals_the_obvious_form_without_a_compilation_a_length(
    softcap: float | None, heads: int, scale: float, fused: FusedAttention, traced: Traced
) -> None:
    counts = []
    for B, S, masked in [
        (3, 20, True),
        (5, 31, True),
        (6, 57, False),
        (1, 40, False),
        (1, 9, True),
    ]:
        q, k, v, limits = case(B, S, heads=heads, masked=masked)
        got = fused(q, k, v, limits, scale, softcap)
        expected = attention_reference(q, k, v, limits, scale, softcap)
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
        counts.append(traced.times)
    more = [after - before for before, after in pairwise(counts)]
    assert more == [0, 0, 1, 0]  # a batch of one is another kernel


@pytest.mark.parametrize("family", ["paligemma", "paligemma2"])
@torch.inference_mode()
def test_a_model_with_it_computes_the_same(family: str, fused: FusedAttention) -> None:
    """With padding, with suffixes, and where only the last token is read."""

    def fused_where_several(q: Tensor, *rest) -> Tensor:
        found = fused(q, *rest) if q.shape[1] == 8 and q.shape[2] > 1 else attention(q, *rest)
        assert found is not None
        return found

    slow = tiny.model(family, attention_function=attention_reference)
    fast = tiny.model(family, attention_function=fused_where_several)
    batch = tiny.random_inputs([9, 6, 7], [5, 6, 3])
    got, expected = fast(batch), slow(batch)
    for b, length in enumerate([9, 6, 7]):
        torch.testing.assert_close(got[b, :length], expected[b, :length], atol=CLOSE, rtol=0)
    prompts = tiny.random_inputs([9, 6, 7])
    hidden = [model.prefill(prompts, allocate_cache(model, prompts, 1)) for model in (fast, slow)]
    torch.testing.assert_close(*hidden, atol=CLOSE, rtol=0)


def test_where_it_cannot_be_compiled_there_is_one_warning_and_then_silence() -> None:
    def refuse(kernel: Kernel) -> Kernel:
        raise ModuleNotFoundError("No module named 'triton'")

    fused = FusedAttention(refuse)
    q, k, v, limits = case(2, 12, heads=2, masked=True)
    with pytest.warns(RuntimeWarning, match="No module named 'triton'"):
        assert fused(q, k, v, limits, 0.3, 5.0) is None
    assert fused.is_off
    assert not fused.suits(q, k)


class Stub:
    """Suits every call, and gives an answer or none."""

    def __init__(self, answer: Tensor | None) -> None:
        self.answer = answer

    def suits(self, q: Tensor, k: Tensor) -> bool:
        return True

    def __call__(self, *arguments: object) -> Tensor | None:
        return self.answer


def test_attention_takes_it_where_it_suits_and_goes_on_where_it_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    q, k, v, limits = case(2, 12, heads=2, masked=True)
    expected = attention(q, k, v, limits, 0.3, 5.0)
    monkeypatch.setattr("palikit.model.attention.FUSED", Stub(None))
    assert torch.equal(attention(q, k, v, limits, 0.3, 5.0), expected)
    monkeypatch.setattr("palikit.model.attention.FUSED", Stub(q))
    assert attention(q, k, v, limits, 0.3, 5.0) is q


def test_it_does_not_suit_the_cpu_or_short_prompts() -> None:
    with torch.inference_mode():
        assert not FusedAttention().suits(*torch.zeros(2, 1, 8, 1100, 1, dtype=torch.bfloat16))
        assert MIN_SCORES > 8 * 300**2
