"""The parts of a model by the names people use for them."""

from typing import Literal

Tower = Literal["image_tower", "projector", "embeddings", "decoder"]

TOWERS: tuple[tuple[Tower, str], ...] = (
    ("image_tower", "vision_tower."),
    ("projector", "multi_modal_projector."),
    ("embeddings", "language_model.embed_tokens."),
    ("decoder", "language_model."),
)
"""Each part and how names of its weights in `PaliGemma` begin; the first that fits counts."""


def tower_of(name: str) -> Tower:
    """The part that a weight is of, by its name in `PaliGemma`.

    Raises:
        ValueError: the name is of none of them.
    """
    for tower, beginning in TOWERS:
        if name.startswith(beginning):
            return tower
    raise ValueError(f"{name} is no weight of PaliGemma")
