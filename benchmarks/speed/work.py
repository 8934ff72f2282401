"""How much a model has to compute and read, and how fast this machine can do it at most."""

from benchmarks.speed.cases import Contender, Form
from benchmarks.speed.machine import Limits

from palikit.config import PaliGemmaConfig

_WEIGHT_BYTES: dict[Form, float] = {
    "float32": 4,
    "bfloat16": 2,
    "int8": 1,
    "fp8": 1,
    "int4": 0.5,
    "nf4": 0.5,
}
"""Of one weight; scales are not counted, so that a limit is never too low."""

_HEAD_BYTES: dict[Form, float] = {"int4": 1, "nf4": 2}
"""Where they are others than those of the layers: 8 bits, and floats in half precision."""

BITSANDBYTES = "transformers-bitsandbytes-int8"


def operations(config: PaliGemmaConfig, batch: int, text_tokens: int) -> float:
    """Operations, two a product, until the first id of a batch: image tower and decoder.

    The head is computed for one token a row; keys and values alone would do in the last layer,
    which is not taken off.
    """
    vision, text = config.vision_config, config.text_config
    images = vision.num_image_tokens
    length = images + text_tokens
    tower = 4 * vision.hidden_size**2 + 2 * vision.hidden_size * vision.intermediate_size
    tower_scores = 2 * images * vision.hidden_size
    heads = text.num_attention_heads * text.head_dim
    decoder_scores = 2 * length * heads
    each = (
        vision.num_hidden_layers * (tower + tower_scores) * images
        + vision.hidden_size * text.hidden_size * images
        + (_layer_weights(config) + text.num_hidden_layers * decoder_scores) * length
        + text.vocab_size * text.hidden_size
    )
    return 2.0 * batch * each


def _layer_weights(config: PaliGemmaConfig) -> int:
    text = config.text_config
    heads = 2 * text.num_attention_heads + 2 * text.num_key_value_heads
    layer = heads * text.head_dim * text.hidden_size + 3 * text.hidden_size * text.intermediate_size
    return text.num_hidden_layers * layer


def shortest_first_token(
    config: PaliGemmaConfig, contender: Contender, text_tokens: int, limits: Limits
) -> float | None:
    """Seconds that the operations take at the rate of a matrix product; None where not known."""
    rate = limits.rate(contender.engine.form) if contender.engine else None
    return None if rate is None else operations(config, contender.batch, text_tokens) / rate


def highest_decode_rate(
    config: PaliGemmaConfig, contender: Contender, limits: Limits
) -> float | None:
    """Tokens/s if a step took as long as reading the weights; None where not known."""
    engine = contender.engine
    if engine is None or limits.bandwidth is None:
        return None
    head = config.text_config.vocab_size * config.text_config.hidden_size
    is_cpu = limits.copy_bytes_per_second is None
    each = _WEIGHT_BYTES[engine.form]
    head_each = _HEAD_BYTES.get(engine.form, each)
    if engine.form == "int4" and is_cpu:
        each = 1  # laid out in 8 bits
    if engine.name == BITSANDBYTES:
        head_each = 4 if is_cpu else 2  # as it was: in float32 on a CPU, in bfloat16 on a GPU
    return contender.batch * limits.bandwidth / (_layer_weights(config) * each + head * head_each)
