"""The scenes that nano learns from: what they show is what they say they show."""

from collections.abc import Callable

import numpy as np
import pytest

from palikit.nano.backgrounds import _TEXTURES, background
from palikit.nano.lettering import DIGITS, LETTERS, Lettering, print_text
from palikit.nano.scenes import (
    COLORS,
    KINDS,
    MAX_OVERLAP,
    SMALL_SIDE,
    Scene,
    SceneOptions,
    draw_scene,
    training_side,
)
from palikit.nano.words import draw_word, english_words, word_split
from palikit.results import Box

SIDE = 160


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(seed, SceneOptions(SIDE)) for seed in range(120)]


def iou(a: Box, b: Box) -> float:
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    both = max(width, 0) * max(height, 0)
    return both / (a.width * a.height + b.width * b.height - both)


def test_a_seed_always_gives_the_same_scene() -> None:
    first, second = (draw_scene(7, SceneOptions(SIDE)) for _ in range(2))
    assert first.picture.tobytes() == second.picture.tobytes()
    assert [o.box for o in first.objects] == [o.box for o in second.objects]
    assert draw_scene(8, SceneOptions(SIDE)).picture.tobytes() != first.picture.tobytes()


def test_scenes_hold_one_to_eight_objects_of_every_kind_and_color(scenes: list[Scene]) -> None:
    assert {len(scene.objects) for scene in scenes} == set(range(1, 9))
    assert {o.kind for s in scenes for o in s.objects} == set(KINDS)
    assert {o.color for s in scenes for o in s.objects} == set(COLORS)
    assert len(KINDS) >= 12
    assert len(COLORS) >= 8


def test_objects_have_the_promised_sizes(scenes: list[Scene]) -> None:
    sides = [max(o.box.width, o.box.height) / SIDE for s in scenes for o in s.objects]
    assert max(sides) <= 0.61
    assert np.mean(np.array(sides) < SMALL_SIDE) >= 0.25


def test_boxes_lie_in_the_picture_and_hold_the_visible_pixels(scenes: list[Scene]) -> None:
    for found in (o for s in scenes for o in s.objects):
        box = found.box
        assert 0 <= box.x1 < box.x2 <= SIDE
        assert 0 <= box.y1 < box.y2 <= SIDE
        assert found.visible.shape == (box.height, box.width)
        for edge in (found.visible[0], found.visible[-1]):
            assert edge.any()
        assert found.visible[:, 0].any()
        assert found.visible[:, -1].any()


def test_visible_pixels_have_the_objects_color(scenes: list[Scene]) -> None:
    near = total = 0
    for scene in scenes:
        pixels = np.asarray(scene.picture, float)
        for found in scene.objects:
            x, y = int(found.box.x1), int(found.box.y1)
            patch = pixels[y : y + found.visible.shape[0], x : x + found.visible.shape[1]]
            middle = np.median(patch[found.visible], axis=0)
            distances = {c: np.linalg.norm(middle - rgb) for c, rgb in COLORS.items()}
            near += min(distances, key=lambda c: distances[c]) == found.color
            total += 1
    assert near / total > 0.9


def test_objects_overlap_no_more_than_they_may(scenes: list[Scene]) -> None:
    worst = max(
        iou(a.box, b.box) for s in scenes for i, a in enumerate(s.objects) for b in s.objects[:i]
    )
    # Placed by the boxes of whole shapes; what is visible of the one behind may be smaller.
    assert worst <= MAX_OVERLAP / 0.65


def test_objects_are_told_from_top_to_bottom(scenes: list[Scene]) -> None:
    for scene in scenes:
        tops = [found.box.y1 for found in scene.objects]
        assert tops == sorted(tops)


def test_printed_texts_lie_in_the_picture_and_clear_of_objects(scenes: list[Scene]) -> None:
    texts = [(scene, text) for scene in scenes for text in scene.texts]
    assert len(texts) > 30
    for scene, text in texts:
        assert 0 <= text.box.x1 < text.box.x2 <= SIDE
        assert len(text.columns) == len(text.text)
        assert all(iou(text.box, found.box) == 0 for found in scene.objects)


def test_words_of_the_tests_are_never_drawn_for_training() -> None:
    random = np.random.default_rng(0)
    training = {draw_word(random, "train") for _ in range(2000)}
    testing = {draw_word(random, "test") for _ in range(500)}
    assert not training & testing
    assert all(word_split(word) == "test" for word in testing)
    assert {len(word) for word in testing} == set(range(3, 9))


def test_english_words_are_of_the_lengths_that_are_printed_and_stand_once() -> None:
    words = english_words()
    assert len(words) == len(set(words)) > 300
    assert all(set(word) <= set(LETTERS) and 3 <= len(word) <= 8 for word in words)
    share = np.mean([word_split(word) == "test" for word in words])
    assert 0.08 <= share <= 0.18


def test_backgrounds_have_the_promised_levels_and_never_repeat() -> None:
    drawn = [background(np.random.default_rng(seed), 40) for seed in range(30)]
    for pixels in drawn:
        assert (pixels.shape, pixels.dtype) == ((40, 40, 3), np.float32)
        assert 0 <= pixels.min() <= pixels.max() <= 255
        assert pixels.std() > 0
    assert len({pixels.tobytes() for pixels in drawn}) == 30
    means = [pixels.mean() for pixels in drawn]
    assert min(means) < 90
    assert max(means) > 170


@pytest.mark.parametrize("texture", _TEXTURES)
def test_every_texture_fills_its_square(texture: Callable[..., np.ndarray]) -> None:
    pixels = texture(np.random.default_rng(0), 33)
    assert pixels.shape == (33, 33)
    assert np.isfinite(pixels).all()
    assert pixels.std() > 0


def test_each_eighth_scene_of_a_training_is_drawn_larger() -> None:
    assert [training_side(seed, 160) for seed in (7, 8, 9)] == [160, 320, 160]


def test_a_scene_can_be_asked_for_one_text() -> None:
    for seed in range(20):
        assert len(draw_scene(seed, SceneOptions(SIDE, "test", texts=1)).texts) == 1


@pytest.mark.parametrize("face", ["stroke", "printed"])
def test_every_letter_and_digit_is_printed_and_differs(face) -> None:
    how = Lettering(face=face, height=24)
    inks = {letter: print_text(letter, how).ink for letter in LETTERS + DIGITS}
    assert all(ink.max() > 200 for ink in inks.values())
    looks = {ink.tobytes() for ink in inks.values()}
    assert len(looks) == len(inks)


def test_letters_of_a_text_stand_in_their_columns() -> None:
    printed = print_text("HELLO", Lettering(face="stroke", height=20))
    for (_, right), (left, _) in zip(printed.columns, printed.columns[1:], strict=False):
        assert right < left
        assert not printed.ink[:, right:left].any()
