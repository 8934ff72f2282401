"""Adapter folders: what is read back, and what is refused with one sentence."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from palikit.adapters import (
    adapter_of,
    add_lora,
    changes_nothing,
    is_adapter,
    load_adapter,
    merge_adapter,
    read_adapter,
    save_adapter,
    write_adapter,
)
from palikit.errors import CheckpointError
from tests import tiny
from tests.adapters.trained import EVERYTHING, RELEASE, trained
from tests.tiny import random_inputs

INPUTS = random_inputs([9], [5])
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
DECODER = "base_model.model.model.language_model.layers.0.self_attn.q_proj"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_adapter(trained(), tmp_path / "adapter", "owner/base")
    return tmp_path / "adapter"


def edit_config(folder: Path, **fields: object) -> None:
    file = folder / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / WEIGHTS)


@torch.no_grad()
@pytest.mark.parametrize("era", ["5", "4.52", "4.41"])
@pytest.mark.parametrize("options", [RELEASE, EVERYTHING], ids=["release", "everything"])
def test_what_is_saved_is_read_back_bit_by_bit(tmp_path: Path, options, era: str) -> None:
    model, again = trained(options=options), tiny.model()
    save_adapter(model, tmp_path / "a", "owner/base", names=era)
    adapter = read_adapter(tmp_path / "a")
    load_adapter(again, adapter)
    assert (adapter.base, adapter.use_rslora) == ("owner/base", options.use_rslora)
    assert torch.equal(again(INPUTS), model(INPUTS))


def test_layers_of_differing_rank_and_alpha_keep_them(tmp_path: Path) -> None:
    adapter = adapter_of(trained())
    first, second, *rest = adapter.layers
    narrow = replace(first, a=first.a[:3], b=first.b[:, :3])
    uneven = replace(adapter, layers=(narrow, replace(second, alpha=2.5), *rest))
    write_adapter(uneven, tmp_path / "a", None)
    loaded = tiny.model()
    load_adapter(loaded, read_adapter(tmp_path / "a"))
    merged = [tiny.model(), tiny.model()]
    for model, source in zip(merged, (uneven, adapter_of(loaded)), strict=True):
        merge_adapter(model, source)
    for name, weight in merged[0].named_parameters():
        assert torch.equal(weight, merged[1].get_parameter(name)), name


def test_an_adapter_that_never_learned_is_known(tmp_path: Path) -> None:
    model = tiny.model()
    add_lora(model, RELEASE)
    assert changes_nothing(adapter_of(model))
    assert not changes_nothing(adapter_of(trained()))


def test_an_existing_folder_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="is not empty"):
        save_adapter(trained(), folder, None)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("palikit.adapters.saving.write_tensors", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_adapter(trained(), tmp_path / "a", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"use_dora": True}, "asks for DoRA"),
        ({"peft_type": "PROMPT_TUNING"}, "is of peft_type 'PROMPT_TUNING'"),
        ({"peft_type": "ADALORA"}, "is of peft_type 'ADALORA'"),
        ({"peft_type": None}, "is of peft_type None"),
        ({"lora_bias": True}, "asks for lora_bias = True"),
        ({"use_qalora": True}, "asks for use_qalora"),
        ({"alora_invocation_tokens": [3]}, "asks for alora_invocation_tokens"),
        ({"trainable_token_indices": [3]}, "asks for trainable_token_indices"),
        ({"use_what_comes_next": True}, "asks for use_what_comes_next"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights = 'pissa', which changes the base"),
        ({"r": "8"}, "r = '8': it must be a whole number"),
        ({"lora_alpha": None}, "lora_alpha = None: it must be a number"),
        ({"alpha_pattern": {"(": 1}}, r"alpha_pattern = '\(': it must be a regular expression"),
        ({"rank_pattern": {"q_proj": 4}}, r"expected \[4, in\] and \[out, 4\]"),
        ({"base_model_name_or_path": 3}, "base_model_name_or_path = 3: it must be a text"),
    ],
)
def test_what_cannot_be_honoured_is_refused(folder: Path, fields: dict, message: str) -> None:
    edit_config(folder, **fields)
    with pytest.raises(CheckpointError, match=message):
        read_adapter(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop(f"{DECODER}.lora_B.weight"), "only one of lora_A and lora_B"),
        (
            lambda t: t.update({f"{DECODER}.lora_magnitude_vector": torch.ones(3)}),
            "adapts what PaliKit cannot: .*lora_magnitude_vector",
        ),
        (
            lambda t: t.update({"base_model.model.model.experts.0.lora_A.weight": torch.ones(1)}),
            "adapts what PaliKit cannot: .*experts",
        ),
        (
            lambda t: t.update({"base_model.model.lm_head.weight": torch.ones(3, 3)}),
            "trained the embedding table or the head apart",
        ),
        (
            lambda t: t[f"{DECODER}.lora_A.weight"].fill_(float("nan")),
            "values that are not all finite",
        ),
        (
            lambda t: t.update({f"{DECODER}.lora_A.weight": torch.ones(8, 32).to(torch.int8)}),
            "of torch.int8",
        ),
    ],
)
def test_weights_that_cannot_be_used_are_refused(folder: Path, edit, message: str) -> None:
    edit_weights(folder, edit)
    with pytest.raises(CheckpointError, match=message):
        read_adapter(folder)


def test_an_adapter_without_layers_is_refused(folder: Path) -> None:
    edit_weights(folder, dict.clear)
    with pytest.raises(CheckpointError, match="holds nothing: save the adapter again"):
        read_adapter(folder)


def test_a_layer_under_the_names_of_two_versions_is_refused(folder: Path) -> None:
    def double(weights):
        weights |= {
            name.replace(".model.language_model.", ".language_model.model."): weight.clone()
            for name, weight in weights.items()
        }

    edit_weights(folder, double)
    with pytest.raises(CheckpointError, match=r"language_model\.layers\.0.* under two names"):
        read_adapter(folder)


def test_a_tokenizer_goes_along_with_what_transformers_wants_beside_it(tmp_path: Path) -> None:
    given = tmp_path / "given.json"
    given.write_text(tiny.tokenizer_json(), encoding="utf-8")
    save_adapter(trained(), tmp_path / "a", "nano", tokenizer_file=given)
    assert (tmp_path / "a" / "tokenizer.json").read_bytes() == given.read_bytes()
    settings = json.loads((tmp_path / "a" / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "GemmaTokenizer"
    assert (tmp_path / "a" / "special_tokens_map.json").is_file()
    with pytest.raises(CheckpointError, match="no such tokenizer file"):
        save_adapter(trained(), tmp_path / "b", "nano", tokenizer_file=tmp_path / "gone.json")
    assert not (tmp_path / "b").exists()


def test_pickled_adapters_are_refused_unread(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")
    with pytest.raises(CheckpointError, match=r"adapter_model\.bin is pickled"):
        read_adapter(folder)
    (folder / "adapter_model.bin").unlink()
    with pytest.raises(CheckpointError, match=r"has no adapter_model\.safetensors"):
        read_adapter(folder)


def test_damaged_and_other_files_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="is damaged"):
        read_adapter(folder)
    assert not is_adapter(tmp_path)
    with pytest.raises(CheckpointError, match="is not an adapter"):
        read_adapter(tmp_path)


def test_an_adapter_of_another_model_is_refused_with_all_that_differs(folder: Path) -> None:
    adapter, other = read_adapter(folder), tiny.model("paligemma")  # one key head instead of four
    for use in (merge_adapter, load_adapter):
        with pytest.raises(
            CheckpointError, match="does not fit the model, it was trained on owner/base: 6 of an"
        ):
            use(other, adapter)
    assert not any("lora" in name for name, _ in other.named_parameters())
