"""Two processes that share a model compute what one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from palikit.errors import InputError
from palikit.model.tensor_parallel import join_processes
from tests import tiny
from tests.parallel.two_processes import computed

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
TIMEOUT_S = 300


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each of two processes found."""
    out = tmp_path_factory.mktemp("two")
    done = subprocess.run(
        [*TORCHRUN, ROOT / "tests" / "parallel" / "two_processes.py", out],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((out / f"found-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_two_processes_compute_what_one_does(two: list[dict], family: str) -> None:
    one = computed(family)
    for found in two:
        gap = torch.tensor(found[family]["logits"]) - torch.tensor(one["logits"])
        assert gap.abs().max() < 1e-5 * torch.tensor(one["logits"]).abs().max()
        assert found[family]["tokens"] == one["tokens"]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_both_processes_agree_to_the_last_bit(two: list[dict], family: str) -> None:
    assert two[0][family] == two[1][family]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_answers_are_those_of_one_process(two: list[dict], family: str) -> None:
    one = computed(family)
    for name in ("answers", "beams"):
        for ours, theirs in zip(two[0][family][name], one[name], strict=True):
            assert {**ours, "score": None, "result": None} == {
                **theirs,
                "score": None,
                "result": None,
            }
            assert ours["score"] == pytest.approx(theirs["score"], abs=1e-4)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_each_process_holds_half_of_the_layers(two: list[dict], family: str) -> None:
    part = two[0]["parts"][family]
    assert 0.5 <= part["share"] < 0.56
    assert part["config"]["num_attention_heads"] == 4
    assert part["config"]["num_key_value_heads"] == (1 if family == "paligemma" else 2)


def test_what_the_first_says_reaches_the_others_whatever_it_holds(two: list[dict]) -> None:
    assert [found["told"] for found in two] == ["a\udcffé猫"] * 2
    assert [found["nothing"] for found in two] == [""] * 2


def test_layers_that_are_no_linears_are_refused(two: list[dict]) -> None:
    assert "quantised weights cannot be cut" in two[0]["refusal"]


def test_a_process_alone_is_told_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(InputError, match="torchrun --nproc-per-node 2 -m palikit"):
        join_processes(2, "cpu")
