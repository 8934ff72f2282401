"""A folder in nf4 is one that transformers loads with bitsandbytes, and computes the same with."""

from pathlib import Path

import pytest
import torch

import palikit
from palikit import quantize_checkpoint
from tests import tiny
from tests.parity.oracle import Oracle, load_oracle, relative_difference
from tests.quantization import made

pytestmark = [
    pytest.mark.parity,
    # Of bitsandbytes and transformers among themselves.
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module", params=["paligemma", "paligemma2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("bitsandbytes")
    pytest.importorskip("accelerate")
    place = tmp_path_factory.mktemp("nf4")
    return quantize_checkpoint(made.save(place / "model", request.param), "nf4", place / "held")


@pytest.fixture(scope="module")
def oracle(folder: Path) -> Oracle:
    return load_oracle(folder)


def test_transformers_holds_the_same_layers_in_4_bits(folder: Path, oracle: Oracle) -> None:
    theirs = [name for name, m in oracle.model.named_modules() if "Linear4bit" in type(m).__name__]
    assert len(theirs) == 7 * made.config().text_config.num_hidden_layers
    assert all("language_model" in name for name in theirs)


@torch.no_grad()
def test_logits_are_those_of_transformers(folder: Path, oracle: Oracle) -> None:
    ours = palikit.load(folder).model
    for module in oracle.model.modules():
        # On a CPU with bfloat16 instructions bitsandbytes would round scales and products.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    for seed in range(3):
        inputs = tiny.random_inputs([9], [5], seed=seed)
        assert relative_difference(ours(inputs), oracle.logits(inputs)) < 1e-4
