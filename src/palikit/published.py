"""The checkpoints that were released, and the configs of their sizes.

Sources: the model cards and collections of `google` on the Hugging Face Hub and the transfer
configs of big_vision (text lengths of the fine-tuned models).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from palikit.config import PaliGemmaConfig, TextConfig
from palikit.errors import ConfigError

BUILT_IN = "nano"
"""The name of the model that comes with the package; a folder of that name is "./nano"."""

BUILT_IN_LANGUAGES = "English (captions also de, zh)"
"""What it was taught, in words; `palikit.nano.lessons` draws the lessons."""

BUILT_IN_TEXT_LENGTH = 256
"""Text tokens that it was trained with."""

BUILT_IN_FOLDER = Path(__file__).parent / "nano" / "weights"

Variant = Literal["pt", "mix", "ft"]

PALIGEMMA_2B = TextConfig()
"""Gemma 2B: the decoder of PaliGemma 3B."""

PALIGEMMA2_2B = TextConfig(
    model_type="gemma2",
    hidden_size=2304,
    intermediate_size=9216,
    num_hidden_layers=26,
    num_key_value_heads=4,
    attn_logit_softcapping=50.0,
    final_logit_softcapping=30.0,
)
"""Gemma 2 2B: the decoder of PaliGemma 2 3B."""

PALIGEMMA2_9B = replace(
    PALIGEMMA2_2B,
    hidden_size=3584,
    intermediate_size=14336,
    num_hidden_layers=42,
    num_attention_heads=16,
    num_key_value_heads=8,
)
"""Gemma 2 9B: the decoder of PaliGemma 2 10B."""

PALIGEMMA2_27B = replace(
    PALIGEMMA2_2B,
    hidden_size=4608,
    intermediate_size=36864,
    num_hidden_layers=46,
    num_attention_heads=32,
    num_key_value_heads=16,
    head_dim=128,
    # 4608 / 32, not the head size: the one release where the two differ.
    query_pre_attn_scalar=144.0,
)
"""Gemma 2 27B: the decoder of PaliGemma 2 28B."""

VARIANTS: tuple[tuple[str, str, TextConfig], ...] = (
    ("PaliGemma", "3B", PALIGEMMA_2B),
    ("PaliGemma 2", "3B", PALIGEMMA2_2B),
    ("PaliGemma 2", "10B", PALIGEMMA2_9B),
    ("PaliGemma 2", "28B", PALIGEMMA2_27B),
)
"""Family, size, decoder; the image tower is the same everywhere."""


@dataclass(frozen=True)
class PublishedCheckpoint:
    """One released set of weights.

    Attributes:
        name: repository on the Hugging Face Hub, transformers layout.
        family: "PaliGemma" or "PaliGemma 2".
        size: "3B", "10B" or "28B".
        variant: pt is pretrained, to be fine-tuned; mix is tuned on a mixture of tasks, to be
            used; ft is tuned on one task, named in `task`.
        image_size: picture side in pixels.
        text_length: tokens of prompt and answer together that it was trained with.
        revisions: branches of the repository, each with the dtype it holds.
        jax_name: repository of the same weights as `.npz`.
        task: data set an ft checkpoint was tuned on; empty for the others.
    """

    name: str
    family: str
    size: str
    variant: Variant
    image_size: int
    text_length: int
    revisions: tuple[tuple[str, str], ...]
    jax_name: str
    task: str = ""


def config_for(family: str, size: str, image_size: int) -> PaliGemmaConfig:
    """The config of a released size, as in the Hugging Face files (257216 table rows).

    Args:
        family: "PaliGemma" or "PaliGemma 2".
        size: "3B", "10B" or "28B".
        image_size: picture side in pixels.

    Raises:
        ConfigError: no such family and size, or the side is not a multiple of 14.
    """
    for known_family, known_size, text in VARIANTS:
        if (known_family, known_size) == (family, size):
            return PaliGemmaConfig(text_config=text).with_image_size(image_size)
    known = ", ".join(f"{f} {s}" for f, s, _ in VARIANTS)
    raise ConfigError(f'there is no "{family} {size}": the released sizes are {known}')


def find_published(name: str) -> PublishedCheckpoint | None:
    """The release of this repository name, with or without its owner; JAX names count too."""
    for checkpoint in PUBLISHED:
        for known in (checkpoint.name, checkpoint.jax_name):
            if name in (known, known.removeprefix("google/")):
                return checkpoint
    return None


_THREE_DTYPES = (("main", "float32"), ("bfloat16", "bfloat16"), ("float16", "float16"))

# Hub name of the task, data set, text length of its transfer config, picture sides.
_FINE_TUNED = (
    ("ai2d", "AI2D", 128, (224, 448)),
    ("aokvqa-da", "A-OKVQA, direct answer", 32, (224, 448)),
    ("aokvqa-mc", "A-OKVQA, multiple choice", 128, (224, 448)),
    ("coco35l", "COCO-35L", 32, (224, 448)),
    ("cococap", "COCO captions", 32, (224, 448)),
    ("docvqa", "DocVQA", 32, (224, 448, 896)),
    ("gqa", "GQA", 32, (224, 448)),
    ("infovqa", "InfographicVQA", 48, (224, 448, 896)),
    ("nlvr2", "NLVR2", 64, (224, 448)),
    ("ocrvqa", "OCR-VQA", 32, (224, 448, 896)),
    ("okvqa", "OK-VQA", 32, (224, 448)),
    ("refcoco-seg", "RefCOCO segmentation", 48, (224, 448, 896)),
    ("rsvqa-hr", "RSVQA, high resolution", 32, (224, 448)),
    ("rsvqa-lr", "RSVQA, low resolution", 32, (224, 448)),
    ("science-qa", "ScienceQA", 512, (224, 448)),
    ("scicap", "SciCap", 96, (224, 448)),
    ("screen2words", "Screen2Words", 24, (224, 448)),
    ("stvqa", "ST-VQA", 48, (224, 448, 896)),
    ("tallyqa", "TallyQA", 32, (224, 448)),
    ("textcaps", "TextCaps", 32, (224, 448)),
    ("textvqa", "TextVQA", 32, (224, 448, 896)),
    ("vizwizvqa", "VizWiz VQA", 48, (224, 448)),
    ("vqav2", "VQAv2", 32, (224, 448)),
    ("widgetcap", "WidgetCap", 32, (224, 448)),
)


def _first(
    stem: str, variant: Variant, side: int, length: int, task: str = ""
) -> PublishedCheckpoint:
    name = f"google/paligemma-3b-{stem}-{side}"
    return PublishedCheckpoint(
        name, "PaliGemma", "3B", variant, side, length, _THREE_DTYPES, f"{name}-jax", task
    )


def _second(
    size: str, stem: str, variant: Variant, side: int, length: int, *, task: str = ""
) -> PublishedCheckpoint:
    name = f"google/paligemma2-{size.lower()}-{stem}-{side}"
    revisions = (("main", "bfloat16"),)
    return PublishedCheckpoint(
        name, "PaliGemma 2", size, variant, side, length, revisions, f"{name}-jax", task
    )


# Pretraining ran with 128 text tokens at 224 px and 512 above; the mixtures with 256 and 512.
PUBLISHED: tuple[PublishedCheckpoint, ...] = (
    *(_first("pt", "pt", side, 128 if side == 224 else 512) for side in (224, 448, 896)),
    *(_first("mix", "mix", side, 256 if side == 224 else 512) for side in (224, 448)),
    *(
        _first(f"ft-{stem}", "ft", side, length, task)
        for stem, task, length, sides in _FINE_TUNED
        for side in sides
    ),
    *(
        _second(size, "pt", "pt", side, 128 if side == 224 else 512)
        for size in ("3B", "10B", "28B")
        for side in (224, 448, 896)
    ),
    *(
        _second(size, "mix", "mix", side, 256 if side == 224 else 512)
        for size in ("3B", "10B", "28B")
        for side in (224, 448)
    ),
    *(_second(size, "ft-docci", "ft", 448, 512, task="DOCCI") for size in ("3B", "10B")),
)
"""Every released checkpoint; the JAX files of the same weights are named in each."""
