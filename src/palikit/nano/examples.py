"""Scenes and lessons as training examples without end."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from palikit.model.mask_coding import EncodeMask
from palikit.nano.lessons import draw_lesson
from palikit.nano.scenes import Scene, SceneOptions, draw_scene, training_side
from palikit.processor import Query

FIRST_SEED = 2**36
"""Scenes of the lessons are numbered from here; those of earlier stages and of tests lie below."""


@dataclass(frozen=True)
class SceneExamples:
    """Example i is a lesson about scene i div `lessons_per_scene`.

    Attributes:
        side: of the pictures in pixels; some have twice that, see `scenes.training_side`.
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
    scene = draw_scene(seed, SceneOptions(side=training_side(seed, side)))
    return scene, scene.picture
