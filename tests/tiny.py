"""Models, a tokenizer and pictures small enough for every test, all made from seeds."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from PIL import Image

from palikit.config import PaliGemmaConfig, TextConfig, VisionConfig
from palikit.model.attention import AttentionFunction, attention
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.processor import Processor
from palikit.sentencepiece_model import Kind, Piece, _extend, _tokenizer_json
from palikit.tokenizer import Tokenizer

torch.set_num_threads(1)  # such models are slower on several

FAMILIES = ("paligemma", "paligemma2", "paligemma2-28b")
"""Gemma 1 with one key head; Gemma 2; Gemma 2 whose query scale is not that of the head size."""

WORDS = ["▁cat", "▁dog", "▁;", "ca", "at", "cat", "do", "og", "dog", "▁c", "▁d", "▁big", "▁en"]


@cache
def tokenizer_json() -> str:
    """A tokenizer of the released file's structure with a vocabulary of some 1600 pieces."""
    control = [Piece(name, 0.0, Kind.CONTROL) for name in ("<pad>", "<eos>", "<bos>")]
    pieces = [*control, Piece("<unk>", 0.0, Kind.UNKNOWN)]
    pieces += [Piece("\n" * n, 0.0, Kind.USER_DEFINED) for n in (1, 2)]
    pieces += [Piece(f"<0x{byte:02X}>", 0.0, Kind.BYTE) for byte in range(256)]
    letters = [chr(code) for code in range(33, 127)] + ["▁", "é", "猫"]
    parts = {word[:n] for word in WORDS for n in range(2, len(word) + 1)} | set(WORDS)
    ordered = letters + sorted(parts, key=lambda part: (len(part), part))
    pieces += [Piece(text, -float(rank), Kind.NORMAL) for rank, text in enumerate(ordered)]
    return json.dumps(_tokenizer_json(_extend(pieces)), ensure_ascii=False)


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.parse(tokenizer_json().encode())


def config(family: str = "paligemma2", *, image_size: int = 28) -> PaliGemmaConfig:
    """Three layers of width 32, heads as released, 64 padding rows behind the last id."""
    vocabulary = tokenizer().vocabulary
    is_second = family != "paligemma"
    text = TextConfig(
        model_type="gemma2" if is_second else "gemma",
        vocab_size=vocabulary.image_id + 64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=4 if is_second else 1,
        head_dim=128 if family == "paligemma2-28b" else 256,
        query_pre_attn_scalar=144.0 if family == "paligemma2-28b" else 256.0,
        attn_logit_softcapping=50.0 if is_second else None,
        final_logit_softcapping=30.0 if is_second else None,
    )
    vision = VisionConfig(
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=image_size,
    )
    return PaliGemmaConfig(vision, text, image_token_index=vocabulary.image_id)


def model(
    family: str = "paligemma2",
    *,
    seed: int = 0,
    image_size: int = 28,
    attention_function: AttentionFunction = attention,
) -> PaliGemma:
    """Random weights such that soft caps, masks, positions and every earlier token matter."""
    made = PaliGemma(config(family, image_size=image_size), attention_function).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(made.named_parameters()):
            weight.copy_(torch.randn(weight.shape, generator=generator) * _scale(name, weight.ndim))
        made.language_model.norm.weight += 20.0  # logits that reach the output cap
    return made


def _scale(name: str, ndim: int) -> float:
    if "embed_tokens" in name:
        return 0.1  # small beside the layers' part, or every token would predict itself
    if "q_proj" in name:
        return 0.5  # scores that reach the attention cap
    return 0.1 if ndim == 1 else 0.3


def predictor(family: str = "paligemma2", *, seed: int = 0, image_size: int = 28):
    from palikit.predictor import Predictor

    made = model(family, seed=seed, image_size=image_size)
    return Predictor(made, Processor(tokenizer(), image_size), name=f"tiny-{family}")


def picture(seed: int = 0, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """An RGB picture of random blocks, `size` as (width, height)."""
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def random_inputs(
    lengths: list[int], prefix_lengths: list[int] | None = None, *, pictures: int = 1, seed: int = 0
) -> ModelInputs:
    """Random texts of these lengths, each about pictures of its own."""
    generator = torch.Generator().manual_seed(seed)
    B, T = len(lengths), max(lengths)
    prefix_lengths = prefix_lengths or lengths
    ids = torch.randint(300, 1500, (B, T), generator=generator)
    ids[torch.arange(T) >= torch.tensor(lengths)[:, None]] = 0
    return ModelInputs(
        pixel_values=torch.rand((B * pictures, 3, 28, 28), generator=generator) * 2 - 1,
        image_index=torch.arange(B * pictures).reshape(B, pictures),
        input_ids=ids,
        prefix_lengths=torch.tensor(prefix_lengths),
        lengths=torch.tensor(lengths),
        has_padding=min(lengths) < T,
        has_suffix=prefix_lengths != lengths,
    )


def row_of(inputs: ModelInputs, b: int) -> ModelInputs:
    """One row of a batch without its padding."""
    length = int(inputs.lengths[b])
    return replace(
        inputs,
        image_index=inputs.image_index[b : b + 1],
        input_ids=inputs.input_ids[b : b + 1, :length],
        prefix_lengths=inputs.prefix_lengths[b : b + 1],
        lengths=inputs.lengths[b : b + 1],
        has_padding=False,
    )
