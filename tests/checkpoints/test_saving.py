"""Writing the transformers layout."""

import errno
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from palikit.checkpoints import (
    convert_checkpoint,
    find_tokenizer,
    load_checkpoint,
    resample_position_table,
    save_checkpoint,
    save_npz,
)
from palikit.checkpoints.layout import is_checkpoint_file
from palikit.checkpoints.names import from_hub
from palikit.errors import CheckpointError
from tests.checkpoints.conftest import assert_same_weights, fail_at, tiny_config, tiny_model
from tests.conftest import shared

CPU = torch.device("cpu")


def load(path: Path) -> torch.nn.Module:
    return load_checkpoint(path, dtype=None, device=CPU).model


def test_a_folder_has_every_file_that_readers_look_for(second, tmp_path) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text("{}")
    save_checkpoint(second, tmp_path / "m", tokenizer_file=tokenizer)
    assert all(is_checkpoint_file(file.name) for file in (tmp_path / "m").iterdir())
    assert {file.name for file in (tmp_path / "m").iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    processor = json.loads((tmp_path / "m/preprocessor_config.json").read_text())
    assert processor["image_seq_length"] == 9
    assert processor["size"] == {"height": 42, "width": 42}
    assert find_tokenizer(tmp_path / "m") == tmp_path / "m/tokenizer.json"
    assert find_tokenizer(tmp_path / "m/model.safetensors") == tmp_path / "m/tokenizer.json"


def test_a_sentencepiece_tokenizer_keeps_its_ending(second, tmp_path) -> None:
    (tmp_path / "gemma.model").write_bytes(b"x")
    save_checkpoint(second, tmp_path / "m", tokenizer_file=tmp_path / "gemma.model")
    assert find_tokenizer(tmp_path / "m") == tmp_path / "m/tokenizer.model"


def test_names_are_the_released_ones_and_the_head_is_left_out(second, tmp_path) -> None:
    save_checkpoint(second, tmp_path / "m", tokenizer_file=None)
    with safe_open(tmp_path / "m/model.safetensors", framework="pt") as stored:
        names = set(stored.keys())
        assert stored.metadata() == {"format": "pt"}
    assert "language_model.model.layers.0.self_attn.q_proj.weight" in names
    assert "vision_tower.vision_model.encoder.layers.1.mlp.fc2.bias" in names
    assert "vision_tower.vision_model.embeddings.position_embedding.weight" in names
    assert "multi_modal_projector.linear.weight" in names
    assert not any("lm_head" in name for name in names)
    assert find_tokenizer(tmp_path / "m") is None


def test_shards_hold_everything_once_and_the_index_says_where(second, tmp_path) -> None:
    save_checkpoint(second, tmp_path / "m", tokenizer_file=None, max_shard_bytes=20_000)
    index = json.loads((tmp_path / "m/model.safetensors.index.json").read_text())
    seen: dict[str, str] = {}
    for file in sorted((tmp_path / "m").glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            seen |= dict.fromkeys(stored.keys(), file.name)
    assert seen == index["weight_map"]
    total = sum(weight.numel() * 4 for weight in second.parameters())
    assert index["metadata"]["total_size"] == total


def test_data_begin_at_a_multiple_of_eight_bytes(model, tmp_path) -> None:
    for size in (20_000, 30_000, 40_000):
        folder = tmp_path / str(size)
        save_checkpoint(model, folder, tokenizer_file=None, max_shard_bytes=size)
        for file in folder.glob("*.safetensors"):
            assert int.from_bytes(file.read_bytes()[:8], "little") % 8 == 0


def test_dtype_can_change_while_writing(second, tmp_path) -> None:
    save_checkpoint(second, tmp_path / "m", tokenizer_file=None, dtype=torch.bfloat16)
    assert json.loads((tmp_path / "m/config.json").read_text())["torch_dtype"] == "bfloat16"
    assert_same_weights(load(tmp_path / "m"), second.to(torch.bfloat16))
    with pytest.raises(CheckpointError, match=r"not written in torch\.int8"):
        save_checkpoint(second, tmp_path / "n", tokenizer_file=None, dtype=torch.int8)


def test_a_folder_in_use_is_kept_unless_told_otherwise(second, tmp_path) -> None:
    save_checkpoint(second, tmp_path / "m", tokenizer_file=None)
    other = tiny_model(tiny_config("gemma"))
    with pytest.raises(CheckpointError, match="not empty"):
        save_checkpoint(other, tmp_path / "m", tokenizer_file=None)
    assert_same_weights(load(tmp_path / "m"), second)
    save_checkpoint(other, tmp_path / "m", tokenizer_file=None, overwrite=True)
    assert_same_weights(load(tmp_path / "m"), other)
    assert [file.name for file in tmp_path.iterdir()] == ["m"]


def test_a_folder_that_is_no_checkpoint_is_never_overwritten(second, tmp_path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/diary.txt").write_text("dear diary")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        save_checkpoint(second, tmp_path / "home", tokenizer_file=None, overwrite=True)
    assert (tmp_path / "home/diary.txt").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(5))
def test_an_interrupted_overwrite_leaves_one_whole_checkpoint(
    second, tmp_path, monkeypatch, error, after, step
) -> None:
    folder = tmp_path / "m"
    save_checkpoint(second, folder, tokenizer_file=None)
    (folder / "vae-oid.npz").write_bytes(b"codec")
    (folder / "thesis").mkdir()
    (folder / "thesis/one.txt").write_text("once")
    other = tiny_model(tiny_config("gemma"))
    fail_at(monkeypatch, step, error, after=after)
    finished = False
    try:
        save_checkpoint(other, folder, tokenizer_file=None, overwrite=True)
        finished = True
    except (KeyboardInterrupt, CheckpointError):
        pass
    monkeypatch.undo()
    assert finished == (step == 4)  # four names change: the loop covers every one of them
    is_new = finished or (step == 3 and after)
    assert_same_weights(load(folder), other if is_new else second)
    assert (folder / "vae-oid.npz").read_bytes() == b"codec"
    assert (folder / "thesis/one.txt").read_text() == "once"
    if finished or not is_new:
        assert [file.name for file in tmp_path.iterdir()] == ["m"]


def test_what_cannot_be_put_back_is_kept_aside_and_its_place_is_told(
    second, tmp_path, monkeypatch
) -> None:
    folder = tmp_path / "m"
    save_checkpoint(second, folder, tokenizer_file=None)
    real = Path.replace

    def once(source: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", broken)
        return real(source, target)

    def broken(*_: object) -> Path:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(Path, "replace", once)
    with pytest.raises(
        CheckpointError, match=r"could not be put back .* stands in .*\.old"
    ) as told:
        save_checkpoint(second, folder, tokenizer_file=None, overwrite=True)
    (aside,) = tmp_path.iterdir()
    assert str(aside) in str(told.value)
    assert_same_weights(load(aside), second)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "model.safetensors"])
def test_a_folder_that_merely_has_such_a_file_is_no_checkpoint(second, tmp_path, name) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / name).write_text("{}")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        save_checkpoint(second, tmp_path / "project", tokenizer_file=None, overwrite=True)
    assert (tmp_path / "project" / name).read_text() == "{}"


def test_overwriting_replaces_the_checkpoint_and_keeps_what_else_is_there(second, tmp_path) -> None:
    folder = tmp_path / "m"
    save_checkpoint(second, folder, tokenizer_file=None, max_shard_bytes=20_000)
    for name in ("vae-oid.npz", "mask_codec.safetensors", "thesis.txt", "README.md"):
        (folder / name).write_text(name)
    (folder / "tokenizer.model").write_text("old")
    convert_checkpoint(folder, folder, to="transformers", dtype=torch.bfloat16, overwrite=True)
    assert_same_weights(load(folder), second.to(torch.bfloat16))
    assert {file.name for file in folder.iterdir()} == {
        "README.md", "config.json", "generation_config.json", "mask_codec.safetensors",
        "model.safetensors", "preprocessor_config.json", "special_tokens_map.json", "thesis.txt",
        "tokenizer.model", "tokenizer_config.json", "vae-oid.npz",
    }  # fmt: skip
    assert (folder / "thesis.txt").read_text() == "thesis.txt"


def test_overwriting_through_a_link_replaces_what_it_leads_to(second, tmp_path) -> None:
    save_checkpoint(second, tmp_path / "m", tokenizer_file=None)
    (tmp_path / "link").symlink_to("m")
    other = tiny_model(tiny_config("gemma"))
    save_checkpoint(other, tmp_path / "link", tokenizer_file=None, overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert_same_weights(load(tmp_path / "m"), other)
    assert {file.name for file in tmp_path.iterdir()} == {"link", "m"}


def test_an_empty_folder_is_used(second, tmp_path) -> None:
    (tmp_path / "m").mkdir()
    save_checkpoint(second, tmp_path / "m", tokenizer_file=None)
    assert_same_weights(load(tmp_path / "m"), second)


def test_a_full_disk_is_told_beforehand(second, tmp_path, monkeypatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(CheckpointError, match="1,000 free"):
        save_checkpoint(second, tmp_path / "m", tokenizer_file=None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_write_that_fails_halfway_leaves_what_was_there(
    second, tmp_path, monkeypatch, overwrite
) -> None:
    if overwrite:
        save_checkpoint(second, tmp_path / "m", tokenizer_file=None)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("palikit.checkpoints.saving.write_side_files", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_checkpoint(second, tmp_path / "m", tokenizer_file=None, overwrite=overwrite)
    assert [file.name for file in tmp_path.iterdir()] == (["m"] if overwrite else [])
    if overwrite:
        assert_same_weights(load(tmp_path / "m"), second)


def test_models_with_adapters_are_not_saved_as_plain_ones(second, tmp_path) -> None:
    second.language_model.layers[0].extra = torch.nn.Linear(2, 2)
    for save in (
        lambda: save_checkpoint(second, tmp_path / "m", tokenizer_file=None),
        lambda: save_npz(second, tmp_path / "m.npz"),
    ):
        with pytest.raises(CheckpointError, match="merge its adapters"):
            save()


def test_a_missing_tokenizer_file_is_told_before_anything_is_written(second, tmp_path) -> None:
    with pytest.raises(CheckpointError, match="no such tokenizer"):
        save_checkpoint(second, tmp_path / "m", tokenizer_file=tmp_path / "none.json")
    assert not list(tmp_path.iterdir())


def test_a_resampled_model_is_saved_with_its_new_size(second, tmp_path) -> None:
    save_checkpoint(second, tmp_path / "m", tokenizer_file=None)
    large = load_checkpoint(tmp_path / "m", dtype=None, device=CPU, image_size=56).model
    save_checkpoint(large, tmp_path / "n", tokenizer_file=None)
    table = load(tmp_path / "n").vision_tower.position_embedding.weight
    old = second.vision_tower.position_embedding.weight.detach()
    assert torch.equal(table, resample_position_table(old, 4))


def test_conversion_keeps_every_bit_both_ways_and_takes_the_tokenizer_along(
    model, tmp_path
) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    tokenizer = tmp_path / "tokenizer.json"
    save_checkpoint(model, tmp_path / "m", tokenizer_file=tokenizer, dtype=torch.bfloat16)
    convert_checkpoint(tmp_path / "m", tmp_path / "m.npz", to="npz")
    convert_checkpoint(tmp_path / "m.npz", tmp_path / "n", to="transformers")
    first, last = load(tmp_path / "m").state_dict(), load(tmp_path / "n").state_dict()
    for name, weight in last.items():
        assert torch.equal(weight, first[name][: weight.shape[0]]), name
    assert (tmp_path / "n/tokenizer.json").exists()


def test_conversion_can_replace_its_own_source(second, tmp_path) -> None:
    save_checkpoint(second, tmp_path / "m", tokenizer_file=None)
    convert_checkpoint(
        tmp_path / "m", tmp_path / "m", to="transformers", dtype=torch.bfloat16, overwrite=True
    )
    assert_same_weights(load(tmp_path / "m"), second.to(torch.bfloat16))


def test_conversion_wants_a_destination_of_its_kind(second, tmp_path) -> None:
    save_checkpoint(second, tmp_path / "m", tokenizer_file=None)
    with pytest.raises(CheckpointError, match=r"ending in \.npz"):
        convert_checkpoint(tmp_path / "m", tmp_path / "n", to="npz")
    with pytest.raises(CheckpointError, match="is a folder"):
        convert_checkpoint(tmp_path / "m", tmp_path / "n.npz", to="transformers")


@pytest.mark.parity
@pytest.mark.parametrize("shard_bytes", [10**9, 20_000])
def test_transformers_loads_the_same_weights_and_config(model, tmp_path, shard_bytes) -> None:
    transformers = pytest.importorskip("transformers")
    save_checkpoint(model, tmp_path / "m", tokenizer_file=None, max_shard_bytes=shard_bytes)
    theirs, info = transformers.PaliGemmaForConditionalGeneration.from_pretrained(
        tmp_path / "m", output_loading_info=True
    )
    assert not any(info.values()), info
    ours = dict(model.named_parameters())
    for name, weight in theirs.state_dict().items():
        if not name.endswith("lm_head.weight"):
            assert torch.equal(ours[from_hub(name)], weight), name
    text = theirs.config.text_config
    assert text.rope_parameters["rope_theta"] == 10000.0
    if text.model_type == "gemma2":
        assert text.query_pre_attn_scalar == 8
        assert (text.attn_logit_softcapping, text.final_logit_softcapping) == (50.0, 30.0)


@pytest.mark.parity
def test_transformers_computes_the_same_logits_from_what_is_written(model, tmp_path) -> None:
    transformers = pytest.importorskip("transformers")
    from palikit.model.inputs import ModelInputs

    save_checkpoint(model, tmp_path / "m", tokenizer_file=None)
    theirs = transformers.PaliGemmaForConditionalGeneration.from_pretrained(
        tmp_path / "m", attn_implementation="eager"
    ).eval()
    pixels = torch.rand(1, 3, 42, 42, generator=torch.Generator().manual_seed(0)) * 2 - 1
    text = torch.tensor([[2, 17, 40, 108]])
    images = torch.full((1, 9), model.config.image_token_index)
    input_ids = torch.cat((images, text), dim=1)
    inputs = ModelInputs(
        pixel_values=pixels,
        image_index=torch.tensor([[0]]),
        input_ids=text,
        prefix_lengths=torch.tensor([4]),
        lengths=torch.tensor([4]),
        has_padding=False,
    )
    with torch.no_grad():
        ours = load(tmp_path / "m")(inputs)
        reference = theirs(
            input_ids=input_ids,
            pixel_values=pixels,
            attention_mask=torch.ones_like(input_ids),
            token_type_ids=torch.zeros_like(input_ids),
        ).logits[:, -4:]
    torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parity
def test_transformers_finds_processor_and_tokenizer(second, tmp_path) -> None:
    transformers = pytest.importorskip("transformers")
    from PIL import Image

    tokenizer = shared("tokenizer", "tokenizer.json")
    save_checkpoint(second, tmp_path / "m", tokenizer_file=tokenizer)
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "m")
    assert type(processor).__name__ == "PaliGemmaProcessor"
    picture = Image.new("L", (30, 20))
    batch = processor(images=picture, text="<image>detect <loc0005>")
    ids = batch["input_ids"][0]
    assert ids[:10] == [257152] * 9 + [2]
    assert ids[-2:] == [256005, 108]
    assert batch["pixel_values"][0].shape == (3, 42, 42)
