"""Scenes and lessons as training examples without end."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image

from palikit.masks import Mask
from palikit.model.mask_codec import MaskCodec, crop_mask
from palikit.nano.lessons import EncodeMask, draw_lesson
from palikit.nano.scenes import Scene, SceneOptions, draw_scene
from palikit.processor import Query
from palikit.results import Box

FIRST_SEED = 2**36
"""Scenes of the lessons are numbered from here; those of earlier stages and of tests lie below."""

LARGE_EVERY = 8
"""Each so many scenes is drawn at twice the size, and reduced as a person's picture would be."""


@dataclass(frozen=True)
class SceneExamples:
    """Example i is a lesson about scene i div `lessons_per_scene`.

    Attributes:
        side: of the pictures in pixels; every eighth has twice that.
        encode: the mask codec.
        lessons_per_scene: neighbours share a picture, which then goes through the tower once.
        first_seed: number of the first scene.
    """

    side: int
    encode: EncodeMask
    lessons_per_scene: int = 2
    first_seed: int = FIRST_SEED

    def __len__(self) -> int:
        return 2**40

    def query(self, index: int, random: np.random.Generator) -> Query:
        """The example of a number; `random` draws the lesson."""
        seed = self.first_seed + index // self.lessons_per_scene
        scene, picture = _scene(seed, self.side)
        lesson = draw_lesson(random, scene, self.encode)
        return Query((picture,), lesson.prompt, lesson.suffix)

    @property
    def fingerprint(self) -> str:
        """Where the scenes begin, and how many lessons each has."""
        return f"scenes from {self.first_seed} of {self.side} px, {self.lessons_per_scene} lessons"


@lru_cache(maxsize=16)
def _scene(seed: int, side: int) -> tuple[Scene, Image.Image]:
    scene = draw_scene(seed, SceneOptions(side=side * (2 if seed % LARGE_EVERY == 0 else 1)))
    return scene, scene.picture


def mask_encoder(codec: MaskCodec) -> EncodeMask:
    """The codec as a function of one outline and its box."""

    def encode(mask: Mask, box: Box) -> tuple[int, ...]:
        cropped = torch.tensor(crop_mask(mask.to_array(), box))[None, None]
        with torch.no_grad():
            codes = codec.encode(cropped)[0]
        return tuple(int(code) for code in codes)

    return encode
