"""What nano is asked about a scene and what it should say: the prompts and suffixes of training.

Every verb of the package is here, in the wording of the released models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from palikit import tasks
from palikit.masks import Mask
from palikit.model.mask_coding import EncodeMask
from palikit.nano.scenes import COLORS, KINDS, Scene, SceneObject
from palikit.results import Box, Detection, Detections, Segment, Segments

LessonKind = Literal["detect", "segment", "ocr", "answer", "caption", "describe"]

SHARES: dict[LessonKind, float] = {
    "detect": 0.28,
    "segment": 0.18,
    "ocr": 0.16,
    "answer": 0.26,
    "caption": 0.08,
    "describe": 0.04,
}
"""How often each kind of lesson is taught."""

ROWS, COLUMNS = ("top", "", "bottom"), ("left", "", "right")

GERMAN = {
    "circle": "r Kreis", "square": "s Quadrat", "triangle": "s Dreieck", "star": "r Stern",
    "heart": "s Herz", "cross": "s Kreuz", "ring": "r Ring", "moon": "r Mond",
    "arrow": "r Pfeil", "house": "s Haus", "tree": "r Baum", "car": "s Auto", "fish": "r Fisch",
    "flower": " Blume", "boat": "s Boot", "cup": " Tasse",
    "red": "rote", "orange": "orangefarbene", "yellow": "gelbe", "green": "grüne",
    "blue": "blaue", "purple": "violette", "black": "schwarze", "white": "weiße",
}  # fmt: skip
"""Nouns with the ending of the adjective before them; adjectives without it."""

CHINESE = {
    "circle": "圆形", "square": "正方形", "triangle": "三角形", "star": "星星", "heart": "心形",
    "cross": "十字", "ring": "圆环", "moon": "月亮", "arrow": "箭头", "house": "房子", "tree": "树",
    "car": "汽车", "fish": "鱼", "flower": "花", "boat": "船", "cup": "杯子",
    "red": "红色", "orange": "橙色", "yellow": "黄色", "green": "绿色", "blue": "蓝色",
    "purple": "紫色", "black": "黑色", "white": "白色",
}  # fmt: skip


@dataclass(frozen=True)
class Lesson:
    """One prompt, without its newline, and the text to answer it with."""

    kind: LessonKind
    prompt: str
    suffix: str


def draw_lesson(random: np.random.Generator, scene: Scene, encode: EncodeMask) -> Lesson:
    """A lesson about a scene, its kind by the shares above."""
    kind = tuple(SHARES)[random.choice(len(SHARES), p=tuple(SHARES.values()))]
    if kind == "detect":
        return detect_lesson(scene, draw_labels(random, scene))
    if kind == "segment":
        return segment_lesson(scene, draw_labels(random, scene, most=3), encode)
    if kind == "ocr":
        return Lesson("ocr", "ocr", read_texts(scene))
    if kind == "caption":
        language = ("en", "de", "zh")[random.integers(3)]
        return Lesson("caption", f"caption {language}", caption(scene, language))
    if kind == "describe":
        return Lesson("describe", "describe en", describe(scene))
    asked = questions(random, scene)
    question, answer = asked[random.integers(len(asked))]
    return Lesson("answer", f"answer en {question}", answer)


def draw_labels(random: np.random.Generator, scene: Scene, most: int = 6) -> tuple[str, ...]:
    """Kinds to look for, in random order: one, several of which some are absent, or all."""
    chance = random.random()
    if most == 6 and chance < 0.3:
        return KINDS
    present = list(dict.fromkeys(found.kind for found in scene.objects))
    absent = [kind for kind in KINDS if kind not in present]
    if chance < 0.6:
        pool = absent if random.random() < 0.25 or not present else present
        return (pool[random.integers(len(pool))],)
    shown = random.permutation(present)[: random.integers(1, most)]
    others = random.permutation(absent)[: random.integers(0, most - len(shown) + 1)]
    return tuple(str(kind) for kind in random.permutation([*shown, *others]))


def detect_lesson(scene: Scene, labels: Sequence[str]) -> Lesson:
    """Boxes of everything that the labels name, from top to bottom."""
    task = tasks.detect(labels)
    found = tuple(Detection(o.box, o.kind) for o in scene.objects if o.kind in labels)
    width, height = scene.picture.size
    suffix = tasks.render(task, Detections(found, width, height))
    return Lesson("detect", task.prompt, suffix)


def segment_lesson(scene: Scene, labels: Sequence[str], encode: EncodeMask) -> Lesson:
    """Boxes and outlines."""
    task = tasks.segment(labels)
    width, height = scene.picture.size
    found = tuple(
        Segment(o.box, o.kind, codes=encode(outline(o, width, height), o.box))
        for o in scene.objects
        if o.kind in labels
    )
    return Lesson("segment", task.prompt, tasks.render(task, Segments(found, width, height)))


def outline(found: SceneObject, width: int, height: int) -> Mask:
    """The visible pixels of an object as a mask of the whole picture."""
    return Mask.from_patch(found.visible, int(found.box.x1), int(found.box.y1), width, height)


def read_texts(scene: Scene) -> str:
    """The printed texts, from top to bottom, a line each."""
    return "\n".join(text.text for text in scene.texts)


def caption(scene: Scene, language: str = "en") -> str:
    """The three largest objects, from top to bottom, in one phrase."""
    largest = sorted(scene.objects, key=lambda o: -o.box.width * o.box.height)[:3]
    shown = [found for found in scene.objects if found in largest]
    if language == "zh":
        return "、".join(f"一个{CHINESE[o.color]}的{CHINESE[o.kind]}" for o in shown)
    if language == "de":
        return _joined([_german(o) for o in shown], "und")
    return _joined([f"{_article(o.color)} {o.color} {o.kind}" for o in shown], "and")


def describe(scene: Scene) -> str:
    """Every object with its place, then the texts."""
    parts = [
        f"{_article(o.color)} {o.color} {o.kind} at the {place(o.box, scene)}"
        for o in scene.objects
    ]
    parts += [f"the text {text.text}" for text in scene.texts]
    return f"{len(scene.objects)} objects : " + " , ".join(parts)


def place(box: Box, scene: Scene) -> str:
    """Where the middle of a box lies, on a grid of 3 x 3: "top left", "right", "center"."""
    width, height = scene.picture.size
    row = ROWS[min(2, int(3 * (box.y1 + box.y2) / 2 / height))]
    column = COLUMNS[min(2, int(3 * (box.x1 + box.x2) / 2 / width))]
    return " ".join(word for word in (row, column) if word) or "center"


def questions(random: np.random.Generator, scene: Scene) -> list[tuple[str, str]]:
    """One question of every kind that the scene can answer, each with its answer."""
    asked = [_how_many(random, scene), _is_there(random, scene)]
    kinds = [found.kind for found in scene.objects]
    colors = [found.color for found in scene.objects]
    alone = [o for o in scene.objects if kinds.count(o.kind) == 1]
    if alone:
        found = alone[random.integers(len(alone))]
        word = ("color", "colour")[random.integers(2)]
        asked.append((f"what {word} is the {found.kind}?", found.color))
        found = alone[random.integers(len(alone))]
        asked.append((f"where is the {found.kind}?", place(found.box, scene)))
    alone = [o for o in scene.objects if colors.count(o.color) == 1]
    if alone:
        found = alone[random.integers(len(alone))]
        word = ("object", "thing")[random.integers(2)]
        asked.append((f"what is the {found.color} {word}?", found.kind))
    if len(scene.texts) == 1:
        reads = ("what does the text say?", "what is written?", "what does it say?")
        asked.append((reads[random.integers(len(reads))], scene.texts[0].text))
    return asked


def _how_many(random: np.random.Generator, scene: Scene) -> tuple[str, str]:
    if random.random() < 0.25:
        return "how many objects are there?", str(len(scene.objects))
    kind = _any_kind(random, scene, absent=0.2)
    count = sum(found.kind == kind for found in scene.objects)
    return f"how many {plural(kind)} are there?", str(count)


def _is_there(random: np.random.Generator, scene: Scene) -> tuple[str, str]:
    kind = _any_kind(random, scene, absent=0.5)
    if random.random() < 0.5:
        seen = any(found.kind == kind for found in scene.objects)
        return f"is there {_article(kind)} {kind}?", _yes(seen)
    color = tuple(COLORS)[random.integers(len(COLORS))]
    colors = [found.color for found in scene.objects if found.kind == kind]
    if colors and random.random() < 0.6:
        color = colors[random.integers(len(colors))]
    return f"is there {_article(color)} {color} {kind}?", _yes(color in colors)


def _any_kind(random: np.random.Generator, scene: Scene, absent: float) -> str:
    if random.random() < absent or not scene.objects:
        return KINDS[random.integers(len(KINDS))]
    return scene.objects[random.integers(len(scene.objects))].kind


def plural(kind: str) -> str:
    """The plural of a kind."""
    return {"fish": "fish", "cross": "crosses"}.get(kind, f"{kind}s")


def _yes(holds: object) -> str:
    return "yes" if holds else "no"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _german(found: SceneObject) -> str:
    ending, _, noun = GERMAN[found.kind].partition(" ")
    return f"{'ein' if ending else 'eine'} {GERMAN[found.color]}{ending} {noun}"


def _joined(parts: list[str], word: str) -> str:
    return f" {word} ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)
