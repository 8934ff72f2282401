"""Commands on quantised models: what they show, write and refuse."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

import palikit
from palikit import InputError, compute, quantize_checkpoint
from palikit.adapters import save_adapter
from palikit.checkpoints import inspect_checkpoint
from palikit.cli import main, remarks
from palikit.options import QuantizedForm
from palikit.quantization import quantize
from palikit.train_options import TrainOptions
from tests import tiny
from tests.adapters.trained import trained
from tests.e2e.test_finetune import write_rows
from tests.quantization import made
from tests.quantization.made import FORMS
from tests.training.toy import cat_rows


def palikit_(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], prog_name="palikit")


def refused(*arguments: object) -> str:
    result = palikit_(*arguments)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    return line.removeprefix("palikit: error: ")


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.save(tmp_path_factory.mktemp("commands") / "model", dtype=torch.bfloat16)


@pytest.fixture(scope="module")
def folders(floats: Path) -> dict[str, Path]:
    pytest.importorskip("bitsandbytes")
    return {form: quantize_checkpoint(floats, form, floats.parent / form) for form in FORMS}


# inspect


@pytest.mark.parametrize("form", FORMS)
def test_inspect_says_how_a_model_is_held(
    form: QuantizedForm, floats: Path, folders: dict[str, Path]
) -> None:
    found, whole = inspect_checkpoint(folders[form]), inspect_checkpoint(floats)
    assert found.complete, found.problems
    assert (found.form, whole.form) == (form, None)
    assert (found.config, found.parameter_count) == (whole.config, whole.parameter_count)
    assert found.nbytes == (folders[form] / "model.safetensors").stat().st_size
    shown = palikit_("inspect", folders[form])
    assert shown.exit_code == 0
    assert any(line.split()[:3] == ["held", "in", f"{form}:"] for line in shown.stdout.splitlines())
    record = json.loads(palikit_("inspect", folders[form], "--format", "json").stdout)
    assert (record["quantized"], record["complete"]) == (form, True)
    assert record["dtypes"][0] == {"int8": "int8", "fp8": "float8_e4m3fn"}.get(
        form, record["dtypes"][0]
    )
    assert json.loads(palikit_("inspect", floats, "--format", "json").stdout)["quantized"] is None


def test_memory_to_run_is_that_of_the_form() -> None:
    from palikit.checkpoints import memory_bytes
    from palikit.published import config_for

    config = config_for("PaliGemma 2", "3B", 224)
    assert memory_bytes(config, 4, weights=3_100_000_000) < 3.6e9 < memory_bytes(config, 2)


@pytest.mark.parametrize("form", FORMS)
def test_inspect_tells_what_is_wrong(
    form: QuantizedForm, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders[form], tmp_path / "held")
    stored = load_file(folder / "model.safetensors")
    lost = next(name for name in stored if "down_proj" in name and name.endswith("weight"))
    del stored[lost]
    stored["of.another.model"] = torch.ones(2)
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-3])
    result = palikit_("inspect", folder)
    assert result.exit_code == 1
    assert "model.safetensors is cut short" in result.stderr
    assert "1 missing: " in result.stderr
    assert "of.another.model" in result.stderr


def test_inspect_of_a_model_quantised_by_others_is_one_sentence(
    floats: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(floats, tmp_path / "model")
    content = json.loads((folder / "config.json").read_text())
    content["quantization_config"] = {"quant_method": "gptq"}
    (folder / "config.json").write_text(json.dumps(content))
    assert "is quantised by gptq, which PaliKit does not read" in refused("inspect", folder)


# What needs floats


@pytest.mark.parametrize("form", ["int8", "nf4"])
def test_convert_asks_for_the_float_checkpoint(
    form: QuantizedForm, folders: dict[str, Path], tmp_path: Path
) -> None:
    for target in ("out", "out.npz"):
        told = refused("convert", folders[form], tmp_path / target)
        assert f"is held in {form}, and float weights are needed: convert the float" in told
        assert "palikit quantize" in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["int8", "nf4"])
def test_merge_asks_for_the_float_checkpoint(
    form: QuantizedForm, folders: dict[str, Path], tmp_path: Path
) -> None:
    save_adapter(trained(), tmp_path / "adapter", base=None)
    told = refused("merge", folders[form], tmp_path / "adapter", tmp_path / "out")
    assert f"is held in {form}, and float weights are needed: merge into the float" in told


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
@pytest.mark.parametrize("form", ["int8", "nf4"])
def test_finetune_asks_for_the_float_checkpoint(
    form: QuantizedForm, method: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    write_rows(tmp_path / "train.jsonl", range(4))
    told = refused(
        *("finetune", "-m", folders[form], "--data", tmp_path / "train.jsonl"),
        *("--output", tmp_path / "run", "--method", method),
    )
    assert f"is held in {form}, and float weights are needed: train the float" in told
    assert "qlora holds its base in 4 bits by itself" in told
    assert not (tmp_path / "run").exists()


def test_finetune_has_no_option_that_quantises_what_is_trained() -> None:
    assert "no such option '--quantize'" in refused("finetune", "--quantize", "int8").lower()


@pytest.mark.parametrize("form", ["int8", "nf4"])
def test_training_in_python_refuses_a_quantised_model(form: QuantizedForm, tmp_path: Path) -> None:
    if form == "nf4":
        pytest.importorskip("bitsandbytes")
    predictor = tiny.predictor()
    quantize(predictor.model, form)
    with pytest.raises(InputError, match=r"is quantised, and float weights are needed: train the"):
        palikit.finetune(
            predictor.model,
            predictor.processor,
            cat_rows(tmp_path, 2),
            TrainOptions(steps=1),
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


# quantize


def test_quantize_writes_a_folder_that_answers(floats: Path, tmp_path: Path) -> None:
    tiny.picture().save(tmp_path / "a.png")
    done = palikit_("quantize", floats, "--to", "int8", "--output", tmp_path / "held")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"wrote {tmp_path / 'held'}: 1 MiB in int8\n"
    ask = ("caption", tmp_path / "a.png", "--max-new-tokens", 8)
    held = palikit_(*ask, "--model", tmp_path / "held")
    direct = palikit_(*ask, "--model", floats, "--quantize", "int8")
    assert held.exit_code == direct.exit_code == 0, held.output
    assert held.stdout == direct.stdout != "\n"
    told = refused("quantize", floats, "--to", "fp8", "--output", tmp_path / "held")
    assert "--overwrite" in told
    for more in ((), ("--overwrite",)):
        told = refused("quantize", floats, "--to", "fp8", "--output", "", *more)
        assert told == "the output is empty: give the name of a folder"
    assert "is held in int8 already" in refused(
        "quantize", tmp_path / "held", "--to", "fp8", "--output", tmp_path / "again"
    )


def test_quantize_tells_of_a_missing_tokenizer(floats: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(floats, tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    done = palikit_("quantize", bare, "--to", "fp8", "--output", tmp_path / "held")
    assert "there is no tokenizer beside" in done.stderr


# Remarks


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    tiny.picture().save(tmp_path / "a.png")
    return tmp_path / "a.png"


def remarks_of(picture: Path, *options: object) -> str:
    result = palikit_("caption", picture, "--max-new-tokens", 2, *options)
    assert result.exit_code == 0, result.output
    return result.stderr.replace("palikit: the answer was cut off at --max-new-tokens 2\n", "")


def test_a_large_float_model_on_a_cpu_is_told_of_int8(
    floats: Path, folders: dict[str, Path], picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--quantize" not in remarks_of(picture, "--model", floats)
    monkeypatch.setattr(remarks, "_LARGE", 1000)
    assert remarks_of(picture, "--model", floats).count("--quantize int8") == 1
    assert not remarks_of(picture, "--model", floats, "--quiet")
    assert not remarks_of(picture, "--model", floats, "--quantize", "int8")
    for folder in folders.values():
        assert not remarks_of(picture, "--model", folder)


def test_a_model_that_is_widened_for_a_cpu_is_told_of(
    floats: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palikit.compute.cpu_dtypes", lambda: (torch.float32, torch.bfloat16))
    assert not remarks_of(picture, "--model", floats)
    monkeypatch.setattr("palikit.compute.cpu_dtypes", lambda: (torch.float32,))
    told = remarks_of(picture, "--model", floats)
    assert "slow in bfloat16, so that the weights are held in float32" in told
    assert not remarks_of(picture, "--model", floats, "--quiet")
    assert not remarks_of(picture, "--model", floats, "--dtype", "bfloat16")
    assert not remarks_of(picture, "--model", floats, "--dtype", "float32")


def test_env_says_what_the_processor_computes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "cpu_dtypes", lambda: (torch.float32, torch.bfloat16))
    monkeypatch.setattr(compute, "has_integer_products", lambda: True)
    rows = [line.split() for line in palikit_("env").stdout.splitlines()]
    assert ["CPU", "computes", "in", "float32,", "bfloat16,", "int8"] in rows
    monkeypatch.setattr(compute, "cpu_dtypes", lambda: (torch.float32,))
    monkeypatch.setattr(compute, "has_integer_products", lambda: False)
    rows = [line.split() for line in palikit_("env").stdout.splitlines()]
    assert ["CPU", "computes", "in", "float32"] in rows


def test_a_loaded_model_knows_what_it_was_stored_in(floats: Path) -> None:
    assert palikit.load(floats, dtype="float32").stored_dtype == torch.bfloat16
    assert tiny.predictor().stored_dtype is None


def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "quantization.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(block, page.name, "exec"), names)
    ours, theirs = (names[each].caption(tiny.picture()).text for each in ("model", "same"))
    assert ours == theirs
