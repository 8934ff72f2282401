"""Names of weights: the Hugging Face layouts on one side, the model's own on the other.

Four layouts are in use. The decoder stands under `language_model.model.` (as released) or
`model.language_model.` (transformers 4.52 and later), the tower under `vision_tower.vision_model.`
or, in transformers 5, `vision_tower.` alone; a file mixes the two as its writer did.
"""

import re

from palikit.config import PaliGemmaConfig

HEAD = "lm_head.weight"
"""The output head, under any of its names; PaliGemma ties it to the embedding table."""

EMBEDDING = "language_model.embed_tokens.weight"
POSITIONS = "vision_tower.position_embedding.weight"

_TEXT = re.compile(r"(?:model\.)?language_model\.(?:model\.)?((?:embed_tokens|layers|norm)\..+)")
_HEAD = re.compile(r"(?:model\.)?(?:language_model\.)?lm_head\.weight")
_VISION = re.compile(
    r"(?:model\.)?vision_tower\.(?:vision_model\.)?(?:(?:embeddings|encoder)\.)?"
    r"((?:patch_embedding|position_embedding|layers|post_layernorm)\..+)"
)
_PROJECTOR = re.compile(r"(?:model\.)?multi_modal_projector\.linear\.(weight|bias)")
# Not weights: tables of indices and angles that old writers stored with them.
_COMPUTED = re.compile(r".+\.(?:position_ids|rotary_emb\.inv_freq)")


def from_hub(name: str) -> str | None:
    """The model's name for a weight of a Hugging Face file; None where there is none.

    `HEAD` stands for the output head under any spelling.
    """
    if is_computed(name):
        return None
    if _HEAD.fullmatch(name):
        return HEAD
    for pattern, prefix in (
        (_TEXT, "language_model."),
        (_VISION, "vision_tower."),
        (_PROJECTOR, "multi_modal_projector."),
    ):
        if match := pattern.fullmatch(name):
            return prefix + match[1]
    return None


def is_computed(name: str) -> bool:
    """Whether an entry of a file can be left out: it holds no weight."""
    return _COMPUTED.fullmatch(name) is not None


def to_hub(name: str) -> str:
    """The released Hugging Face name of one of the model's weights."""
    tower, _, rest = name.partition(".")
    if tower == "language_model":
        return f"language_model.model.{rest}"
    if tower == "multi_modal_projector":
        return f"multi_modal_projector.linear.{rest}"
    section = {"patch_embedding": "embeddings.", "position_embedding": "embeddings."}.get(
        rest.partition(".")[0], "encoder." if rest.startswith("layers.") else ""
    )
    return f"vision_tower.vision_model.{section}{rest}"


def expected_shapes(config: PaliGemmaConfig) -> dict[str, tuple[int, ...]]:
    """Every weight of a model by its own name, with its shape."""
    vision, text = config.vision_config, config.text_config
    D, W = vision.hidden_size, text.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "vision_tower.patch_embedding.weight": (D, 3, vision.patch_size, vision.patch_size),
        "vision_tower.patch_embedding.bias": (D,),
        POSITIONS: (vision.num_image_tokens, D),
        "vision_tower.post_layernorm.weight": (D,),
        "vision_tower.post_layernorm.bias": (D,),
        "multi_modal_projector.weight": (W, D),
        "multi_modal_projector.bias": (W,),
        EMBEDDING: (text.vocab_size, W),
        "language_model.norm.weight": (W,),
    }
    for prefix, count, layer in (
        ("vision_tower.layers", vision.num_hidden_layers, _vision_layer(config)),
        ("language_model.layers", text.num_hidden_layers, _text_layer(config)),
    ):
        for index in range(count):
            shapes.update({f"{prefix}.{index}.{name}": shape for name, shape in layer.items()})
    return shapes


def _vision_layer(config: PaliGemmaConfig) -> dict[str, tuple[int, ...]]:
    D, F = config.vision_config.hidden_size, config.vision_config.intermediate_size
    linears = {f"self_attn.{name}_proj": (D, D) for name in ("q", "k", "v", "out")}
    linears |= {"mlp.fc1": (F, D), "mlp.fc2": (D, F)}
    layer: dict[str, tuple[int, ...]] = {}
    for name, shape in linears.items():
        layer |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in ("layer_norm1", "layer_norm2"):
        layer |= {f"{name}.weight": (D,), f"{name}.bias": (D,)}
    return layer


def _text_layer(config: PaliGemmaConfig) -> dict[str, tuple[int, ...]]:
    text = config.text_config
    W, M = text.hidden_size, text.intermediate_size
    queries = text.num_attention_heads * text.head_dim
    keys = text.num_key_value_heads * text.head_dim
    norms = ["input_layernorm", "post_attention_layernorm"]
    if text.has_post_norms:
        norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
    return {
        "self_attn.q_proj.weight": (queries, W),
        "self_attn.k_proj.weight": (keys, W),
        "self_attn.v_proj.weight": (keys, W),
        "self_attn.o_proj.weight": (W, queries),
        "mlp.gate_proj.weight": (M, W),
        "mlp.up_proj.weight": (M, W),
        "mlp.down_proj.weight": (W, M),
        **{f"{name}.weight": (W,) for name in norms},
    }
