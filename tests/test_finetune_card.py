"""The licence on the card of a finished model."""

import shutil
from pathlib import Path

import pytest

from palikit.adapters.lora import add_lora
from palikit.adapters.saving import save_adapter
from palikit.checkpoints import save_checkpoint
from palikit.cli.finetune_card import license_of
from palikit.published import BUILT_IN, BUILT_IN_FOLDER
from palikit.train_options import LoraOptions
from tests import tiny


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    """A model that is not the built-in one."""
    save_checkpoint(tiny.model(), tmp_path / "tuned", tokenizer_file=None)
    return tmp_path / "tuned"


def test_what_was_tuned_from_the_built_in_model_keeps_its_licence(tmp_path: Path) -> None:
    assert license_of(BUILT_IN) == "apache-2.0"
    shutil.copytree(BUILT_IN_FOLDER, tmp_path / "best")
    assert license_of(str(tmp_path / "best")) == "apache-2.0"


def test_an_adapter_has_the_licence_of_its_base(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    model = tiny.model()
    add_lora(model, LoraOptions())
    save_adapter(model, tmp_path / "best", BUILT_IN)
    assert license_of(str(tmp_path / "best")) == "apache-2.0"


@pytest.mark.parametrize(
    ("head", "license_id"),
    [
        ('license: "mit"', "mit"),
        ("tags:\n- a\nlicense: apache-2.0", "apache-2.0"),
        ("tags:\n- a", "gemma"),
        ("", "gemma"),
    ],
)
def test_other_models_have_the_licence_that_their_card_states(
    tuned: Path, head: str, license_id: str
) -> None:
    card = tuned / "README.md"
    card.write_text(f"---\n{head}\n---\n\n# Cells\n\nlicense: none\n", encoding="utf-8")
    assert license_of(str(tuned)) == license_id


def test_models_without_a_card_come_from_gemma(tuned: Path) -> None:
    assert license_of(str(tuned)) == "gemma"
    assert license_of(str(tuned / "gone")) == "gemma"
