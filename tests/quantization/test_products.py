"""Products of quantised weights, against products of floats computed apart."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from palikit.quantization import int4, int8
from palikit.quantization.fp8 import fp8_linear, fp8_product, quantize_fp8
from palikit.quantization.int4 import dequantize_groups, fits_int4, int4_linear, quantize_groups
from palikit.quantization.int8 import (
    Int8Table,
    int8_linear,
    int8_product,
    int8_product_reference,
    quantize_rows,
)
from palikit.quantization.linear import QuantizedLinear
from tests.quantization.made import CPU, relative_error

needs_integers = pytest.mark.skipif(
    not int8.computes_in_integers(CPU), reason="this processor has no products of whole numbers"
)


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(dtype)


def layers(weight: Tensor, bias: Tensor | None = None) -> dict[str, QuantizedLinear]:
    return {
        "int8": int8_linear(*quantize_rows(weight), bias),
        "int4": int4_linear(*quantize_groups(weight), bias),
        "fp8": fp8_linear(*quantize_fp8(weight), bias),
    }


# What a weight is rounded to


@given(st.integers(1, 9), st.integers(1, 70), st.floats(-30, 30), st.integers(0, 10**6))
def test_an_int8_weight_is_off_by_half_a_step_at_most(
    rows: int, width: int, exponent: float, seed: int
) -> None:
    weight = numbers(rows, width, seed=seed) * 10**exponent
    held, scale = quantize_rows(weight)
    back = held.double() * scale.double()[:, None]
    assert held.abs().max() == 127
    assert bool(((back - weight).abs() <= 0.5001 * scale.double()[:, None]).all())


@given(st.integers(1, 5), st.integers(1, 3), st.floats(-3, 3), st.integers(0, 10**6))
def test_an_int4_weight_is_off_by_little_more_than_half_a_level(
    rows: int, groups: int, offset: float, seed: int
) -> None:
    weight = numbers(rows, 64 * groups, seed=seed) + offset
    back = dequantize_groups(*quantize_groups(weight))
    by_group = weight.reshape(rows, groups, 64)
    level = (by_group.amax(2) - by_group.amin(2)) / 15
    off = (back - weight).reshape(rows, groups, 64).abs().amax(2)
    # The scale and the middle are stored in bfloat16, which moves the outer levels.
    slack = 2**-8 * (8 * level + by_group.abs().amax(2) + 8 * level)
    assert bool((off <= 0.5 * level + slack).all())


@given(st.floats(-20, 20), st.integers(0, 10**6))
def test_an_fp8_weight_keeps_its_leading_digits(exponent: float, seed: int) -> None:
    weight = numbers(4, 33, seed=seed) * 10**exponent
    held, scale = quantize_fp8(weight)
    back = held.double() * scale.double()[:, None]
    # Three bits of mantissa, and below the smallest normal number an even grid.
    allowed = weight.double().abs() * 2**-4 + scale.double()[:, None] * 2**-10
    assert back.isfinite().all()
    assert bool(((back - weight).abs() <= 1.001 * allowed).all())


def test_matrices_that_cannot_be_grouped_are_not_held_in_4_bits() -> None:
    assert fits_int4((7, 128))
    assert not fits_int4((128, 72))


# Products


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rows", [1, 2, 17, 300])
def test_products_are_near_those_of_floats(rows: int, dtype: torch.dtype) -> None:
    weight, bias = numbers(96, 256, seed=1), numbers(96, seed=2)
    x = numbers(rows, 256, seed=3, dtype=dtype)
    expected = x.double() @ weight.double().t() + bias.double()
    for form, most in (("int8", 0.015), ("int4", 0.12), ("fp8", 0.04)):
        got = layers(weight, bias.to(dtype))[form](x)
        assert got.dtype == dtype
        assert relative_error(got, expected) < most, form


def test_axes_before_the_last_are_kept() -> None:
    weight, x = numbers(24, 64), numbers(2, 3, 5, 64, seed=1)
    for form, layer in layers(weight).items():
        got = layer(x)
        assert got.shape == (2, 3, 5, 24), form
        assert torch.equal(got.flatten(0, 2), layer(x.flatten(0, 2))), form


def test_rows_of_zeros_give_zeros() -> None:
    weight, x = numbers(24, 64), numbers(5, 64, seed=1)
    weight[3], x[2] = 0, 0
    for form, layer in layers(weight).items():
        got = layer(x)
        assert got.isfinite().all(), form
        assert not got[2].any(), form
        # 4 bits have no exact zero beside a middle; theirs is as small as the smallest scale.
        assert got[:, 3].abs().max() < 1e-4, form


def test_an_outlier_costs_its_own_row_alone() -> None:
    weight, x = numbers(48, 256), numbers(4, 256, seed=1)
    expected = x @ weight.t()
    x[1, 7], weight[5, 9] = 1e5, 1e4
    exact = x.double() @ weight.double().t()
    for form, most in (("int8", 0.015), ("int4", 0.12), ("fp8", 0.04)):
        got = layers(weight)[form](x)
        others = [row for row in range(48) if row != 5]
        for row in (0, 2, 3):
            assert relative_error(got[row, others], expected[row, others]) < most, form
        assert relative_error(got[1, others], exact[1, others]) < most, form


def test_products_of_half_precision_do_not_overflow_on_their_way() -> None:
    """Whole numbers up to 127 times large activations add up to more than float16 holds."""
    weight = torch.full((8, 2048), 0.01)
    x = torch.full((2, 2048), 20.0, dtype=torch.float16)
    for product, held in (
        (int8_product_reference, quantize_rows(weight)),
        (fp8_product, quantize_fp8(weight)),
    ):
        got = product(x, *held)
        assert relative_error(got, torch.full((2, 8), 0.01 * 20 * 2048)) < 2e-3


@needs_integers
@pytest.mark.parametrize("rows", [1, 3, 64])
def test_whole_numbers_differ_from_floats_by_the_rounding_of_activations(rows: int) -> None:
    weight, x = numbers(40, 320, seed=1), numbers(rows, 320, seed=2)
    held, scale = quantize_rows(weight)
    exact = int8_product_reference(x, held, scale)
    step = x.abs().amax(1, keepdim=True) / 127
    # Every activation is off by half a step at most, every product by that times its weight.
    most = 0.5 * step * (held.float().abs().sum(1) * scale)
    off = (int8_product(x, held, scale) - exact).abs()
    assert bool((off <= 1.001 * most).all())
    # Activations that are whole steps already lose nothing.
    whole = (x / step).round() * step
    again = int8_product(whole, held, scale)
    torch.testing.assert_close(again, int8_product_reference(whole, held, scale))


def test_a_processor_without_whole_numbers_multiplies_floats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(int8, "has_integer_products", lambda: False)
    weight, x = numbers(40, 320, seed=1), numbers(3, 320, seed=2)
    held, scale = quantize_rows(weight)
    expected = x.double() @ (held.double() * scale.double()[:, None]).t()
    assert relative_error(int8_product(x, held, scale), expected) < 1e-6
    monkeypatch.setattr(int8, "_BLOCK", 1000)  # several blocks of outputs
    assert relative_error(int8_product(x, held, scale), expected) < 1e-6


def test_a_table_is_rounded_a_block_of_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = numbers(37, 64).to(torch.bfloat16)
    whole = quantize_rows(weight)
    monkeypatch.setattr(int8, "_BLOCK", 5 * 64)
    assert all(map(torch.equal, quantize_rows(weight), whole))
    assert whole[0].abs().amax(dim=1).eq(127).all()


@pytest.mark.parametrize(("capability", "has"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_4_bits_are_multiplied_where_pytorch_has_code_for_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], *, has: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert int4._has_kernel(torch.device("cuda")) is has
    assert not int4._has_kernel(CPU)


@needs_integers
def test_a_row_does_not_depend_on_its_neighbours() -> None:
    """Bit for bit: an answer must be the same alone and in a batch."""
    weight, x = numbers(72, 320, seed=1), numbers(37, 320, seed=2)
    x[5] *= 1e4
    layer = layers(weight)["int8"]
    together = layer(x)
    for row in (0, 4, 5, 6, 36):
        assert torch.equal(layer(x[row : row + 1])[0], together[row])
    assert torch.equal(layer(x[3:20]), together[3:20])


@pytest.mark.parametrize("form", ["int8", "int4", "fp8"])
@pytest.mark.parametrize("rows", [1, 5, 70])
def test_a_gate_is_the_gelu_of_one_half_times_the_other(
    monkeypatch: pytest.MonkeyPatch, form: str, rows: int
) -> None:
    monkeypatch.setattr(int8, "_GATED_OUTPUTS", 96)  # 160 outputs are two blocks
    layer, x = layers(numbers(320, 128, seed=1))[form], numbers(rows, 2, 128, seed=2)
    gate, up = layer(x).chunk(2, dim=-1)
    expected = torch.nn.functional.gelu(gate, approximate="tanh") * up
    assert layer.gated(x).shape == (rows, 2, 160)
    assert relative_error(layer.gated(x), expected) < 1e-6


@needs_integers
@pytest.mark.parametrize("is_refused", [False, True])
def test_few_rows_are_multiplied_by_the_weights_that_are_there(
    monkeypatch: pytest.MonkeyPatch, is_refused: bool
) -> None:
    """Sums of the weights are kept, and must not outlive them."""
    multiply, seen = torch._int_mm, set()

    def watched(left: Tensor, right: Tensor, **out: Tensor) -> Tensor:
        if is_refused and left.dtype == torch.uint8:
            raise RuntimeError("a PyTorch that knows signed numbers alone")
        seen.add(left.dtype)
        return multiply(left, right, **out)

    monkeypatch.setattr(torch, "_int_mm", watched)
    takes = cache(int8._takes_positive_numbers.__wrapped__)  # asked anew
    monkeypatch.setattr(int8, "_takes_positive_numbers", takes)
    monkeypatch.setattr(int8, "_CACHED_WEIGHTS", 17 * 320)  # a block of 17 outputs
    product = int8.Int8Product()
    for seed, rows in ((1, 1), (1, 2), (3, 1), (3, 3), (3, 4)):
        x = numbers(rows, 320, seed=2) + 1
        held, scale = quantize_rows(numbers(40, 320, seed=seed) + 1)
        assert torch.equal(product(x, held, scale), int8_product(x, held, scale))
    assert is_refused or torch.uint8 in seen


@needs_integers
@pytest.mark.parametrize("rows", [133, 260, 264, 265, 396])
def test_rows_in_parts_give_the_sums_of_all_at_once(rows: int) -> None:
    x = torch.randint(-127, 128, (rows, 96), dtype=torch.int8)
    weight = torch.randint(-127, 128, (80, 96), dtype=torch.int8)
    assert torch.equal(int8._in_parts(x, weight), torch.mm(x.int(), weight.int().t()))


@needs_integers
@pytest.mark.parametrize("rows", [132, 133, 396, 397])
def test_an_answer_does_not_depend_on_the_way_that_was_quicker(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    x, (weight, scale) = numbers(rows, 96), quantize_rows(numbers(80, 96, seed=1))
    answers, taken = [], []
    for way in (int8._at_once, int8._in_parts):

        def noted(*of: Tensor, way: Callable[[Tensor, Tensor], Tensor] = way) -> Tensor:
            taken.append(way)
            return way(*of)

        monkeypatch.setattr(int8, "_QUICKER", noted)
        answers.append(int8_product(x, weight, scale))
    assert torch.equal(*answers)
    assert len(taken) == (2 if 132 < rows <= 396 else 0)


# The table of embeddings


def test_scores_of_some_tokens_are_those_of_the_whole_table() -> None:
    table = Int8Table(*quantize_rows(numbers(500, 128, seed=1)), torch.float32)
    hidden = numbers(2, 3, 128, seed=2)
    ids = torch.tensor([499, 0, 7, 7, 123])
    some, every = table.scores_of(hidden, ids), table.scores(hidden)
    assert some.shape == (2, 3, 5)
    assert some.dtype == every.dtype == torch.float32
    # One rounds the activations and the other does not.
    assert relative_error(some, every[..., ids]) < 0.012
    exact = hidden.double() @ (table.weight.double() * table.scale.double()[:, None]).t()
    assert relative_error(some, exact[..., ids]) < 1e-6
    neighbours = table.scores_of(hidden, slice(7, 90))
    assert relative_error(neighbours, exact[..., 7:90]) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_of_the_table_are_looked_up(dtype: torch.dtype) -> None:
    rows = numbers(50, 128, seed=1)
    table = Int8Table(*quantize_rows(rows), dtype)
    ids = torch.tensor([[3, 49], [0, 3]])
    found = table(ids)
    assert found.dtype == dtype
    assert relative_error(found, rows[ids]) < 0.01
    assert torch.equal(found[0, 0], found[1, 1])
