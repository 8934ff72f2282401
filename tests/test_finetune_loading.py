"""In what a model waits on the host for the device that it is trained on."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from palikit.cli.finetune import _held
from palikit.options import LoadOptions
from tests import tiny
from tests.parity.oracle import save_tiny


def held(folder: Path, **loading: Any) -> LoadOptions:
    options = SimpleNamespace(loading=LoadOptions(**loading), train=SimpleNamespace(method="qlora"))
    together = SimpleNamespace(device=lambda _name, _method: "cpu", own_device=lambda name: name)
    return _held(options, str(folder), together)  # type: ignore[arg-type]


def test_what_the_host_computes_in_says_nothing_of_what_a_gpu_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_tiny(tmp_path / "model", tiny.model().bfloat16())
    assert (held(folder).dtype, held(folder).device) == ("auto", "cpu")
    monkeypatch.setattr("palikit.loading.pick_device", torch.device)
    given = held(folder, device="cuda")
    assert (given.dtype, given.device) == ("bfloat16", "cpu")
    assert held(folder, device="cuda", dtype="float32").dtype == "float32"
