"""What loading a small model does not wait for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from palikit.model.embedding import embedding
from palikit.model.mask_codec import MaskCodec, save_mask_codec
from tests import tiny
from tests.parity.oracle import save_tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = save_tiny(tmp_path_factory.mktemp("start") / "model", tiny.model())
    save_mask_codec(MaskCodec(), made / "vae-oid.npz")
    return made


SLOW = {
    *("torch._dynamo", "sympy", "huggingface_hub", "transformers", "peft", "bitsandbytes"),
    *("PIL.ImageFont", "palikit.drawing", "palikit.quantization"),
}


def imported_by(program: str, *arguments: object) -> set[str]:
    """What of `SLOW` a program of its own has imported at its end."""
    program += f"\nimport sys; print(*sorted({SLOW} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
    )
    return set(done.stdout.split())


def test_a_local_model_is_loaded_without_the_compiler_and_without_the_hub(folder: Path) -> None:
    load = "import sys, palikit; assert palikit.load(sys.argv[1], device='cpu').mask_codec"
    assert imported_by(load, folder) == set()


def test_a_question_on_the_command_line_waits_for_neither(folder: Path, tmp_path: Path) -> None:
    tiny.picture().save(tmp_path / "a.png")
    ask = (
        "import sys; from palikit.cli import main\n"
        "main(['caption', *sys.argv[1:], '--max-new-tokens', '2', '--format', 'json',"
        " '--output', sys.argv[1] + '.json', '--quiet'], standalone_mode=False)"
    )
    assert imported_by(ask, tmp_path / "a.png", "--model", folder, "--device", "cpu") == set()


def test_a_local_model_is_inspected_without_the_hub(folder: Path) -> None:
    inspect = (
        "import sys, contextlib, io; from palikit.checkpoints import inspect_model\n"
        "assert inspect_model(sys.argv[1]).complete"
    )
    assert "huggingface_hub" not in imported_by(inspect, folder)


def test_an_embedding_begins_as_that_of_torch() -> None:
    torch.manual_seed(3)
    expected = torch.nn.Embedding(20, 16).weight
    torch.manual_seed(3)
    made = embedding(20, 16)
    assert torch.equal(made.weight, expected)
    assert made.weight.requires_grad
    with torch.device("meta"):
        assert embedding(20, 16).weight.is_meta
