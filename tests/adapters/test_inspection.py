"""`palikit inspect` of an adapter."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from palikit import CheckpointError
from palikit.adapters import add_lora, inspect_adapter, save_adapter
from palikit.adapters.inspection import AdaptedTower
from palikit.cli import main
from palikit.model.mask_codec import MaskCodec, save_mask_codec
from tests import tiny
from tests.adapters.trained import EVERYTHING, RELEASE, trained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_adapter(trained(options=EVERYTHING), tmp_path / "a", "google/paligemma2-3b-pt-448")
    return tmp_path / "a"


def inspect(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)], prog_name="palikit")


def test_an_adapter_is_what_its_files_say(folder: Path) -> None:
    found = inspect_adapter(folder)
    assert (found.base, found.method, found.ranks, found.alphas) == (
        "google/paligemma2-3b-pt-448",
        "rsLoRA",
        (3,),
        (5.0,),
    )
    assert found.towers == (
        AdaptedTower(
            "image_tower", ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"), 2 * 6
        ),
        AdaptedTower(
            "decoder",
            ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
            3 * 7,
        ),
    )
    assert sorted(found.trained_whole) == [
        "multi_modal_projector.bias",
        "multi_modal_projector.weight",
    ]
    learns = [p for p in trained(options=EVERYTHING).parameters() if p.requires_grad]
    assert found.parameter_count == sum(weight.numel() for weight in learns)
    assert found.dtypes == ("float32",)
    assert not found.changes_nothing
    assert not found.has_tokenizer
    assert found.nbytes == (folder / "adapter_model.safetensors").stat().st_size


def test_the_command_shows_it_as_a_table(folder: Path) -> None:
    done = inspect(folder)
    assert (done.exit_code, done.stderr) == (0, "")
    rows = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert rows[:2] == ["adapter", "base"]
    assert "rsLoRA of rank 3, alpha 5\n" in done.stdout
    assert "q, k, v, o, gate, up, down: 21 layers\n" in done.stdout


def test_the_command_shows_it_as_json(folder: Path) -> None:
    record = json.loads(inspect(folder, "--format", "json").stdout)
    assert (record["kind"], record["method"], record["ranks"]) == ("adapter", "rsLoRA", [3])
    assert record["path"] == str(folder)


def test_an_adapter_of_the_built_in_model_and_one_of_none_say_so(tmp_path: Path) -> None:
    save_adapter(trained(), tmp_path / "a", "nano")
    save_adapter(trained(), tmp_path / "b", None)
    assert "nano, the built-in model\n" in inspect(tmp_path / "a").stdout
    assert "not known: give it as --model" in inspect(tmp_path / "b").stdout


def test_an_adapter_that_has_not_learned_is_remarked(tmp_path: Path) -> None:
    model = tiny.model()
    add_lora(model, RELEASE)
    save_adapter(model, tmp_path / "a", "nano")
    assert "adds nothing: it was saved before it learned" in inspect(tmp_path / "a").stderr


@pytest.mark.parametrize("name", ["vae-oid.npz", "mask_codec.safetensors", "mask_codec.npz"])
def test_a_mask_codec_beside_an_adapter_is_no_model(folder: Path, name: str) -> None:
    save_mask_codec(MaskCodec(), folder / "codec.npz")
    shutil.move(folder / "codec.npz", folder / name)
    assert inspect(folder).stdout.startswith("adapter")


def test_a_damaged_adapter_is_one_sentence(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="is damaged"):
        inspect_adapter(folder)
    done = inspect(folder)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    assert "is pickled, which can run code" in inspect(folder).stderr
