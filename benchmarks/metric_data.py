"""Made captions, answers and boxes, as many and as varied as those of real test sets."""

import random
from typing import Any

import numpy as np

CAPTIONS, REFERENCES = 20_000, 5
ANSWERS, PEOPLE = 100_000, 10
PICTURES, BOXES, CLASSES = 5_000, 36_000, 80


def captions(*, plain: bool) -> tuple[list[str], list[list[str]]]:
    """About eleven words each, the n-th most frequent 1 / n as frequent as the first.

    Plain captions are written as people write them, the others are tokens joined by blanks.
    """
    chance = random.Random(0)
    letters = "etaoinshrdlcumwfgypb"
    words = ["".join(chance.choices(letters, k=chance.randint(1, 9))) for _ in range(12_000)]
    weights = [1 / place for place in range(1, len(words) + 1)]
    pool = iter(chance.choices(words, weights, k=CAPTIONS * (1 + REFERENCES) * 15))

    def caption() -> str:
        text = " ".join(next(pool) for _ in range(chance.randint(7, 15)))
        if not plain:
            return text
        middle = chance.choice(["", "", "", ","])
        return text.capitalize().replace(" ", middle + " ", 1) + chance.choice([".", " .", ""])

    return [caption() for _ in range(CAPTIONS)], [
        [caption() for _ in range(REFERENCES)] for _ in range(CAPTIONS)
    ]


def answers() -> tuple[list[str], list[list[str]]]:
    """As in VQAv2: three of eight are yes or no, one of eight a number; people may disagree."""
    chance = random.Random(0)
    things = [f"{a}{b}" for a in ("", "the ", "red ", "a big ") for b in _things(chance)]

    def few() -> list[str]:
        kind = chance.random()
        if kind < 3 / 8:
            return ["yes", "no"]
        if kind < 1 / 2:
            return [str(chance.randint(0, 20)), chance.choice(["two", "10+", "1,000"])]
        return chance.sample(things, 4)

    truths = []
    for _ in range(ANSWERS):
        given = few()
        truths.append(chance.choices(given, [8, *[1] * (len(given) - 1)], k=PEOPLE))
    return [chance.choice(each) for each in truths], truths


def _things(chance: random.Random) -> list[str]:
    ends = ["", "s", "'s", "-like", ", too", "!", "."]
    names = ("".join(chance.choices("etaoinshrdlu", k=chance.randint(3, 9))) for _ in range(2_000))
    return [name + chance.choice(ends) for name in names]


def boxes() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Truths and answers as COCO's files have them; classes are unlike in number."""
    random = np.random.default_rng(0)
    shares = 1 / np.arange(1, CLASSES + 1)
    places = np.sort(random.integers(1, PICTURES + 1, BOXES)).tolist()
    classes = random.choice(CLASSES, BOXES, p=shares / shares.sum()) + 1
    sides = random.lognormal(4, 0.9, (BOXES, 2)).clip(4, 500)
    true = np.concatenate([random.uniform(0, 600 - sides), sides], axis=1)
    noise = random.normal(0, 0.08, (BOXES, 4)) * np.concatenate([sides, sides], axis=1)
    stray = random.random(BOXES) < 0.25
    found = np.where(stray[:, None], random.permutation(true), true + noise).clip(1, None)
    annotations = [
        {"id": n + 1, "image_id": place, "category_id": int(label), "bbox": box, "iscrowd": 0}
        for n, (place, label, box) in enumerate(zip(places, classes, true.tolist(), strict=True))
    ]
    for each in annotations:
        each["area"] = each["bbox"][2] * each["bbox"][3]
    results = [
        {"image_id": place, "category_id": int(label), "bbox": box, "score": float(score)}
        for place, label, box, score in zip(
            places, classes, found.tolist(), random.random(BOXES), strict=True
        )
    ]
    images = [{"id": n + 1, "width": 600, "height": 600} for n in range(PICTURES)]
    categories = [{"id": n + 1, "name": str(n + 1)} for n in range(CLASSES)]
    return {"images": images, "categories": categories, "annotations": annotations}, results
