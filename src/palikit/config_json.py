"""A config from the content of `config.json`, and back.

Values that a file leaves out are the defaults of the reference implementation (transformers'
`SiglipVisionConfig`, `GemmaConfig`, `Gemma2Config`), on which the released files rely.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from palikit.config import PaliGemmaConfig, TextConfig, VisionConfig
from palikit.errors import ConfigError
from palikit.vocab import PALIGEMMA


def config_from_json(data: Mapping[str, Any]) -> PaliGemmaConfig:
    """Read the content of a `config.json`, as released or as later transformers write it.

    `hidden_size` and `vocab_size` of the top level are not read: released files carry defaults
    there that do not hold for PaliGemma 2.

    Raises:
        ConfigError: another model, a value of the wrong kind, or an option that would change the
            arithmetic and is not supported.
    """
    model_type = data.get("model_type")
    if model_type != "paligemma":
        raise ConfigError(
            f'config.json has model_type "{model_type}" and PaliKit runs "paligemma" only: '
            "give a PaliGemma or PaliGemma 2 checkpoint"
        )
    vision, text = _section(data, "vision_config"), _section(data, "text_config")
    _refuse_unsupported(data, vision, text)
    ids = {
        name: _token_id(data, text, name, default)
        for name, default in (
            ("pad_token_id", PALIGEMMA.pad_id),
            ("bos_token_id", PALIGEMMA.bos_id),
            ("eos_token_id", PALIGEMMA.eos_id),
        )
    }
    config = PaliGemmaConfig(
        vision_config=_vision_from_json(vision),
        text_config=_text_from_json(text),
        image_token_index=_read(data, "image_token_index", PALIGEMMA.image_id, ""),
        **ids,
    )
    width = config.text_config.hidden_size
    if data.get("projection_dim") not in (None, width):
        raise ConfigError(
            f"projection_dim is {data['projection_dim']} and text_config.hidden_size is {width}: "
            "they must be equal, image embeddings stand in the same row as text embeddings"
        )
    return config


def config_to_json(config: PaliGemmaConfig, dtype: str) -> dict[str, Any]:
    """The content of a `config.json` that transformers 4.4x and 5.x read.

    `sliding_window` is written as released, 4096: a reader that honours it while decoding loses
    image tokens beyond 4096 positions, as with the released files; PaliKit never applies it.

    Args:
        config: the model.
        dtype: name of the weights' dtype: float32, bfloat16 or float16.
    """
    text, vision = config.text_config, config.vision_config
    return {
        "architectures": ["PaliGemmaForConditionalGeneration"],
        "bos_token_id": config.bos_token_id,
        "eos_token_id": config.eos_token_id,
        "hidden_size": text.hidden_size,
        "ignore_index": -100,
        "image_token_index": config.image_token_index,
        "model_type": "paligemma",
        "pad_token_id": config.pad_token_id,
        "projection_dim": text.hidden_size,
        "text_config": _text_to_json(config, dtype),
        "tie_word_embeddings": True,
        "torch_dtype": dtype,
        "vision_config": {
            "hidden_act": "gelu_pytorch_tanh",
            "model_type": "siglip_vision_model",
            "num_image_tokens": vision.num_image_tokens,
            "projection_dim": text.hidden_size,
            "vision_use_head": False,
            **_plain(vision),
        },
    }


_VISION_DEFAULTS = VisionConfig(
    hidden_size=768,
    intermediate_size=3072,
    num_hidden_layers=12,
    num_attention_heads=12,
    patch_size=16,
)
_GEMMA_DEFAULTS = TextConfig(
    vocab_size=256000,
    hidden_size=3072,
    intermediate_size=24576,
    num_hidden_layers=28,
    num_attention_heads=16,
    num_key_value_heads=16,
)
_GEMMA2_DEFAULTS = TextConfig(
    model_type="gemma2",
    vocab_size=256000,
    hidden_size=2304,
    intermediate_size=9216,
    num_hidden_layers=26,
    num_attention_heads=8,
    num_key_value_heads=4,
    attn_logit_softcapping=50.0,
    final_logit_softcapping=30.0,
)

# All of them are the tanh approximation of GELU under different names.
_TANH_GELU = (None, "gelu_pytorch_tanh", "gelu_new", "gelu_fast")


def _vision_from_json(section: Mapping[str, Any]) -> VisionConfig:
    return VisionConfig(**_fields(section, _VISION_DEFAULTS, "vision_config."))


def _text_from_json(section: Mapping[str, Any]) -> TextConfig:
    model_type = section.get("model_type", "gemma")
    if model_type not in ("gemma", "gemma2"):
        raise ConfigError(
            f'text_config.model_type is "{model_type}": PaliGemma has "gemma" and PaliGemma 2 '
            'has "gemma2"; this is another model'
        )
    values = _fields(
        section, _GEMMA2_DEFAULTS if model_type == "gemma2" else _GEMMA_DEFAULTS, "text_config."
    )
    # transformers 5 keeps rotary settings in a section of their own.
    rope = _rope(section)
    values["rope_theta"] = _read(rope, "rope_theta", values["rope_theta"], "rope_parameters.")
    if model_type == "gemma":
        # The first generation knows none of these three, whatever its file says.
        values["query_pre_attn_scalar"] = float(values["head_dim"])
        values["attn_logit_softcapping"] = values["final_logit_softcapping"] = None
    return TextConfig(**values)


def _fields(
    section: Mapping[str, Any], defaults: VisionConfig | TextConfig, where: str
) -> dict[str, Any]:
    return {
        item.name: _read(section, item.name, getattr(defaults, item.name), where)
        for item in fields(defaults)
    }


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = data.get(name)
    if not isinstance(section, Mapping):
        raise ConfigError(f"config.json has no {name}: it is not the config of a whole PaliGemma")
    return section


def _rope(text: Mapping[str, Any]) -> Mapping[str, Any]:
    return _section(text, "rope_parameters") if text.get("rope_parameters") else {}


def _read(section: Mapping[str, Any], name: str, default: Any, where: str) -> Any:
    """A value of the default's kind; null is a value for soft caps only."""
    value = section.get(name, default)
    if value is None:
        return None if name.endswith("softcapping") else default
    if isinstance(default, (int, str)):
        if type(value) is type(default):
            return value
        kind = "a text" if isinstance(default, str) else "a whole number"
        raise ConfigError(f"{where}{name} is {value!r}: expected {kind}")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e12:
        raise ConfigError(f"{where}{name} is {value!r}: expected a number")
    return float(value)


def _token_id(data: Mapping[str, Any], text: Mapping[str, Any], name: str, default: int) -> int:
    """The top level's id, else that of text_config, which descends from another model's file."""
    for section, where in ((data, ""), (text, "text_config.")):
        value = section.get(name)
        if isinstance(value, list) and value:
            value = value[0]  # gemma-2-it ends at [1, 107]: <eos>, and the end of a chat turn
        if value is not None:
            return int(_read({name: value}, name, default, where))
    return default


def _refuse_unsupported(
    data: Mapping[str, Any], vision: Mapping[str, Any], text: Mapping[str, Any]
) -> None:
    rope = _rope(text)
    # A bare "gelu" in `hidden_act` of Gemma is a slip of the first release and means tanh.
    checks = (
        ("quantization_config", data.get("quantization_config"), (None,)),
        ("tie_word_embeddings", data.get("tie_word_embeddings"), (None, True)),
        ("vision_config.hidden_act", vision.get("hidden_act"), _TANH_GELU),
        ("vision_config.vision_use_head", vision.get("vision_use_head"), (None, False)),
        ("text_config.tie_word_embeddings", text.get("tie_word_embeddings"), (None, True)),
        ("text_config.attention_bias", text.get("attention_bias"), (None, False)),
        ("text_config.hidden_act", text.get("hidden_act"), (*_TANH_GELU, "gelu")),
        ("text_config.hidden_activation", text.get("hidden_activation"), _TANH_GELU),
        (
            "text_config.use_bidirectional_attention",
            text.get("use_bidirectional_attention"),
            (None, True),
        ),
        ("text_config.rope_scaling", text.get("rope_scaling"), (None,)),
        ("text_config.rope_parameters.rope_type", rope.get("rope_type"), (None, "default")),
    )
    for name, value, supported in checks:
        if value not in supported:
            raise ConfigError(
                f"{name} is {value!r}, which would change the model's arithmetic and is not "
                f"supported: expected {' or '.join(map(repr, supported[1:])) or 'it to be absent'}"
            )


def _text_to_json(config: PaliGemmaConfig, dtype: str) -> dict[str, Any]:
    text = config.text_config
    values = {
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "num_image_tokens": config.vision_config.num_image_tokens,
        "pad_token_id": config.pad_token_id,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": config.eos_token_id,
        "torch_dtype": dtype,
        **_plain(text),
    }
    if text.model_type == "gemma":
        for name in ("query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping"):
            del values[name]
    else:
        # transformers insists on a whole number here.
        if text.query_pre_attn_scalar.is_integer():
            values["query_pre_attn_scalar"] = int(text.query_pre_attn_scalar)
        values["sliding_window"] = 4096
    return values


def _plain(section: VisionConfig | TextConfig) -> dict[str, Any]:
    return {item.name: getattr(section, item.name) for item in fields(section)}
