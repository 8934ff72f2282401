"""The shape of a model. Field names are those of the released `config.json`.

Reading and writing that file is in `palikit.config_json`; what was released, and under which
names, is in `palikit.published`.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from palikit.errors import ConfigError
from palikit.vocab import PALIGEMMA

TextModelType = Literal["gemma", "gemma2"]


@dataclass(frozen=True)
class VisionConfig:
    """SigLIP image tower; the defaults are So400m/14 at 224 px, the tower of every release."""

    hidden_size: int = 1152
    intermediate_size: int = 4304
    num_hidden_layers: int = 27
    num_attention_heads: int = 16
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 14
    layer_norm_eps: float = 1e-6

    @property
    def num_image_tokens(self) -> int:
        """Tokens one picture becomes: 256, 1024 and 4096 at 224, 448 and 896 px."""
        return (self.image_size // self.patch_size) ** 2


@dataclass(frozen=True)
class TextConfig:
    """Gemma decoder, first or second generation; the defaults are PaliGemma 3B's Gemma.

    Attributes:
        vocab_size: rows of the embedding table: 257152 as trained, 257216 in Hugging Face files.
        query_pre_attn_scalar: queries are divided by its square root; not always `head_dim`.
        attn_logit_softcapping: attention logits become cap * tanh(logit / cap); None is off.
        final_logit_softcapping: the same for the output.
    """

    model_type: TextModelType = "gemma"
    vocab_size: int = 257216
    hidden_size: int = 2048
    intermediate_size: int = 16384
    num_hidden_layers: int = 18
    num_attention_heads: int = 8
    num_key_value_heads: int = 1
    head_dim: int = 256
    query_pre_attn_scalar: float = 256.0
    attn_logit_softcapping: float | None = None
    final_logit_softcapping: float | None = None
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    max_position_embeddings: int = 8192

    @property
    def has_post_norms(self) -> bool:
        """Gemma 2 normalises the output of attention and MLP too, before adding it."""
        return self.model_type == "gemma2"


@dataclass(frozen=True)
class PaliGemmaConfig:
    """A whole model.

    Attributes:
        image_token_index: id that stands for an image token in Hugging Face's input_ids; it has
            no row in a 257152-row table and is never looked up.
    """

    vision_config: VisionConfig = field(default_factory=VisionConfig)
    text_config: TextConfig = field(default_factory=TextConfig)
    image_token_index: int = PALIGEMMA.image_id
    pad_token_id: int = PALIGEMMA.pad_id
    bos_token_id: int = PALIGEMMA.bos_id
    eos_token_id: int = PALIGEMMA.eos_id

    def __post_init__(self) -> None:
        _validate(self)

    @property
    def family(self) -> str:
        """`"PaliGemma"` or `"PaliGemma 2"`."""
        return "PaliGemma 2" if self.text_config.model_type == "gemma2" else "PaliGemma"

    def with_image_size(self, image_size: int) -> "PaliGemmaConfig":
        """The same model for another picture side in pixels.

        Raises:
            ConfigError: `image_size` is not a multiple of the patch size.
        """
        return replace(self, vision_config=replace(self.vision_config, image_size=image_size))

    def with_vocab_size(self, vocab_size: int) -> "PaliGemmaConfig":
        """The same model with another number of rows in its embedding table."""
        return replace(self, text_config=replace(self.text_config, vocab_size=vocab_size))


def parameter_count(config: PaliGemmaConfig) -> int:
    """Number of weights; the tied head counts once."""
    vision, text = config.vision_config, config.text_config
    D, F = vision.hidden_size, vision.intermediate_size
    patches = D * vision.num_channels * vision.patch_size**2 + D + vision.num_image_tokens * D
    block = 4 * (D * D + D) + (D * F + F) + (F * D + D) + 4 * D
    tower = patches + vision.num_hidden_layers * block + 2 * D
    W, M = text.hidden_size, text.intermediate_size
    heads = 2 * text.num_attention_heads + 2 * text.num_key_value_heads
    layer = heads * text.head_dim * W + 3 * W * M + (4 if text.has_post_norms else 2) * W
    decoder = text.vocab_size * W + text.num_hidden_layers * layer + W
    return tower + (D * W + W) + decoder


def size_name(config: PaliGemmaConfig) -> str:
    """Size as it is spoken of: `"3B"`, `"10B"`, `"28B"`, or such as `"12M"` for other models."""
    count = parameter_count(config)
    for unit, scale in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= scale:
            return f"{round(count / scale)}{unit}"
    return str(count)


def kv_bytes_per_token(config: PaliGemmaConfig, itemsize: int) -> int:
    """Bytes that one token, image tokens included, takes in the key/value cache.

    Args:
        config: the model.
        itemsize: bytes of one number: 2 for bfloat16 and float16, 4 for float32.
    """
    text = config.text_config
    return 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim * itemsize


def _validate(config: PaliGemmaConfig) -> None:
    """Bounds are far above every release and low enough that a file cannot ask for the absurd."""
    vision, text = config.vision_config, config.text_config
    for where, section, names, largest in (
        ("vision_config", vision, ("hidden_size", "intermediate_size"), 2**18),
        ("vision_config", vision, ("num_hidden_layers", "num_attention_heads"), 1000),
        ("vision_config", vision, ("image_size", "patch_size"), 2**14),
        ("text_config", text, ("hidden_size", "intermediate_size", "head_dim"), 2**18),
        ("text_config", text, ("num_hidden_layers", "num_attention_heads"), 1000),
        ("text_config", text, ("num_key_value_heads",), 1000),
        ("text_config", text, ("vocab_size", "max_position_embeddings"), 2**24),
    ):
        for name in names:
            _bound(f"{where}.{name}", getattr(section, name), 1, largest)
    for name in ("image_token_index", "pad_token_id", "bos_token_id", "eos_token_id"):
        _bound(name, getattr(config, name), 0, 2**24)
    _validate_relations(vision, text)
    if parameter_count(config) > 10**12:
        raise ConfigError(f"the config asks for {parameter_count(config):,} weights: 10^12 at most")


def _validate_relations(vision: VisionConfig, text: TextConfig) -> None:
    if vision.num_channels != 3:
        raise ConfigError(f"vision_config.num_channels is {vision.num_channels}: pictures have 3")
    for name, value, divisor_name, divisor in (
        ("image_size", vision.image_size, "patch_size", vision.patch_size),
        ("hidden_size", vision.hidden_size, "num_attention_heads", vision.num_attention_heads),
        (
            "num_attention_heads",
            text.num_attention_heads,
            "num_key_value_heads",
            text.num_key_value_heads,
        ),
        ("head_dim", text.head_dim, "the two halves that rotate", 2),
    ):
        if value % divisor:
            raise ConfigError(
                f"{name} is {value}: it must be a multiple of {divisor_name}, {divisor}"
            )
    for name, number in (
        ("vision_config.layer_norm_eps", vision.layer_norm_eps),
        ("rms_norm_eps", text.rms_norm_eps),
        ("rope_theta", text.rope_theta),
        ("query_pre_attn_scalar", text.query_pre_attn_scalar),
        ("attn_logit_softcapping", text.attn_logit_softcapping),
        ("final_logit_softcapping", text.final_logit_softcapping),
    ):
        if number is not None and not (number > 0 and math.isfinite(number)):
            raise ConfigError(f"{name} is {number}: expected a positive number")


def _bound(name: str, value: int, smallest: int, largest: int) -> None:
    if not smallest <= value <= largest:
        raise ConfigError(f"{name} is {value}: expected {smallest} to {largest}")
