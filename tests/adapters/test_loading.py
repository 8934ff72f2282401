"""`palikit.load` and `palikit merge` with adapters, as a user gives them."""

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import palikit
from palikit import CheckpointError, GenerationOptions, InputError
from palikit.adapters import save_adapter
from palikit.checkpoints import load_checkpoint
from palikit.cli import main
from palikit.model.mask_codec import MaskCodec, save_mask_codec
from tests import tiny
from tests.adapters.trained import EVERYTHING, RELEASE, trained
from tests.parity.oracle import save_tiny
from tests.tiny import random_inputs

INPUTS = random_inputs([9], [5])
SHORT = GenerationOptions(max_new_tokens=6)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "base", tiny.model())


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    save_adapter(trained(options=EVERYTHING), tmp_path / "adapter", str(base))
    return tmp_path / "adapter"


def merge(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["merge", *map(str, arguments)], prog_name="palikit")


@torch.no_grad()
def assert_adapted(model: torch.nn.Module) -> None:
    expected = trained(options=EVERYTHING)(INPUTS)
    assert (model(INPUTS) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_a_model_is_loaded_with_its_adapter(base: Path, adapter: Path) -> None:
    assert_adapted(palikit.load(base, adapter=str(adapter)).model)


def test_an_adapter_finds_its_base_by_itself(adapter: Path, base: Path) -> None:
    loaded = palikit.load(adapter)
    assert loaded.name == str(adapter)
    assert_adapted(loaded.model)
    plain = palikit.load(base).caption(tiny.picture(), options=SHORT).text
    assert loaded.caption(tiny.picture(), options=SHORT).text != plain


def test_a_base_beside_a_moved_run_is_found(base: Path, tmp_path: Path) -> None:
    save_adapter(trained(options=EVERYTHING), tmp_path / "run" / "best", "../../base")
    shutil.copytree(base, tmp_path / "base")
    assert_adapted(palikit.load(tmp_path / "run" / "best").model)


def test_the_built_in_base_is_no_folder_of_its_name(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palikit.checkpoints.hub.BUILT_IN_FOLDER", base)
    save_adapter(trained(options=EVERYTHING), tmp_path / "a", "nano")
    for place in (tmp_path / "nano", tmp_path / "a" / "nano"):
        place.mkdir()
    monkeypatch.chdir(tmp_path)
    assert_adapted(palikit.load("a").model)


def test_adapters_work_in_every_dtype(adapter: Path) -> None:
    loaded = palikit.load(adapter, dtype="bfloat16")
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.bfloat16}
    loaded.caption(tiny.picture(), options=SHORT)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "does not say what its base model is: give that as the model"),
        ("./gone", r"is an adapter of \./gone, which cannot be used .*no such file or folder"),
        ("no name", "is an adapter of no name, which cannot be used"),
    ],
)
def test_a_base_that_is_not_to_be_had_is_told(tmp_path: Path, name: str, message: str) -> None:
    save_adapter(trained(), tmp_path / "a", name)
    with pytest.raises(CheckpointError, match=message) as error:
        palikit.load(tmp_path / "a")
    assert ";" not in str(error.value)  # one advice


def test_two_adapters_are_one_too_many(adapter: Path) -> None:
    with pytest.raises(InputError, match="is an adapter itself"):
        palikit.load(adapter, adapter=str(adapter))


def test_a_folder_without_adapter_is_told(base: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not an adapter"):
        palikit.load(base, adapter=str(base))
    with pytest.raises(CheckpointError, match="no such file or folder"):
        palikit.load(base, adapter=str(tmp_path / "gone"))


def test_a_base_of_another_name_is_told_and_of_the_same_is_not(base: Path, tmp_path: Path) -> None:
    save_adapter(trained(), tmp_path / "a", "owner/other")
    with pytest.warns(UserWarning, match="was trained on owner/other and is used with"):
        palikit.load(base, adapter=str(tmp_path / "a"))
    save_adapter(trained(), tmp_path / "b", "owner/base")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        palikit.load(base, adapter=str(tmp_path / "b"))


def test_a_model_saved_beside_an_adapter_is_what_is_loaded(base: Path, adapter: Path) -> None:
    for file in base.iterdir():
        shutil.copyfile(file, adapter / file.name)
    with torch.no_grad():
        assert torch.equal(palikit.load(adapter).model(INPUTS), tiny.model()(INPUTS))


def test_the_command_line_takes_adapters_and_tells_of_another_base(
    base: Path, tmp_path: Path
) -> None:
    save_adapter(trained(), tmp_path / "a", "owner/other")
    picture = tmp_path / "a.png"
    tiny.picture().save(picture)
    ask = ["caption", str(picture), "--model", str(base), "--max-new-tokens", "6"]
    plain = CliRunner().invoke(main, ask, prog_name="palikit")
    adapted = CliRunner().invoke(main, [*ask, "--adapter", str(tmp_path / "a")])
    assert (plain.exit_code, adapted.exit_code) == (0, 0), adapted.output
    assert plain.stdout != adapted.stdout
    assert "palikit: the adapter" in adapted.stderr
    assert "was trained on owner/other" in adapted.stderr


# merge


def test_merge_writes_a_model_like_any_other(base: Path, adapter: Path, tmp_path: Path) -> None:
    done = merge(base, adapter, tmp_path / "merged")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"wrote {tmp_path / 'merged'}: 33 layers changed\n"
    assert_adapted(palikit.load(tmp_path / "merged").model)


def test_merge_takes_the_mask_codec_along(base: Path, adapter: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    save_mask_codec(MaskCodec(), tmp_path / "base" / "vae-oid.npz")
    merge(tmp_path / "base", adapter, tmp_path / "merged")
    assert palikit.load(tmp_path / "merged").mask_codec is not None


def test_merge_writes_the_dtype_asked_for(base: Path, adapter: Path, tmp_path: Path) -> None:
    assert merge(base, adapter, tmp_path / "m", "--dtype", "bfloat16").exit_code == 0
    read = load_checkpoint(tmp_path / "m", dtype=None, device=torch.device("cpu"))
    assert read.stored_dtype == torch.bfloat16


def test_merge_overwrites_nothing(base: Path, adapter: Path, tmp_path: Path) -> None:
    kept = tmp_path / "out" / "thesis.txt"
    kept.parent.mkdir()
    kept.write_text("x")
    for target in (kept.parent, kept, base):
        done = merge(base, adapter, target)
        assert done.exit_code == 2
        assert "exists and is not overwritten" in done.stderr
    assert [file.name for file in kept.parent.iterdir()] == ["thesis.txt"]


def test_merge_tells_of_an_adapter_that_adds_nothing(base: Path, tmp_path: Path) -> None:
    from palikit.adapters import add_lora

    model = tiny.model()
    add_lora(model, RELEASE)
    save_adapter(model, tmp_path / "a", "base")
    done = merge(base, tmp_path / "a", tmp_path / "merged")
    assert "adds nothing: it was saved before it learned" in done.stderr


def test_merge_refuses_what_is_no_adapter_in_one_line(base: Path, tmp_path: Path) -> None:
    done = merge(base, base, tmp_path / "merged")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "merged").exists()


def test_merge_takes_adapters_and_models_in_this_order(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    done = merge(adapter, base, tmp_path / "merged")
    assert done.exit_code == 2
    assert "is an adapter itself" in done.stderr


def test_an_adapter_with_dora_is_refused_before_anything_is_loaded(
    base: Path, adapter: Path
) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"use_dora": True}))
    with pytest.raises(CheckpointError, match="asks for DoRA"):
        palikit.load(base, adapter=str(adapter))
