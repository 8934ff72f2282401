"""The layout of the JAX release, read and written."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from palikit.checkpoints import load_checkpoint, save_checkpoint, save_npz
from palikit.config import PaliGemmaConfig
from palikit.errors import CheckpointError
from palikit.model.paligemma import PaliGemma
from palikit.vocab import PALIGEMMA
from tests.checkpoints.conftest import (
    IMAGE_TOKEN,
    assert_same_weights,
    fail_at,
    tiny_config,
    tiny_model,
)

CPU = torch.device("cpu")


def load(path: Path, dtype: torch.dtype | None = None) -> PaliGemma:
    return load_checkpoint(path, dtype=dtype, device=CPU).model


def jax_arrays(model: PaliGemma) -> dict[str, np.ndarray]:
    """The release's arrays, built weight by weight from what each einsum means."""
    w = {name: weight.detach().float().numpy() for name, weight in model.named_parameters()}
    vision, text = model.config.vision_config, model.config.text_config
    n, D = vision.num_attention_heads, vision.hidden_size
    N, K, H = text.num_attention_heads, text.num_key_value_heads, text.head_dim
    tower = [f"vision_tower.layers.{i}" for i in range(vision.num_hidden_layers)]
    layers = [f"language_model.layers.{i}" for i in range(text.num_hidden_layers)]
    out: dict[str, np.ndarray] = {}

    block = "img/Transformer/encoderblock"
    for index in (0, 1):
        for theirs, ours in (("scale", "weight"), ("bias", "bias")):
            rows = [w[f"{layer}.layer_norm{index + 1}.{ours}"] for layer in tower]
            out[f"{block}/LayerNorm_{index}/{theirs}"] = np.stack(rows)
    attention = f"{block}/MultiHeadDotProductAttention_0"
    for theirs, ours in (("query", "q"), ("key", "k"), ("value", "v")):
        kernels = [w[f"{x}.self_attn.{ours}_proj.weight"].T.reshape(D, n, D // n) for x in tower]
        out[f"{attention}/{theirs}/kernel"] = np.stack(kernels)
        biases = [w[f"{x}.self_attn.{ours}_proj.bias"].reshape(n, D // n) for x in tower]
        out[f"{attention}/{theirs}/bias"] = np.stack(biases)
    kernels = [w[f"{x}.self_attn.out_proj.weight"].T.reshape(n, D // n, D) for x in tower]
    out[f"{attention}/out/kernel"] = np.stack(kernels)
    out[f"{attention}/out/bias"] = np.stack([w[f"{x}.self_attn.out_proj.bias"] for x in tower])
    for index in (0, 1):
        dense = f"{block}/MlpBlock_0/Dense_{index}"
        out[f"{dense}/kernel"] = np.stack([w[f"{x}.mlp.fc{index + 1}.weight"].T for x in tower])
        out[f"{dense}/bias"] = np.stack([w[f"{x}.mlp.fc{index + 1}.bias"] for x in tower])
    # [out, in, height, width] -> [height, width, in, out]
    out["img/embedding/kernel"] = np.einsum("oihw->hwio", w["vision_tower.patch_embedding.weight"])
    out["img/embedding/bias"] = w["vision_tower.patch_embedding.bias"]
    out["img/pos_embedding"] = w["vision_tower.position_embedding.weight"][None]
    out["img/Transformer/encoder_norm/scale"] = w["vision_tower.post_layernorm.weight"]
    out["img/Transformer/encoder_norm/bias"] = w["vision_tower.post_layernorm.bias"]
    out["img/head/kernel"] = w["multi_modal_projector.weight"].T
    out["img/head/bias"] = w["multi_modal_projector.bias"]

    out["llm/embedder/input_embedding"] = w["language_model.embed_tokens.weight"]
    out["llm/final_norm/scale"] = w["language_model.norm.weight"]

    def heads(layer: str, name: str, count: int) -> np.ndarray:  # [heads, width, head size]
        return np.einsum("nhw->nwh", w[f"{layer}.self_attn.{name}.weight"].reshape(count, H, -1))

    out["llm/layers/attn/q_einsum/w"] = np.stack([heads(x, "q_proj", N) for x in layers])
    out["llm/layers/attn/kv_einsum/w"] = np.stack(
        [np.stack([heads(x, "k_proj", K), heads(x, "v_proj", K)]) for x in layers]
    )
    outs = [w[f"{x}.self_attn.o_proj.weight"].T.reshape(N, H, -1) for x in layers]
    out["llm/layers/attn/attn_vec_einsum/w"] = np.stack(outs)
    gates = [
        np.stack([w[f"{x}.mlp.gate_proj.weight"].T, w[f"{x}.mlp.up_proj.weight"].T]) for x in layers
    ]
    out["llm/layers/mlp/gating_einsum"] = np.stack(gates)
    out["llm/layers/mlp/linear"] = np.stack([w[f"{x}.mlp.down_proj.weight"].T for x in layers])
    norms = {"pre_attention_norm": "input_layernorm", "pre_ffw_norm": "post_attention_layernorm"}
    if text.has_post_norms:
        norms = {
            "pre_attention_norm": "input_layernorm",
            "post_attention_norm": "post_attention_layernorm",
            "pre_ffw_norm": "pre_feedforward_layernorm",
            "post_ffw_norm": "post_feedforward_layernorm",
        }
    for theirs, ours in norms.items():
        out[f"llm/layers/{theirs}/scale"] = np.stack([w[f"{x}.{ours}.weight"] for x in layers])
    return {key: np.ascontiguousarray(value) for key, value in out.items()}


def without_last_rows(model: PaliGemma) -> PaliGemma:
    """The same model with the table of the JAX release: no row for <image> and none after it."""
    state = model.state_dict()
    table = state["language_model.embed_tokens.weight"][:IMAGE_TOKEN]
    small = PaliGemma(model.config.with_vocab_size(IMAGE_TOKEN)).to(model.dtype)
    small.load_state_dict({**state, "language_model.embed_tokens.weight": table})
    return small


@pytest.mark.parametrize("prefix", ["", "params/", "opt/target/"])
def test_the_release_loads_into_the_right_weights(model, tmp_path, prefix) -> None:
    arrays = {prefix + key: array for key, array in jax_arrays(model).items()}
    np.savez(tmp_path / "m.npz", **arrays)
    checkpoint = load_checkpoint(tmp_path / "m.npz", dtype=None, device=CPU)
    assert checkpoint.format == "npz"
    assert_same_weights(checkpoint.model, model)
    assert checkpoint.config.text_config == model.config.text_config
    assert checkpoint.config.vision_config == model.config.vision_config


def test_a_trainers_state_is_read_for_its_parameters_alone(second, tmp_path) -> None:
    arrays = {f"params/{key}": array for key, array in jax_arrays(second).items()}
    np.savez(tmp_path / "m.npz", **arrays, **{"chrono/steps": np.zeros(1, np.float32)})
    assert_same_weights(load(tmp_path / "m.npz"), second)


def test_a_folder_with_one_npz_is_that_checkpoint(second, tmp_path) -> None:
    np.savez(tmp_path / "m.npz", **jax_arrays(second))
    np.savez(tmp_path / "vae-oid.npz", a=np.zeros(1))
    assert_same_weights(load(tmp_path), second)
    np.savez(tmp_path / "n.npz", a=np.zeros(1))
    with pytest.raises(CheckpointError, match=r"several \.npz files"):
        load(tmp_path)


def test_compressed_archives_are_read_too(second, tmp_path) -> None:
    np.savez_compressed(tmp_path / "m.npz", **jax_arrays(second))
    assert_same_weights(load(tmp_path / "m.npz"), second)


def test_what_is_written_is_the_release_bit_for_bit(model, tmp_path) -> None:
    model = without_last_rows(model)
    save_npz(model, tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz", allow_pickle=False) as written:
        expected = {f"params/{key}": array for key, array in jax_arrays(model).items()}
        assert set(written.files) == set(expected)
        for key, array in expected.items():
            assert written[key].dtype == np.float32
            np.testing.assert_array_equal(written[key], array)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_round_trip_keeps_every_bit_and_the_dtype(model, tmp_path, dtype) -> None:
    model = without_last_rows(model).to(dtype)
    save_npz(model, tmp_path / "m.npz")
    checkpoint = load_checkpoint(tmp_path / "m.npz", dtype=None, device=CPU)
    assert checkpoint.stored_dtype == dtype
    assert_same_weights(checkpoint.model, model)
    assert_same_weights(load(tmp_path / "m.npz", torch.float32), model.to(torch.float32))


def test_bfloat16_is_two_bytes_without_a_meaning_as_in_the_release(second, tmp_path) -> None:
    save_npz(second, tmp_path / "m.npz", dtype=torch.bfloat16)
    with np.load(tmp_path / "m.npz", allow_pickle=False) as written:
        stored = written["params/llm/final_norm/scale"]
    assert stored.dtype.str == "|V2"
    bits = second.language_model.norm.weight.detach().to(torch.bfloat16).view(torch.int16).numpy()
    np.testing.assert_array_equal(stored.view(np.int16), bits)


def test_rows_from_image_on_are_left_out_of_the_jax_table(second, tmp_path) -> None:
    save_npz(second, tmp_path / "m.npz")
    assert load(tmp_path / "m.npz").language_model.embed_tokens.weight.shape[0] == IMAGE_TOKEN


def test_what_shapes_do_not_tell_is_kept_beside_the_file(tmp_path) -> None:
    base = tiny_config()
    text = base.with_vocab_size(IMAGE_TOKEN).text_config
    changed = {"query_pre_attn_scalar": 5.0, "final_logit_softcapping": None}
    config = PaliGemmaConfig(
        base.vision_config, type(text)(**{**vars(text), **changed}), image_token_index=IMAGE_TOKEN
    )
    model = tiny_model(config)
    save_npz(model, tmp_path / "m.npz")
    assert load_checkpoint(tmp_path / "m.npz", dtype=None, device=CPU).config == config
    save_npz(tiny_model(tiny_config("gemma")), tmp_path / "m.npz", overwrite=True)
    assert load(tmp_path / "m.npz").config.text_config.model_type == "gemma"


def test_a_config_beside_the_file_must_fit_it(second, tmp_path) -> None:
    save_npz(second, tmp_path / "m.npz")
    save_npz(tiny_model(tiny_config("gemma")), tmp_path / "n.npz")
    (tmp_path / "n.npz").replace(tmp_path / "m.npz")
    config = (tmp_path / "m.config.json").read_text()
    (tmp_path / "m.config.json").write_text(config.replace('"image_size": 42', '"image_size": 56'))
    with pytest.raises(CheckpointError, match="not the config of"):
        load(tmp_path / "m.npz")


def test_an_existing_file_is_kept_unless_told_otherwise(second, tmp_path) -> None:
    save_npz(second, tmp_path / "m.npz")
    with pytest.raises(CheckpointError, match="exists"):
        save_npz(second, tmp_path / "m.npz")
    save_npz(second, tmp_path / "m.npz", overwrite=True)


def with_own_config() -> PaliGemma:
    """A model whose query scale no array tells."""
    base = tiny_config()
    text = type(base.text_config)(**{**vars(base.text_config), "query_pre_attn_scalar": 5.0})
    return tiny_model(PaliGemmaConfig(base.vision_config, text, image_token_index=IMAGE_TOKEN))


def test_a_config_beside_the_file_is_kept_unless_told_otherwise(second, tmp_path) -> None:
    beside = tmp_path / "m.config.json"
    for model in (second, with_own_config()):
        beside.write_text("mine")
        with pytest.raises(CheckpointError, match=r"m\.config\.json exists"):
            save_npz(model, tmp_path / "m.npz")
        assert beside.read_text() == "mine"
        assert not (tmp_path / "m.npz").exists()
    save_npz(with_own_config(), tmp_path / "m.npz", overwrite=True)
    assert json.loads(beside.read_text())["text_config"]["query_pre_attn_scalar"] == 5
    told_by_arrays = replace(tiny_config("gemma"), image_token_index=PALIGEMMA.image_id)
    save_npz(tiny_model(told_by_arrays), tmp_path / "m.npz", overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["m.npz"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(4))
def test_an_interrupted_overwrite_leaves_one_whole_checkpoint(
    tmp_path, monkeypatch, error, after, step
) -> None:
    old = with_own_config()
    save_npz(old, tmp_path / "m.npz")
    new = with_own_config()
    new.language_model.norm.weight.data += 1
    fail_at(monkeypatch, step, error, after=after)
    finished = False
    try:
        save_npz(new, tmp_path / "m.npz", overwrite=True)
        finished = True
    except (KeyboardInterrupt, CheckpointError):
        pass
    monkeypatch.undo()
    assert finished == (step == 3)  # three names change: the loop covers every one of them
    got = load(tmp_path / "m.npz")
    assert got.config.text_config.query_pre_attn_scalar == 5.0
    is_new = finished or (step == 2 and after)
    assert_same_weights(got, without_last_rows(new if is_new else old))


def test_one_report_lists_missing_unknown_and_misshaped_arrays(second, tmp_path) -> None:
    arrays = jax_arrays(second)
    del arrays["llm/final_norm/scale"]
    arrays["llm/extra"] = np.zeros(3, np.float32)
    arrays["img/head/bias"] = np.zeros(31, np.float32)
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(CheckpointError) as error:
        load(tmp_path / "m.npz")
    message = str(error.value)
    assert "1 missing: llm/final_norm/scale" in message
    assert "1 unexpected: llm/extra" in message
    assert "1 of another shape: img/head/bias [31] for [32]" in message


def test_parts_of_a_split_file_are_named_with_the_way_to_join_them(tmp_path) -> None:
    (tmp_path / "big.b16.npz.part-00").write_bytes(b"x")
    for path in (tmp_path, tmp_path / "big.b16.npz.part-00"):
        with pytest.raises(CheckpointError, match=r"cat big\.b16\.npz\.part\* > big\.b16\.npz"):
            load(path)


def test_released_sizes_get_their_own_query_scale_and_caps() -> None:
    from palikit.checkpoints.npz_table import axes_of, config_from_axes
    from palikit.published import PUBLISHED, config_for

    for published in PUBLISHED:
        config = config_for(published.family, published.size, published.image_size)
        config = config.with_vocab_size(257152)
        post_norms = config.text_config.has_post_norms
        assert config_from_axes(axes_of(config), has_post_norms=post_norms) == config
        assert math.isqrt(config.vision_config.num_image_tokens) == published.image_size // 14


def test_npz_and_transformers_folders_hold_the_same_model(model, tmp_path) -> None:
    model = without_last_rows(model)
    save_npz(model, tmp_path / "m.npz")
    save_checkpoint(load(tmp_path / "m.npz"), tmp_path / "m", tokenizer_file=None)
    assert_same_weights(load(tmp_path / "m"), model)
