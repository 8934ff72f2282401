"""The shape of a model: its file, its bounds, its size, and what was released."""

import contextlib
import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palikit.config import (
    PaliGemmaConfig,
    TextConfig,
    VisionConfig,
    kv_bytes_per_token,
    parameter_count,
    size_name,
)
from palikit.config_json import config_from_json, config_to_json
from palikit.errors import ConfigError
from palikit.published import PUBLISHED, config_for, find_published

FIRST_VISION = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "model_type": "siglip_vision_model",
    "num_attention_heads": 16,
    "num_hidden_layers": 27,
    "num_image_tokens": 256,
    "patch_size": 14,
    "projection_dim": 2048,
    "projector_hidden_act": "gelu_fast",
    "vision_use_head": False,
}


def first_release() -> dict[str, Any]:
    """PaliGemma 3B at 224: what its file says, and all that it leaves out."""
    return {
        "architectures": ["PaliGemmaForConditionalGeneration"],
        "bos_token_id": 2,
        "eos_token_id": 1,
        "hidden_size": 2048,
        "ignore_index": -100,
        "image_token_index": 257152,
        "model_type": "paligemma",
        "pad_token_id": 0,
        "projection_dim": 2048,
        "text_config": {
            "hidden_size": 2048,
            "intermediate_size": 16384,
            "model_type": "gemma",
            "num_attention_heads": 8,
            "num_hidden_layers": 18,
            "num_image_tokens": 256,
            "num_key_value_heads": 1,
            "torch_dtype": "float32",
            "vocab_size": 257216,
        },
        "torch_dtype": "float32",
        "vision_config": dict(FIRST_VISION),
    }


def second_release() -> dict[str, Any]:
    """PaliGemma 2 28B at 448, without the top-level hidden_size that its converter removes."""
    data = first_release()
    del data["hidden_size"]
    data["projection_dim"] = 4608
    data["text_config"] = {
        "cache_implementation": "hybrid",
        "final_logit_softcapping": 30.0,
        "attn_logit_softcapping": 50.0,
        # As in the dict of gemma-2-it, from which the released section descends.
        "eos_token_id": [1, 107],
        "head_dim": 128,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": 4608,
        "intermediate_size": 36864,
        "model_type": "gemma2",
        "num_attention_heads": 32,
        "num_hidden_layers": 46,
        "num_key_value_heads": 16,
        "query_pre_attn_scalar": 144,
        "rope_theta": 10000.0,
        "sliding_window": 4096,
        "vocab_size": 257216,
    }
    data["vision_config"] |= {"image_size": 448, "projection_dim": 4608}
    return data


def changed(**sections: Any) -> dict[str, Any]:
    """The first release with values put into a section (a dict) or at the top."""
    data = first_release()
    for name, value in sections.items():
        data[name] = {**data.get(name, {}), **value} if name.endswith("_config") else value
    return data


def test_released_files_give_the_released_configs() -> None:
    assert config_from_json(first_release()) == config_for("PaliGemma", "3B", 224)
    assert config_from_json(second_release()) == config_for("PaliGemma 2", "28B", 448)


def test_the_layout_of_transformers_5_is_read_too() -> None:
    data = first_release()
    del data["torch_dtype"]
    data["dtype"] = "bfloat16"
    data["text_config"] |= {
        "attention_bias": False,
        "use_bidirectional_attention": True,
        "rope_parameters": {"rope_theta": 500.0, "rope_type": "default"},
    }
    config = config_from_json(data)
    assert config.text_config.rope_theta == 500.0
    assert replace(config.text_config, rope_theta=10000.0) == TextConfig()


def test_what_a_file_leaves_out_is_the_reference_implementations_default() -> None:
    empty = {"model_type": "paligemma", "vision_config": {}, "text_config": {}}
    config = config_from_json(empty | {"projection_dim": 3072})
    assert config.vision_config == VisionConfig(768, 3072, 12, 12, 3, 224, 16)
    assert (config.text_config.hidden_size, config.text_config.num_hidden_layers) == (3072, 28)
    second = config_from_json(empty | {"text_config": {"model_type": "gemma2"}})
    assert (second.text_config.hidden_size, second.text_config.num_hidden_layers) == (2304, 26)
    assert second.text_config.attn_logit_softcapping == 50.0


@pytest.mark.parity
def test_defaults_are_those_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    sections = {"vision_config": {"vision_use_head": False}}
    for theirs in (transformers.GemmaConfig(), transformers.Gemma2Config()):
        data = {"model_type": "paligemma", "text_config": {"model_type": theirs.model_type}}
        ours = config_from_json(data | sections)
        for name in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                     "num_attention_heads", "num_key_value_heads", "head_dim", "rms_norm_eps",
                     "max_position_embeddings"):  # fmt: skip
            assert getattr(ours.text_config, name) == getattr(theirs, name), name
        assert ours.text_config.rope_theta == theirs.rope_parameters["rope_theta"]
    for name in ("query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping"):
        assert getattr(ours.text_config, name) == getattr(theirs, name), name
    vision = transformers.SiglipVisionConfig()
    for name, value in vars(ours.vision_config).items():
        assert value == getattr(vision, name), name


def test_sizes_of_the_top_level_are_never_read() -> None:
    data = second_release() | {"hidden_size": 2048, "vocab_size": 257152}
    config = config_from_json(data)
    assert config.text_config.hidden_size == 4608
    assert config.text_config.vocab_size == 257216


def test_token_ids_of_the_top_level_win_and_a_list_means_its_first() -> None:
    data = second_release() | {"eos_token_id": 5}
    assert config_from_json(data).eos_token_id == 5
    del data["eos_token_id"]
    data["text_config"] |= {"eos_token_id": [7, 107], "bos_token_id": 9, "pad_token_id": None}
    config = config_from_json(data)
    assert (config.eos_token_id, config.bos_token_id, config.pad_token_id) == (7, 2, 0)
    assert config_from_json(data | {"eos_token_id": [1, 107]}).eos_token_id == 1
    for wrong in ([], ["1"], 1.0, True):
        with pytest.raises(ConfigError, match=r"^eos_token_id is"):
            config_from_json(data | {"eos_token_id": wrong})


def test_soft_caps_can_be_switched_off_and_the_first_generation_has_none() -> None:
    data = second_release()
    data["text_config"]["final_logit_softcapping"] = None
    assert config_from_json(data).text_config.final_logit_softcapping is None
    config = config_from_json(changed(text_config={"attn_logit_softcapping": 50.0}))
    assert config.text_config.attn_logit_softcapping is None


def test_a_config_survives_its_own_file() -> None:
    for published in PUBLISHED:
        config = config_for(published.family, published.size, published.image_size)
        text = json.dumps(config_to_json(config, "bfloat16"))
        assert config_from_json(json.loads(text)) == config


@pytest.mark.parity
def test_transformers_reads_the_file_we_write() -> None:
    transformers = pytest.importorskip("transformers")
    config = config_for("PaliGemma 2", "28B", 896)
    theirs = transformers.PaliGemmaConfig.from_dict(config_to_json(config, "bfloat16"))
    assert config_from_json(theirs.to_dict()) == config
    assert theirs.text_config.sliding_window == 4096


@pytest.mark.parametrize("model_type", ["llava", "gemma3", None])
def test_a_config_of_another_model_is_named(model_type) -> None:
    with pytest.raises(ConfigError, match=f'model_type "{model_type}"'):
        config_from_json(first_release() | {"model_type": model_type})


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("text_config.model_type", changed(text_config={"model_type": "gemma3_text"})),
        ("text_config.attention_bias", changed(text_config={"attention_bias": True})),
        ("text_config.hidden_act", changed(text_config={"hidden_act": "relu"})),
        ("text_config.hidden_activation", changed(text_config={"hidden_activation": "gelu"})),
        ("text_config.rope_scaling", changed(text_config={"rope_scaling": {"type": "linear"}})),
        (
            "rope_parameters.rope_type",
            changed(text_config={"rope_parameters": {"rope_type": "yarn"}}),
        ),
        ("rope_parameters", changed(text_config={"rope_parameters": [1]})),
        (
            "use_bidirectional_attention",
            changed(text_config={"use_bidirectional_attention": False}),
        ),
        ("tie_word_embeddings", changed(tie_word_embeddings=False)),
        ("text_config.tie_word_embeddings", changed(text_config={"tie_word_embeddings": False})),
        ("vision_config.vision_use_head", changed(vision_config={"vision_use_head": True})),
        ("vision_config.hidden_act", changed(vision_config={"hidden_act": "gelu"})),
        ("quantization_config", changed(quantization_config={"load_in_4bit": True})),
        ("projection_dim", changed(projection_dim=2304)),
        ("vision_config", {"model_type": "paligemma", "text_config": {}}),
    ],
)
def test_what_would_change_the_arithmetic_is_refused_by_name(name, data) -> None:
    with pytest.raises(ConfigError, match=name):
        config_from_json(data)


def test_names_of_the_tanh_gelu_are_accepted() -> None:
    for name in ("gelu", "gelu_pytorch_tanh", "gelu_new", None):
        config_from_json(changed(text_config={"hidden_act": name}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", 0),
        ("hidden_size", -2048),
        ("hidden_size", 2048.0),
        ("hidden_size", "2048"),
        ("hidden_size", True),
        ("hidden_size", 2**40),
        ("num_hidden_layers", 1001),
        ("num_hidden_layers", 10**30),
        ("num_key_value_heads", 3),
        ("head_dim", 255),
        ("vocab_size", 10**9),
        ("rms_norm_eps", 0),
        ("rms_norm_eps", math.nan),
        ("rope_theta", math.inf),
        ("rope_theta", 10**400),
        ("rope_theta", "ten thousand"),
        ("intermediate_size", [1]),
    ],
)
def test_impossible_values_are_refused_by_name(field, value) -> None:
    data = changed(text_config={field: value})
    data.pop("projection_dim")
    with pytest.raises(ConfigError, match=field if field != "num_key_value_heads" else "heads"):
        config_from_json(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [("image_size", 225), ("num_attention_heads", 7), ("num_channels", 1), ("image_size", [1, 2])],
)
def test_impossible_towers_are_refused_by_name(field, value) -> None:
    with pytest.raises(ConfigError, match=field):
        config_from_json(changed(vision_config={field: value}))


def test_many_large_values_together_are_refused() -> None:
    large = {"hidden_size": 2**17, "intermediate_size": 2**18, "num_hidden_layers": 900}
    data = changed(text_config=large)
    data.pop("projection_dim")
    with pytest.raises(ConfigError, match="weights"):
        config_from_json(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


@given(st.data(), json_values)
def test_any_value_anywhere_gives_a_config_or_a_config_error(data, value) -> None:
    content = second_release()
    place = data.draw(st.sampled_from(["vision_config", "text_config", ""]))
    section = content[place] if place else content
    section[data.draw(st.sampled_from([*section, "rope_parameters", "layer_norm_eps"]))] = value
    with contextlib.suppress(ConfigError):
        assert isinstance(config_from_json(content), PaliGemmaConfig)


@pytest.mark.parametrize(
    ("family", "size", "padded", "trained", "cache"),
    [
        ("PaliGemma", "3B", 2_923_466_480, 2_923_335_408, 18_432),
        ("PaliGemma 2", "3B", 3_032_242_416, 3_032_094_960, 106_496),
        ("PaliGemma 2", "10B", 9_662_638_832, 9_662_409_456, 344_064),
        ("PaliGemma 2", "28B", 27_650_487_024, 27_650_192_112, 376_832),
    ],
)
def test_counts_are_exact_for_every_released_size(family, size, padded, trained, cache) -> None:
    config = config_for(family, size, 224)
    assert parameter_count(config) == padded
    assert parameter_count(config.with_vocab_size(257152)) == trained
    assert kv_bytes_per_token(config, 2) == cache
    assert parameter_count(config_for(family, size, 448)) == padded + 884_736
    assert parameter_count(config_for(family, size, 896)) == padded + 4_423_680
    assert (config.family, size_name(config)) == (family, size)


def test_small_models_are_named_by_their_count() -> None:
    vision = VisionConfig(64, 128, 2, 2, 3, 56, 14)
    text = TextConfig(
        vocab_size=257216,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        head_dim=32,
    )
    config = PaliGemmaConfig(vision, text)
    assert size_name(config) == f"{round(parameter_count(config) / 1e6)}M"
    assert size_name(config.with_vocab_size(300)).endswith("K")


def test_another_picture_side_must_be_whole_patches() -> None:
    config = config_for("PaliGemma", "3B", 224)
    assert config.with_image_size(448).vision_config.num_image_tokens == 1024
    with pytest.raises(ConfigError, match="multiple of patch_size, 14"):
        config.with_image_size(230)


def test_names_of_released_checkpoints_say_what_they_are() -> None:
    assert len({checkpoint.name for checkpoint in PUBLISHED}) == len(PUBLISHED)
    for checkpoint in PUBLISHED:
        assert checkpoint.name.endswith(f"-{checkpoint.image_size}")
        assert f"-{checkpoint.variant}-" in checkpoint.name
        assert f"-{checkpoint.size.lower()}-" in checkpoint.name
        assert ("paligemma2" in checkpoint.name) == (checkpoint.family == "PaliGemma 2")
        assert bool(checkpoint.task) == (checkpoint.variant == "ft")
        main = "float32" if checkpoint.family == "PaliGemma" else "bfloat16"
        assert checkpoint.revisions[0] == ("main", main)


def test_released_checkpoints_are_found_by_any_of_their_names() -> None:
    docvqa = find_published("google/paligemma-3b-ft-docvqa-896")
    assert docvqa is not None
    assert (docvqa.task, docvqa.text_length) == ("DocVQA", 32)
    assert find_published("paligemma-3b-ft-docvqa-896") == docvqa
    assert find_published("google/paligemma-3b-ft-docvqa-896-jax") == docvqa
    assert find_published("google/paligemma-3b-ft-docvqa-897") is None


def test_a_size_that_was_never_released_is_refused() -> None:
    with pytest.raises(ConfigError, match="released sizes are PaliGemma 3B"):
        config_for("PaliGemma", "10B", 224)
