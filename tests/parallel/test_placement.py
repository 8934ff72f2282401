"""Layers over several devices: where they go, and that tokens find their way."""

import pytest
import torch

from palikit.errors import InputError
from palikit.generation import generate
from palikit.model.placement import Placement, Room, plan, plan_for, spread
from palikit.options import GenerationOptions
from tests import tiny

CPU, FIRST, SECOND = torch.device("cpu"), torch.device("cuda", 0), torch.device("cuda", 1)


def test_what_fits_on_the_first_device_is_not_spread() -> None:
    placed = plan(10, [5, 5], [Room(FIRST, 20), Room(SECOND, 20), Room(CPU, 99)])
    assert placed == Placement(FIRST, (FIRST, FIRST))
    assert not placed.is_spread


def test_layers_fill_the_devices_in_their_order() -> None:
    placed = plan(10, [5] * 6, [Room(FIRST, 21), Room(SECOND, 11), Room(CPU, 99)])
    assert placed == Placement(FIRST, (FIRST, FIRST, SECOND, SECOND, CPU, CPU))
    assert placed.is_spread


def test_a_device_that_is_full_is_not_come_back_to() -> None:
    placed = plan(1, [9, 1, 1], [Room(FIRST, 5), Room(SECOND, 20)])
    assert placed == Placement(FIRST, (SECOND, SECOND, SECOND))


def test_a_device_too_small_for_the_root_is_passed_over() -> None:
    assert plan(10, [5], [Room(FIRST, 9), Room(CPU, 20)]) == Placement(CPU, (CPU,))


def test_a_model_too_large_for_all_devices_is_refused_in_numbers() -> None:
    gib = 2**30
    with pytest.raises(InputError, match=r"takes 30\.0 GiB .* room for 24\.0 GiB"):
        plan(10 * gib, [10 * gib, 10 * gib], [Room(FIRST, 12 * gib), Room(CPU, 12 * gib)])


def test_a_model_is_counted_in_the_bytes_it_has() -> None:
    model = tiny.model()
    total = sum(weight.nbytes for weight in model.parameters())
    assert not plan_for(model, [Room(FIRST, total)]).is_spread
    assert plan_for(model, [Room(FIRST, total - 1), Room(CPU, total)]).layers[-1] == CPU
    assert not plan_for(model.half(), [Room(FIRST, total // 2)]).is_spread


def outcome(model, device: torch.device) -> tuple[torch.Tensor, list[list[int]]]:
    inputs = tiny.random_inputs([5, 9, 3], pictures=2).to(device)
    options = GenerationOptions(max_new_tokens=12)
    with torch.inference_mode():
        logits = model(inputs).cpu()
    written = generate(model, inputs, options)
    return logits, [[token.id for token in each.tokens] for each in written]


def devices_met(model) -> list[torch.device]:
    """Of the residual stream, in the order of the layers, in one run."""
    met: list[torch.device] = []
    for layer in model.language_model.layers:
        layer.mlp.register_forward_pre_hook(lambda _, given: met.append(given[0].device))
    outcome(model, model.device)
    return met[: len(model.language_model.layers)]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_spread_model_computes_what_a_whole_one_does(family: str) -> None:
    # Of one kind, and another to PyTorch: everything is handed over as between two.
    other = torch.device("cpu", 0)
    model = tiny.model(family)
    logits, tokens = outcome(tiny.model(family), CPU)
    spread(model, Placement(CPU, (CPU, other, other)))
    found, written = outcome(model, CPU)
    assert torch.equal(found, logits)
    assert written == tokens


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("layers", ["gcc", "ccg", "cgc", "ggg"])
def test_a_model_over_gpu_and_cpu_computes_what_one_on_the_cpu_does(
    family: str, layers: str
) -> None:
    model = tiny.model(family)
    logits, tokens = outcome(tiny.model(family), CPU)
    places = tuple(FIRST if each == "g" else CPU for each in layers)
    spread(model, Placement(FIRST, places))
    assert model.device == FIRST
    assert devices_met(model) == list(places)
    found, written = outcome(model, FIRST)
    torch.testing.assert_close(found, logits, atol=1e-3, rtol=1e-3)
    assert written == tokens
