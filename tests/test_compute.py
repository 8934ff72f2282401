"""What a model is computed in, by what the processor can do."""

from functools import partial
from pathlib import Path

import pytest
import torch

import palikit
from palikit import compute
from palikit.compute import compute_dtype, cpu_dtypes, has_integer_products
from palikit.quantization import int8
from palikit.quantization.layers import activation_dtype
from tests import tiny
from tests.parity.oracle import save_tiny
from tests.tiny import random_inputs

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
F32, BF16, F16 = torch.float32, torch.bfloat16, torch.float16


def can(monkeypatch: pytest.MonkeyPatch, **abilities: bool) -> None:
    """A processor of these abilities and no others."""
    for name in ("avx512_bf16", "amx_tile", "amx_fp16", "vnni"):
        has = partial(abilities.get, name, False)
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", has)
    monkeypatch.setattr(compute, "_arm_has_bf16", lambda: abilities.get("arm", False))


def test_a_processor_without_half_precision_computes_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    can(monkeypatch)
    assert cpu_dtypes() == (F32,)
    assert [compute_dtype(stored, CPU) for stored in (F32, BF16, F16)] == [F32, F32, F32]


@pytest.mark.parametrize("ability", ["avx512_bf16", "amx_tile", "arm"])
def test_bfloat16_is_kept_where_there_are_instructions_for_it(
    ability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    can(monkeypatch, **{ability: True})
    assert [compute_dtype(stored, CPU) for stored in (F32, BF16, F16)] == [F32, BF16, F32]


def test_float16_is_kept_where_there_are_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    can(monkeypatch, amx_tile=True, amx_fp16=True)
    assert compute_dtype(F16, CPU) == F16


def test_what_an_accelerator_holds_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    can(monkeypatch)
    assert [compute_dtype(stored, CUDA) for stored in (F32, BF16, F16)] == [F32, BF16, F16]


def test_products_of_whole_numbers_need_their_instructions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for has in (True, False):
        can(monkeypatch, vnni=has)
        assert has_integer_products() == int8.computes_in_integers(CPU) == has


def test_activations_between_quantised_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    can(monkeypatch)
    assert activation_dtype("int8", BF16, CPU) == activation_dtype("nf4", BF16, CPU) == F32
    can(monkeypatch, avx512_bf16=True)
    assert activation_dtype("int8", BF16, CPU) == F32
    assert activation_dtype("nf4", BF16, CPU) == BF16
    assert activation_dtype("int8", F32, CUDA) == BF16
    assert activation_dtype("fp8", F16, CUDA) == F16


@pytest.mark.parametrize(("abilities", "held"), [({}, F32), ({"avx512_bf16": True}, BF16)])
def test_a_bfloat16_checkpoint_is_held_in_what_the_processor_can_do(
    abilities: dict[str, bool], held: torch.dtype, tmp_path: Path, monkeypatch
) -> None:
    can(monkeypatch, **abilities)
    folder = save_tiny(tmp_path / "model", tiny.model().to(BF16))
    loaded = palikit.load(folder)
    assert (loaded.model.dtype, loaded.stored_dtype) == (held, BF16)
    assert palikit.load(folder, dtype="bfloat16").model.dtype == BF16
    assert palikit.load(folder, dtype="float32").model.dtype == F32


def test_widened_weights_are_the_stored_ones(tmp_path: Path, monkeypatch) -> None:
    can(monkeypatch)
    folder = save_tiny(tmp_path / "model", tiny.model().to(BF16))
    wide, stored = palikit.load(folder).model, palikit.load(folder, dtype="bfloat16").model
    for name, weight in wide.named_parameters():
        assert torch.equal(weight, stored.get_parameter(name).float()), name
    inputs = random_inputs([5])
    with torch.no_grad():
        assert torch.equal(wide(inputs), palikit.load(folder, dtype="float32").model(inputs))


@pytest.mark.parametrize(
    ("machine", "text", "expected"),
    [
        ("aarch64", "Features\t: fp asimd bf16 i8mm\n", True),
        ("aarch64", "Features\t: fp asimd\n", False),
        ("x86_64", "Features\t: bf16\n", False),
        ("arm64", None, False),
    ],
)
def test_arm_says_in_a_file_what_it_can_do(
    machine: str, text: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, **_: object) -> str:
        if text is None:
            raise FileNotFoundError(path)
        return text

    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", read)
    assert compute._arm_has_bf16() == expected
