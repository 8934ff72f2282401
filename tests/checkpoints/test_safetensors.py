"""Reading the transformers layout, in all its forms and with all its damages."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from palikit.checkpoints import load_checkpoint, save_checkpoint
from palikit.checkpoints.names import expected_shapes, from_hub, to_hub
from palikit.config import PaliGemmaConfig
from palikit.errors import CheckpointError, ConfigError
from palikit.model.paligemma import PaliGemma
from tests.checkpoints.conftest import (
    IMAGE_TOKEN,
    ROWS,
    assert_same_weights,
    tiny_config,
    tiny_model,
)

CPU = torch.device("cpu")
TABLE = "language_model.model.embed_tokens.weight"


def saved(model: PaliGemma, folder: Path, max_shard_bytes: int = 10**9) -> Path:
    save_checkpoint(model, folder, tokenizer_file=None, max_shard_bytes=max_shard_bytes)
    return folder


def load(path: Path, dtype: torch.dtype | None = None, image_size: int | None = None) -> PaliGemma:
    return load_checkpoint(path, dtype=dtype, device=CPU, image_size=image_size).model


def edit_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    """Set or drop entries of the one weight file of a folder, by name with __ for dots."""
    file = folder / "model.safetensors"
    weights = {name: tensor.clone() for name, tensor in load_file(file).items()}
    for key, tensor in changes.items():
        name = key.replace("__", ".")
        if tensor is None:
            del weights[name]
        else:
            weights[name] = tensor
    save_file(weights, file, metadata={"format": "pt"})


def is_mapped(weight: torch.Tensor, file: Path) -> bool:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("needs a system that lists its mappings")
    for line in maps.read_text().splitlines():
        start, end = (int(side, 16) for side in line.split()[0].split("-"))
        if line.endswith(str(file)) and start <= weight.data_ptr() < end:
            return True
    return False


def released(name: str) -> str:
    return name


def native(name: str) -> str:
    return "model." + name.replace("language_model.model.", "language_model.")


def fifth(name: str) -> str:
    return native(name).replace("vision_tower.vision_model.", "vision_tower.")


def merged(name: str) -> str:
    return name.replace("vision_tower.vision_model.", "vision_tower.")


@pytest.mark.parametrize("layout", [released, native, fifth, merged])
def test_every_name_layout_loads_the_same_weights(model, tmp_path, layout) -> None:
    folder = saved(model, tmp_path / "m")
    file = folder / "model.safetensors"
    weights = {layout(name): tensor.clone() for name, tensor in load_file(file).items()}
    save_file(weights, file)
    assert_same_weights(load(folder), model)


def test_hub_names_lead_back_to_the_models_names() -> None:
    for model_type in ("gemma", "gemma2"):
        for name in expected_shapes(tiny_config(model_type)):
            assert from_hub(to_hub(name)) == name


def test_expected_shapes_are_those_of_the_model(model) -> None:
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert shapes == expected_shapes(model.config)
    assert not dict(model.named_buffers())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_stored_dtype_is_kept_unless_another_is_asked_for(tmp_path, dtype) -> None:
    model = tiny_model(tiny_config(), dtype)
    checkpoint = load_checkpoint(saved(model, tmp_path / "m"), dtype=None, device=CPU)
    assert checkpoint.stored_dtype == dtype
    assert_same_weights(checkpoint.model, model)
    assert not checkpoint.model.training
    assert_same_weights(load(tmp_path / "m", torch.bfloat16), model.to(torch.bfloat16))


def test_float64_is_loaded_as_float32(second, tmp_path) -> None:
    folder = saved(second, tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    save_file({k: v.double() for k, v in weights.items()}, folder / "model.safetensors")
    checkpoint = load_checkpoint(folder, dtype=None, device=CPU)
    assert checkpoint.stored_dtype == torch.float64
    assert_same_weights(checkpoint.model, second)


def test_mixed_dtypes_become_that_of_most_weights(second, tmp_path) -> None:
    folder = saved(second.to(torch.bfloat16), tmp_path / "m")
    edit_weights(folder, language_model__model__norm__weight=torch.ones(32))
    assert {p.dtype for p in load(folder).parameters()} == {torch.bfloat16}


def test_weights_of_the_stored_dtype_stay_mapped_and_the_file_is_never_written(
    second, tmp_path
) -> None:
    folder = saved(second, tmp_path / "m")
    before = (folder / "model.safetensors").read_bytes()
    model = load(folder)
    assert all(is_mapped(weight, folder / "model.safetensors") for weight in model.parameters())
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("shard_bytes", [20_000, 100])
def test_shards_are_read_with_and_without_their_index(model, tmp_path, shard_bytes) -> None:
    folder = saved(model, tmp_path / "m", shard_bytes)
    assert len(list(folder.glob("*.safetensors"))) > 1
    assert_same_weights(load(folder), model)
    (folder / "model.safetensors.index.json").unlink()
    assert_same_weights(load(folder), model)


def test_a_single_file_is_read_by_its_own_name(model, tmp_path) -> None:
    folder = saved(model, tmp_path / "m")
    assert_same_weights(load(folder / "model.safetensors"), model)


@pytest.mark.parametrize(
    "head", ["lm_head.weight", "language_model.lm_head.weight", "model.lm_head.weight"]
)
def test_a_stored_head_fills_a_missing_table(second, tmp_path, head) -> None:
    folder = saved(second, tmp_path / "m")
    table = second.language_model.embed_tokens.weight.detach().clone()
    edit_weights(folder, **{TABLE.replace(".", "__"): None, head.replace(".", "__"): table})
    assert_same_weights(load(folder), second)


def test_a_head_equal_to_the_table_is_accepted(second, tmp_path) -> None:
    folder = saved(second, tmp_path / "m")
    table = second.language_model.embed_tokens.weight.detach().clone()
    edit_weights(folder, lm_head__weight=table)
    assert_same_weights(load(folder), second)


@pytest.mark.parametrize("rows", [ROWS, ROWS - 1])
def test_a_head_of_its_own_is_refused(second, tmp_path, rows) -> None:
    folder = saved(second, tmp_path / "m")
    edit_weights(folder, lm_head__weight=torch.randn(rows, 32))
    with pytest.raises(CheckpointError, match=r"differ.*not supported"):
        load(folder)


@pytest.mark.parametrize("rows", [IMAGE_TOKEN, IMAGE_TOKEN + 64])
def test_the_tables_own_row_count_is_kept_whatever_the_config_says(tmp_path, rows) -> None:
    folder = saved(tiny_model(tiny_config(rows=rows)), tmp_path / "m")
    data = json.loads((folder / "config.json").read_text())
    data["text_config"]["vocab_size"] = ROWS
    (folder / "config.json").write_text(json.dumps(data))
    checkpoint = load_checkpoint(folder, dtype=None, device=CPU)
    assert checkpoint.config.text_config.vocab_size == rows
    assert checkpoint.model.language_model.embed_tokens.weight.shape[0] == rows


def test_a_table_without_all_predictable_ids_is_refused(second, tmp_path) -> None:
    folder = saved(second, tmp_path / "m")
    edit_weights(folder, **{TABLE.replace(".", "__"): torch.zeros(IMAGE_TOKEN - 1, 32)})
    with pytest.raises(CheckpointError, match=r"1 of another shape: .*\[295, 32\] for \[300, 32\]"):
        load(folder)


def test_one_report_lists_missing_unexpected_and_misshaped_weights(second, tmp_path) -> None:
    folder = saved(second, tmp_path / "m")
    edit_weights(
        folder,
        language_model__model__norm__weight=None,
        language_model__model__layers__0__self_attn__q_norm__weight=torch.ones(8),
        multi_modal_projector__linear__bias=torch.ones(31),
    )
    with pytest.raises(CheckpointError) as error:
        load(folder)
    message = str(error.value)
    assert "1 missing: language_model.norm.weight" in message
    assert "1 unexpected: " in message
    assert "q_norm" in message
    assert "1 of another shape: multi_modal_projector.bias [31] for [32]" in message


def test_long_lists_are_shortened(second, tmp_path) -> None:
    folder = saved(second, tmp_path / "m")
    save_file({f"other.{i}": torch.ones(1) for i in range(25)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"25 unexpected: .* and 15 more") as error:
        load(folder)
    assert len(str(error.value)) < 2500


@pytest.mark.parametrize(
    "name",
    [
        "language_model.model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.language_model.layers.1.self_attn.rotary_emb.inv_freq",
        "model.language_model.rotary_emb.inv_freq",
        "vision_tower.vision_model.embeddings.position_ids",
    ],
)
def test_tables_that_old_writers_stored_are_left_out(second, tmp_path, name) -> None:
    folder = saved(second, tmp_path / "m")
    edit_weights(folder, **{name.replace(".", "__"): torch.arange(9)[None]})
    assert_same_weights(load(folder), second)


def test_many_missing_shards_are_told_in_a_short_sentence(second, tmp_path) -> None:
    folder = saved(second, tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "m-00001-of-09999.safetensors")
    with pytest.raises(CheckpointError, match="9,978 more files are missing") as error:
        load(folder)
    assert len(str(error.value)) < 5000


def test_all_missing_shards_are_named(second, tmp_path) -> None:
    folder = saved(second, tmp_path / "m", 20_000)
    shards = sorted(folder.glob("*.safetensors"))
    shards[0].unlink()
    shards[-1].unlink()
    with pytest.raises(CheckpointError) as error:
        load(folder)
    assert shards[0].name in str(error.value)
    assert shards[-1].name in str(error.value)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(CheckpointError, match=f"{shards[0].name} is missing"):
        load(folder)


@pytest.mark.parametrize("kept", [0, 4, 40, 0.5, -1])
def test_a_shard_that_is_cut_short_is_named(second, tmp_path, kept) -> None:
    folder = saved(second, tmp_path / "m")
    file = folder / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(CheckpointError, match=r"model\.safetensors.*fetch it again"):
        load(folder)


@pytest.mark.parametrize(
    "header",
    [b"[]", b"nonsense", b'{"a": 3}', b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}',
     b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 8]}}',
     b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [8, 4]}}'],
)  # fmt: skip
def test_a_damaged_header_is_one_clear_error(second, tmp_path, header) -> None:
    folder = saved(second, tmp_path / "m")
    raw = len(header).to_bytes(8, "little") + header + bytes(8)
    (folder / "model.safetensors").write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"model\.safetensors has a damaged header"):
        load(folder)


def test_a_header_of_absurd_length_is_not_read(second, tmp_path) -> None:
    folder = saved(second, tmp_path / "m")
    (folder / "model.safetensors").write_bytes((2**62).to_bytes(8, "little") + bytes(100))
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        load(folder)


def test_quantised_weights_are_refused_by_name_of_their_dtype(second, tmp_path) -> None:
    folder = saved(second, tmp_path / "m")
    edit_weights(folder, language_model__model__norm__weight=torch.ones(32, dtype=torch.int8))
    with pytest.raises(CheckpointError, match=r"stored as I8: quantised"):
        load(folder)


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", 3])
def test_an_index_cannot_lead_out_of_its_folder(second, tmp_path, name) -> None:
    folder = saved(second, tmp_path / "m", 20_000)
    index = {"weight_map": {"a": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="not a file of its folder"):
        load(folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_index_is_one_clear_error(second, tmp_path, text) -> None:
    folder = saved(second, tmp_path / "m", 20_000)
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="fetch it again"):
        load(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "last.ckpt", "weights.pkl"])
def test_pickled_weights_are_refused_and_never_opened(tmp_path, name) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "opened",))

    (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(CheckpointError, match=r"can run code.*safetensors"):
            load(path)
    assert not (tmp_path / "opened").exists()


def test_folders_without_a_model_say_what_they_are(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder"):
        load(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="holds no weights"):
        load(tmp_path)
    (tmp_path / "best").mkdir()
    with pytest.raises(CheckpointError, match=r"folder of a run .*give the .*best$"):
        load(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    save_file({"a": torch.ones(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match="LoRA adapter"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        load(tmp_path / "adapter_config.json")


def test_a_model_without_config_or_of_another_kind_is_refused(second, tmp_path) -> None:
    folder = saved(second, tmp_path / "m")
    (folder / "config.json").write_text('{"model_type": "llava"}')
    with pytest.raises(ConfigError, match='"llava"'):
        load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        load(folder)


def test_another_picture_size_resamples_the_position_table_alone(second, tmp_path) -> None:
    folder = saved(second, tmp_path / "m")
    checkpoint = load_checkpoint(folder, dtype=None, device=CPU, image_size=70)
    assert checkpoint.config.vision_config.image_size == 70
    table = checkpoint.model.vision_tower.position_embedding.weight
    assert table.shape == (25, 24)
    assert torch.allclose(table[0], second.vision_tower.position_embedding.weight[0])
    with pytest.raises(ConfigError, match="multiple of patch_size"):
        load(folder, image_size=71)


@pytest.mark.parity
def test_what_transformers_saves_loads_here(tmp_path) -> None:
    transformers = pytest.importorskip("transformers")
    for model_type in ("gemma", "gemma2"):
        config = tiny_config(model_type)
        theirs = transformers.PaliGemmaForConditionalGeneration(_their_config(config))
        theirs.save_pretrained(tmp_path / model_type)
        ours = dict(load(tmp_path / model_type).named_parameters())
        for name, weight in theirs.state_dict().items():
            if not name.endswith("lm_head.weight"):
                assert torch.equal(ours[from_hub(name)], weight), name


def _their_config(config: PaliGemmaConfig) -> object:
    from transformers import PaliGemmaConfig as TheirConfig

    from palikit.config_json import config_to_json

    data = config_to_json(config, "float32")
    return TheirConfig.from_dict(data)
