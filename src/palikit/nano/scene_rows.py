"""Drawn scenes as rows of a data set, with the exact truth: what nano is measured on.

Of each scene are asked: boxes of all kinds, of which some are absent; outlines of at most three
kinds that are there; a count, a colour and a question of another kind; a caption. A further scene
with one word asks for its text. No training saw these scenes: see `palikit.nano.examples`.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from palikit import tasks
from palikit.data.records import Annotation
from palikit.data.rows import Row
from palikit.model.mask_coding import EncodeMask
from palikit.nano import lessons
from palikit.nano.scenes import KINDS, Scene, SceneOptions, draw_scene

SIDE = 320
WORDS_FROM = 2**20
"""Scenes with one word are numbered from here."""

_MAX_OUTLINES = 3


def scene_rows(number: int, folder: Path, encode: EncodeMask, first: int = 0) -> Iterator[Row]:
    """Draw scenes, write their pictures, and ask about them.

    Args:
        number: scenes, and as many again with one word each.
        folder: of the pictures, which exists.
        encode: the mask codec, for the suffixes of outlines.
        first: number of the first scene; the same number is always the same scene.
    """
    for seed in range(first, first + number):
        scene = draw_scene(seed, SceneOptions(SIDE, "test"))
        path = folder / f"scene-{seed}.png"
        scene.picture.save(path)
        yield from _questions(scene, path, seed, encode)
    for seed in range(first, first + number):
        scene = draw_scene(WORDS_FROM + seed, SceneOptions(SIDE, "test", texts=1))
        if len(scene.texts) == 1 and scene.texts[0].text.isalpha():
            path = folder / f"word-{seed}.png"
            scene.picture.save(path)
            yield Row((path,), "ocr", (lessons.read_texts(scene),), id=f"ocr-{seed}")


def _questions(scene: Scene, path: Path, seed: int, encode: EncodeMask) -> Iterator[Row]:
    random = np.random.default_rng((seed, 1))
    detect = lessons.detect_lesson(scene, KINDS)
    yield _row(detect, path, f"detect-{seed}", _objects(scene, KINDS))
    present = sorted({found.kind for found in scene.objects})
    asked = [str(kind) for kind in random.permutation(present)[:_MAX_OUTLINES]]
    segment = lessons.segment_lesson(scene, asked, encode)
    yield _row(segment, path, f"segment-{seed}", _objects(scene, asked))
    for name, words in (("count", "how many"), ("color", "what colo"), ("other", "")):
        if (pair := _question(scene, random, words)) is not None:
            question = tasks.answer(pair[0])
            yield Row((path,), question.prompt, (pair[1],), id=f"{name}-{seed}")
    yield Row((path,), "caption en", (lessons.caption(scene),), id=f"caption-{seed}")


def _row(lesson: lessons.Lesson, path: Path, name: str, objects: tuple[Annotation, ...]) -> Row:
    return Row(
        (path,), lesson.prompt, (lesson.suffix,), objects=objects, width=SIDE, height=SIDE, id=name
    )


def _objects(scene: Scene, kinds: "list[str] | tuple[str, ...]") -> tuple[Annotation, ...]:
    width, height = scene.picture.size
    return tuple(
        Annotation(each.kind, each.box, lessons.outline(each, width, height))
        for each in scene.objects
        if each.kind in kinds
    )


def _question(scene: Scene, random: np.random.Generator, words: str) -> tuple[str, str] | None:
    """A question that begins with `words`; with none, one of the other kinds."""
    asked = lessons.questions(random, scene)
    if words:
        asked = [pair for pair in asked if pair[0].startswith(words)]
    else:
        asked = [pair for pair in asked if not pair[0].startswith(("how many", "what colo"))]
    return asked[random.integers(len(asked))] if asked else None
