"""A device that learns a base of 4 bits never holds the float one."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from torch import nn

from palikit import quantization
from palikit.cli.finetune_processes import Together
from palikit.quantization import nf4
from palikit.train_options import LossOptions
from palikit.training.loss import TrainingModel
from palikit.training.processes import OneProcess
from palikit.training.setup import make_learner
from tests import tiny
from tests.training.toy import are_equal, trained, with_options

QLORA = with_options(method="qlora")
TARGET = torch.device("meta")
"""Stands for a GPU; nothing is really moved there."""


def float_matrices(module: nn.Module) -> list[str]:
    """Names of the decoder's own matrices that are not in 4 bits."""
    return [
        name
        for name, weight in module.named_parameters()
        if ".layers." in name
        and "language_model" in name
        and weight.ndim == 2
        and weight.dtype != torch.uint8
        and ".lora_" not in name
    ]


def test_what_is_moved_to_the_device_as_a_whole_has_its_layers_in_four_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed_on: list[torch.device | None] = []
    moved: list[tuple[torch.device, list[str]]] = []
    quantize = quantization.quantize_base_nf4

    def packing(model, *, compute_dtype, device):
        packed_on.append(device)
        assert model.device.type == "cpu"
        return quantize(model, compute_dtype=compute_dtype)

    def moving(self, device):
        moved.append((device, float_matrices(self)))
        return self

    monkeypatch.setattr(quantization, "quantize_base_nf4", packing)
    monkeypatch.setattr(TrainingModel, "to", moving)
    assert float_matrices(tiny.model())
    make_learner(tiny.model(), QLORA, LossOptions(), None, OneProcess(TARGET))
    assert packed_on == [TARGET]
    assert moved == [(TARGET, [])]


def test_layers_are_packed_one_by_one_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that reaches the device before the model is moved is in 4 bits, or a bias."""
    made: list[tuple[str, torch.device | None]] = []
    packed = nf4._packed

    def packing(model, name, dtype, device, *, nested):
        made.append((name, device))
        return packed(model, name, dtype, torch.device("cpu"), nested=nested)

    monkeypatch.setattr(nf4, "_packed", packing)
    monkeypatch.setattr(TrainingModel, "to", lambda self, _: self)
    model = tiny.model()
    names = [name for name, each in model.named_modules() if isinstance(each, nn.Linear)]
    make_learner(model, QLORA, LossOptions(), None, OneProcess(TARGET))
    decoder = [name for name in names if name.startswith("language_model")]
    assert made == [(name, TARGET) for name in decoder]


def test_the_command_loads_such_a_base_on_the_host() -> None:
    alone = Together(None, ExitStack())
    assert alone.device("cuda", "qlora") == "cpu"
    assert alone.device("cuda", "lora") == "cuda"
    assert alone.processes("cpu").device(tiny.model()) == torch.device("cpu")


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_a_device_that_is_named_changes_nothing(tmp_path: Path, method: str) -> None:
    options = with_options(method=method)
    named = OneProcess(torch.device("cpu"))
    model = trained(tmp_path / "named", options, processes=named)
    assert are_equal(model, trained(tmp_path / "alone", options))
