"""The arrays of the JAX release, and how each becomes weights of the model and back.

Axes of the arrays: P patch side, I image tokens, D tower width, F tower MLP, A tower layers,
n tower heads, h tower head size; V table rows, W decoder width, M decoder MLP, L decoder layers,
N query heads, K key/value heads, H head size. A digit is a side of that length. Arrays whose first
axis is A or L hold all layers on top of each other.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from palikit.checkpoints.report import Mismatch
from palikit.config import PaliGemmaConfig, TextConfig, VisionConfig
from palikit.errors import CheckpointError
from palikit.published import VARIANTS

Kind = Literal["same", "matrix", "heads", "conv"]


@dataclass(frozen=True)
class NpzArray:
    """One array.

    Attributes:
        key: its name, without the `params/` in front of it.
        axes: its sides, as in the legend above, separated by blanks.
        kind: same: as it is, axes joined. matrix: inputs before outputs, to be transposed.
            heads: [heads, in, head size]. conv: height, width, in, out.
        names: weights of the model it becomes, `{}` standing for the layer; several names share
            the array's next axis.
    """

    key: str
    axes: str
    kind: Kind
    names: tuple[str, ...]

    @property
    def is_stacked(self) -> bool:
        """Whether the first axis counts layers."""
        return self.axes[0] in "AL"


_BLOCK = "img/Transformer/encoderblock"
_ATTENTION = f"{_BLOCK}/MultiHeadDotProductAttention_0"
_TOWER = "vision_tower.layers.{}"
_LAYER = "language_model.layers.{}"

_TOWER_ARRAYS = (
    NpzArray("img/embedding/kernel", "P P 3 D", "conv", ("vision_tower.patch_embedding.weight",)),
    NpzArray("img/embedding/bias", "D", "same", ("vision_tower.patch_embedding.bias",)),
    NpzArray("img/pos_embedding", "1 I D", "same", ("vision_tower.position_embedding.weight",)),
    *(
        NpzArray(f"{_BLOCK}/LayerNorm_{index}/{theirs}", "A D", "same", (f"{_TOWER}.{ours}",))
        for index in (0, 1)
        for theirs, ours in (
            ("scale", f"layer_norm{index + 1}.weight"),
            ("bias", f"layer_norm{index + 1}.bias"),
        )
    ),
    *(
        NpzArray(
            f"{_ATTENTION}/{theirs}/kernel",
            "A D n h",
            "matrix",
            (f"{_TOWER}.self_attn.{ours}_proj.weight",),
        )
        for theirs, ours in (("query", "q"), ("key", "k"), ("value", "v"))
    ),
    *(
        NpzArray(
            f"{_ATTENTION}/{theirs}/bias",
            "A n h",
            "same",
            (f"{_TOWER}.self_attn.{ours}_proj.bias",),
        )
        for theirs, ours in (("query", "q"), ("key", "k"), ("value", "v"))
    ),
    NpzArray(
        f"{_ATTENTION}/out/kernel", "A n h D", "matrix", (f"{_TOWER}.self_attn.out_proj.weight",)
    ),
    NpzArray(f"{_ATTENTION}/out/bias", "A D", "same", (f"{_TOWER}.self_attn.out_proj.bias",)),
    NpzArray(
        f"{_BLOCK}/MlpBlock_0/Dense_0/kernel", "A D F", "matrix", (f"{_TOWER}.mlp.fc1.weight",)
    ),
    NpzArray(f"{_BLOCK}/MlpBlock_0/Dense_0/bias", "A F", "same", (f"{_TOWER}.mlp.fc1.bias",)),
    NpzArray(
        f"{_BLOCK}/MlpBlock_0/Dense_1/kernel", "A F D", "matrix", (f"{_TOWER}.mlp.fc2.weight",)
    ),
    NpzArray(f"{_BLOCK}/MlpBlock_0/Dense_1/bias", "A D", "same", (f"{_TOWER}.mlp.fc2.bias",)),
    NpzArray(
        "img/Transformer/encoder_norm/scale", "D", "same", ("vision_tower.post_layernorm.weight",)
    ),
    NpzArray(
        "img/Transformer/encoder_norm/bias", "D", "same", ("vision_tower.post_layernorm.bias",)
    ),
    # The head of the tower is the projection into the decoder.
    NpzArray("img/head/kernel", "D W", "matrix", ("multi_modal_projector.weight",)),
    NpzArray("img/head/bias", "W", "same", ("multi_modal_projector.bias",)),
)

_DECODER_ARRAYS = (
    NpzArray(
        "llm/embedder/input_embedding", "V W", "same", ("language_model.embed_tokens.weight",)
    ),
    NpzArray("llm/final_norm/scale", "W", "same", ("language_model.norm.weight",)),
    NpzArray(
        "llm/layers/attn/q_einsum/w", "L N W H", "heads", (f"{_LAYER}.self_attn.q_proj.weight",)
    ),
    NpzArray(
        "llm/layers/attn/kv_einsum/w",
        "L 2 K W H",
        "heads",
        (f"{_LAYER}.self_attn.k_proj.weight", f"{_LAYER}.self_attn.v_proj.weight"),
    ),
    NpzArray(
        "llm/layers/attn/attn_vec_einsum/w",
        "L N H W",
        "matrix",
        (f"{_LAYER}.self_attn.o_proj.weight",),
    ),
    NpzArray(
        "llm/layers/mlp/gating_einsum",
        "L 2 W M",
        "matrix",
        (f"{_LAYER}.mlp.gate_proj.weight", f"{_LAYER}.mlp.up_proj.weight"),
    ),
    NpzArray("llm/layers/mlp/linear", "L M W", "matrix", (f"{_LAYER}.mlp.down_proj.weight",)),
    NpzArray(
        "llm/layers/pre_attention_norm/scale", "L W", "same", (f"{_LAYER}.input_layernorm.weight",)
    ),
)

_POST_NORMS = ("post_attention_norm", "post_ffw_norm")


def npz_arrays(*, has_post_norms: bool) -> tuple[NpzArray, ...]:
    """All arrays of a PaliGemma, or of a PaliGemma 2, which has two norms more a layer."""
    # Under the first generation `post_attention_layernorm` names the norm before the MLP.
    norms = (
        (
            ("pre_ffw_norm", "pre_feedforward_layernorm"),
            ("post_attention_norm", "post_attention_layernorm"),
            ("post_ffw_norm", "post_feedforward_layernorm"),
        )
        if has_post_norms
        else (("pre_ffw_norm", "post_attention_layernorm"),)
    )
    return (
        *_TOWER_ARRAYS,
        *_DECODER_ARRAYS,
        *(
            NpzArray(f"llm/layers/{theirs}/scale", "L W", "same", (f"{_LAYER}.{ours}.weight",))
            for theirs, ours in norms
        ),
    )


def arrays_in(keys: Mapping[str, object]) -> tuple[NpzArray, ...]:
    """The arrays that a file with these keys should have."""
    return npz_arrays(
        has_post_norms=any(f"llm/layers/{norm}/scale" in keys for norm in _POST_NORMS)
    )


def to_model(kind: Kind, block: Tensor, shape: tuple[int, ...]) -> Tensor:
    """One layer of an array as a weight of this shape."""
    match kind:
        case "same":
            return block.reshape(shape)
        case "matrix":
            return block.reshape(shape[1], shape[0]).T
        case "heads":
            return block.permute(0, 2, 1).reshape(shape)
        case "conv":
            return block.permute(3, 2, 0, 1)


def to_npz(kind: Kind, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The inverse of `to_model`: a weight as one layer of an array, of this shape."""
    match kind:
        case "same":
            return weight.reshape(shape)
        case "matrix":
            return weight.T.reshape(shape)
        case "heads":
            heads, width, size = shape
            return weight.reshape(heads, size, width).permute(0, 2, 1)
        case "conv":
            return weight.permute(2, 3, 1, 0)


def bind_axes(
    arrays: tuple[NpzArray, ...], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, int], Mismatch]:
    """The length of every axis, read from the shapes themselves, and what contradicts it."""
    sides: dict[str, int] = {}
    misshaped = []
    known = {array.key for array in arrays}
    for array in arrays:
        got, axes = shapes.get(array.key), array.axes.split()
        if got is None:
            continue
        if len(got) == len(axes):
            for axis, side in zip(axes, got, strict=True):
                sides.setdefault(axis, int(axis) if axis.isdigit() else side)
        want = tuple(sides.get(axis, 0) for axis in axes)
        if got != want:
            misshaped.append((array.key, got, want))
    return sides, Mismatch(
        missing=tuple(array.key for array in arrays if array.key not in shapes),
        unexpected=tuple(key for key in shapes if key not in known),
        misshaped=tuple(misshaped),
    )


def axes_of(config: PaliGemmaConfig) -> dict[str, int]:
    """The length of every axis for a config; the inverse of `config_from_axes`."""
    vision, text = config.vision_config, config.text_config
    return {
        "1": 1,
        "2": 2,
        "3": 3,
        "P": vision.patch_size,
        "I": vision.num_image_tokens,
        "D": vision.hidden_size,
        "F": vision.intermediate_size,
        "A": vision.num_hidden_layers,
        "n": vision.num_attention_heads,
        "h": vision.hidden_size // vision.num_attention_heads,
        "V": text.vocab_size,
        "W": text.hidden_size,
        "M": text.intermediate_size,
        "L": text.num_hidden_layers,
        "N": text.num_attention_heads,
        "K": text.num_key_value_heads,
        "H": text.head_dim,
    }


def config_from_axes(sides: Mapping[str, int], *, has_post_norms: bool) -> PaliGemmaConfig:
    """The config that arrays of these sides belong to.

    Query scale and soft caps leave no trace in the arrays: they are those of the release of this
    size, and for sizes that were never released the head size and the caps of PaliGemma 2.

    Raises:
        CheckpointError: the position table is not square.
        ConfigError: sides that contradict each other.
    """
    grid = math.isqrt(sides["I"])
    if grid * grid != sides["I"] or sides["n"] * sides["h"] != sides["D"]:
        raise CheckpointError(
            f"the position table has {sides['I']} rows and attention {sides['n']} heads of "
            f"{sides['h']} for a width of {sides['D']}: these are not of a PaliGemma image tower"
        )
    vision = VisionConfig(
        hidden_size=sides["D"],
        intermediate_size=sides["F"],
        num_hidden_layers=sides["A"],
        num_attention_heads=sides["n"],
        image_size=grid * sides["P"],
        patch_size=sides["P"],
    )
    return PaliGemmaConfig(
        vision_config=vision, text_config=_text_config(sides, has_post_norms=has_post_norms)
    )


def _text_config(sides: Mapping[str, int], *, has_post_norms: bool) -> TextConfig:
    text = TextConfig(
        model_type="gemma2" if has_post_norms else "gemma",
        vocab_size=sides["V"],
        hidden_size=sides["W"],
        intermediate_size=sides["M"],
        num_hidden_layers=sides["L"],
        num_attention_heads=sides["N"],
        num_key_value_heads=sides["K"],
        head_dim=sides["H"],
        query_pre_attn_scalar=float(sides["H"]),
        attn_logit_softcapping=50.0 if has_post_norms else None,
        final_logit_softcapping=30.0 if has_post_norms else None,
    )
    for _, _, known in VARIANTS:
        scaled = replace(text, query_pre_attn_scalar=known.query_pre_attn_scalar)
        if replace(scaled, vocab_size=known.vocab_size) == known:
            return scaled
    return text
