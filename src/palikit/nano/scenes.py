"""Scenes: pictures drawn from a seed together with everything that can be asked about them.

A scene shows 1 to 8 objects and at most two printed texts on a drawn background. An object's side
is 8 to 60 % of the picture's, three of ten under 15 %; boxes overlap up to an IoU of 0.3, the
smaller in front, and at least 65 % of each object stays visible. Boxes and outlines are those of
what is visible. Words are capitals of 3 to 8 letters; the words of the test side of the split are
never drawn for training.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from palikit.nano.backgrounds import Pixels, background
from palikit.nano.figures import Figure, render, turned
from palikit.nano.lettering import DIGITS, Lettering, print_text
from palikit.nano.shapes import shapes
from palikit.nano.words import Split, draw_word
from palikit.results import Box

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (215, 35, 40),
    "orange": (245, 140, 20),
    "yellow": (245, 220, 40),
    "green": (40, 150, 60),
    "blue": (40, 90, 215),
    "purple": (135, 50, 165),
    "black": (22, 22, 24),
    "white": (248, 248, 248),
}
"""Names of colours and their centres, levels 0 .. 255."""

KINDS = tuple(shapes())

MIN_SIDE, MAX_SIDE, SMALL_SIDE = 0.08, 0.60, 0.15
"""Sides of objects as shares of the picture's."""

SMALL_SHARE = 0.3
"""How many objects are drawn with a side under `SMALL_SIDE`."""

MAX_OVERLAP = 0.3
MIN_VISIBLE = 0.65
MIN_CONTRAST = 85.0
"""Distance in RGB between an object's colour and the mean of what it covers."""


@dataclass(frozen=True, eq=False)
class SceneObject:
    """One object.

    Attributes:
        kind: one of `KINDS`.
        color: one of `COLORS`.
        box: of its visible pixels.
        visible: bool[h, w], its pixels within the box.
    """

    kind: str
    color: str
    box: Box
    visible: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SceneText:
    """One printed text, its box, and the horizontal extent of each letter in pixels."""

    text: str
    box: Box
    columns: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and what it shows, objects and texts from top to bottom."""

    picture: Image.Image
    objects: tuple[SceneObject, ...]
    texts: tuple[SceneText, ...]


@dataclass(frozen=True)
class SceneOptions:
    """What kind of scenes.

    Attributes:
        side: of the picture in pixels.
        split: which words may be printed.
        texts: how many texts, or None to leave it to chance (half of the scenes have none).
    """

    side: int = 320
    split: Split = "train"
    texts: int | None = None


def training_side(seed: int, side: int) -> int:
    """The side in pixels to draw a scene of a training with, before it is reduced to `side`.

    Each eighth is drawn at twice that, as a person's picture would be reduced.
    """
    return 2 * side if seed % 8 == 0 else side


def draw_scene(seed: int, options: SceneOptions | None = None) -> Scene:
    """The scene of a seed: the same seed and options always give the same scene."""
    options = options or SceneOptions()
    random = np.random.default_rng(seed)
    canvas = _Canvas(background(random, options.side))
    number = int(random.choice(3, p=(0.5, 0.38, 0.12))) if options.texts is None else options.texts
    texts = [_place_text(random, canvas, options.split) for _ in range(number)]
    sides = sorted((_draw_side(random) for _ in range(random.integers(1, 9))), reverse=True)
    for side in sides:
        _place_object(random, canvas, side * options.side)
    while not canvas.names:  # texts may leave no room for a large one
        _place_object(random, canvas, random.uniform(MIN_SIDE, SMALL_SIDE) * options.side)
    return Scene(
        Image.fromarray(canvas.pixels.round().clip(0, 255).astype(np.uint8)),
        tuple(sorted(canvas.found(), key=lambda found: (found.box.y1, found.box.x1))),
        tuple(sorted((t for t in texts if t is not None), key=lambda t: (t.box.y1, t.box.x1))),
    )


class _Canvas:
    """The picture under way and who owns each pixel: -1 nobody, else the object's number."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.side = pixels.shape[0]
        self.owner = np.full(pixels.shape[:2], -1, np.int16)
        self.areas: list[int] = []
        self.names: list[tuple[str, str]] = []
        self.boxes: list[tuple[int, int, int, int]] = []
        self.taken: list[tuple[int, int, int, int]] = []

    def found(self) -> list[SceneObject]:
        """The objects with what is visible of them."""
        objects = []
        for index, ((kind, color), (x1, y1, x2, y2)) in enumerate(
            zip(self.names, self.boxes, strict=True)
        ):
            patch = self.owner[y1:y2, x1:x2] == index
            rows, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
            top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
            box = Box(float(x1 + left), float(y1 + top), float(x1 + right), float(y1 + bottom))
            objects.append(SceneObject(kind, color, box, patch[top:bottom, left:right]))
        return objects


def _draw_side(random: np.random.Generator) -> float:
    if random.random() < SMALL_SHARE:
        return float(random.uniform(MIN_SIDE, SMALL_SIDE))
    # Even in the logarithm: medium objects are commoner than huge ones.
    return float(math.exp(random.uniform(math.log(SMALL_SIDE), math.log(MAX_SIDE))))


def _place_object(random: np.random.Generator, canvas: _Canvas, side: float) -> None:
    """Put one object somewhere it fits; leave it out if 12 tries find no place."""
    kind = KINDS[random.integers(len(KINDS))]
    outline = turned(random, shapes()[kind], side)
    width, height = outline.width, outline.height
    for _ in range(12):
        x = int(random.integers(0, max(1, canvas.side - width)))
        y = int(random.integers(0, max(1, canvas.side - height)))
        box = (x, y, x + width, y + height)
        if any(_meet(box, taken) for taken in canvas.taken):
            continue
        if any(_iou(box, other) > MAX_OVERLAP for other in canvas.boxes):
            continue
        color = tuple(COLORS)[random.integers(len(COLORS))]
        if _paint(random, canvas, outline, box, kind, color):
            return


def _paint(
    random: np.random.Generator,
    canvas: _Canvas,
    outline: Figure,
    box: tuple[int, int, int, int],
    kind: str,
    color: str,
) -> bool:
    """Paint an object if it stands out and hides no other too much."""
    x1, y1, x2, y2 = box
    main = np.clip(np.array(COLORS[color]) + random.normal(0, 7, 3), 0, 255)
    paint, ink = render(outline, main)
    inside = ink > 0.5
    area = int(inside.sum())
    if area < 12:
        return False
    under = canvas.pixels[y1:y2, x1:x2]
    mean = under[inside].mean(axis=0)
    if np.linalg.norm(mean - main) < MIN_CONTRAST:
        return False
    owners, lost = np.unique(canvas.owner[y1:y2, x1:x2][inside], return_counts=True)
    for owner, count in zip(owners, lost, strict=True):
        if owner >= 0:
            kept = int((canvas.owner == owner).sum()) - count
            if kept < MIN_VISIBLE * canvas.areas[owner]:
                return False
    shade = np.linspace(1 + random.uniform(-0.12, 0.12), 1, y2 - y1)[:, None, None]
    canvas.pixels[y1:y2, x1:x2] = under + ink[..., None] * (paint * shade - under)
    canvas.owner[y1:y2, x1:x2][inside] = len(canvas.names)
    canvas.names.append((kind, color))
    canvas.boxes.append(box)
    canvas.areas.append(area)
    return True


def _place_text(random: np.random.Generator, canvas: _Canvas, split: Split) -> SceneText | None:
    number = "".join(DIGITS[i] for i in random.integers(0, 10, random.integers(1, 5)))
    text = draw_word(random, split) if random.random() < 0.85 else number
    height = max(10, round(random.uniform(0.10, 0.17) * canvas.side))
    how = Lettering(
        face="stroke" if random.random() < 0.6 else "printed",
        height=height,
        weight=float(random.choice((0.1, 0.13, 0.17, 0.21))),
        slant=float(random.choice((0.0, 0.0, 0.15, 0.25))),
        width=float(random.choice((0.5, 0.6, 0.7))),
        spacing=float(random.choice((0.18, 0.26))),
    )
    printed = print_text(text, how)
    ink = printed.ink
    shrink = min(1.0, 0.92 * canvas.side / ink.shape[1])
    if shrink < 1:
        size = (math.floor(ink.shape[1] * shrink), max(8, round(ink.shape[0] * shrink)))
        ink = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BOX))
    columns = [(a * shrink, b * shrink) for a, b in printed.columns]
    return _paint_text(random, canvas, text, ink, columns)


def _paint_text(
    random: np.random.Generator,
    canvas: _Canvas,
    text: str,
    ink: npt.NDArray[np.uint8],
    columns: list[tuple[float, float]],
) -> SceneText | None:
    h, w = ink.shape
    pad = max(2, h // 6)
    for _ in range(8):
        x = int(random.integers(pad, max(pad + 1, canvas.side - w - pad)))
        y = int(random.integers(pad, canvas.side - h - pad))
        area = (x - pad, y - pad, x + w + pad, y + h + pad)
        if any(_meet(area, taken) for taken in canvas.taken):
            continue
        region = canvas.pixels[max(0, y - pad) : y + h + pad, max(0, x - pad) : x + w + pad]
        level = region.mean()
        if random.random() < 0.5:  # on a plate of its own
            level = random.choice((random.uniform(0, 70), random.uniform(180, 255)))
            region[:] = level
        color = np.clip(
            random.normal(25, 20, 3) if level > 128 else random.normal(235, 15, 3), 0, 255
        )
        under = canvas.pixels[y : y + h, x : x + w]
        under += (ink[..., None].astype(np.float32) / 255) * (color.astype(np.float32) - under)
        canvas.taken.append(area)
        box = Box(float(x), float(y), float(x + w), float(y + h))
        return SceneText(text, box, tuple((x + a, x + b) for a, b in columns))
    return None


def _meet(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _iou(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
