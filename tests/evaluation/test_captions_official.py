"""BLEU, ROUGE-L and CIDEr-D beside the Python parts of pycocoevalcap, CIDEr by its equations."""

import contextlib
import io
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from palikit.evaluation.metrics.bleu import bleu
from palikit.evaluation.metrics.cider import cider, cider_d
from palikit.evaluation.metrics.rouge import rouge_l
from tests.evaluation.agreement import apart

WORDS = ["a", "the", "dog", "cat", "on", "red", "bus", "!", "-lrb-", "1\xa01/2", "no.", "猫"]
LARGEST = 12
"""Captions of a small set; a quarter of the cases is in small sets, the others in one."""

CAPTIONS = [300, pytest.param(2_000, marks=pytest.mark.parity)]

Pairs = tuple[list[str], list[list[str]]]


def official(package: str, name: str, *arguments: int) -> Any:
    return getattr(pytest.importorskip(f"pycocoevalcap.{package}"), name)(*arguments)


def caption(chance: random.Random) -> str:
    words = chance.choices(WORDS, k=9)
    return " ".join(words[: chance.choice([0, 1, 1, 2, 3, 4, 5, 6, 9])])


def captions(chance: random.Random, count: int) -> Pairs:
    references = [[caption(chance) for _ in range(chance.randint(1, 5))] for _ in range(count)]
    return [caption(chance) for _ in range(count)], references


def sets(cases: int) -> Iterator[Pairs]:
    chance, left = random.Random(11), cases
    while left > 3 * cases // 4:
        count = chance.randint(1, LARGEST)
        left -= count
        yield captions(chance, count)
    yield captions(chance, left)


def computed(metric: Any, answers: list[str], references: list[list[str]]) -> tuple[Any, Any]:
    right = dict(enumerate(references))
    found = {place: [text] for place, text in enumerate(answers)}
    with contextlib.redirect_stdout(io.StringIO()):
        figure, each = metric.compute_score(right, found)
    return figure, each


def bleu_differences(cases: int) -> Iterator[float]:
    metric = official("bleu.bleu", "Bleu", 4)
    for answers, references in sets(cases):
        figure, each = computed(metric, answers, references)
        for order in (1, 4):
            score = bleu(answers, references, order=order, tokenized=True)
            yield apart([value for _, value in score.parts], figure)
            yield apart(score.per_example, each[order - 1])


def rouge_differences(cases: int) -> Iterator[float]:
    metric = official("rouge.rouge", "Rouge")
    for answers, references in sets(cases):
        figure, each = computed(metric, answers, references)
        score = rouge_l(answers, references, tokenized=True)
        yield apart([score.value, *score.per_example], [figure, *each])


def cider_d_differences(cases: int) -> Iterator[float]:
    metric = official("cider.cider", "Cider")
    for answers, references in sets(cases):
        if not any(text.split() for group in references for text in group):
            continue  # the original fails where no reference has a word
        figure, each = computed(metric, answers, references)
        score = cider_d(answers, references, tokenized=True)
        yield apart([score.value, *score.per_example], [figure, *each])


def cider_differences(cases: int) -> Iterator[float]:
    for answers, references in sets(cases):
        slow = slow_cider(answers, references)
        score = cider(answers, references, tokenized=True)
        yield apart([score.value, *score.per_example], [sum(slow) / len(slow), *slow])


def slow_cider(answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Equations 1 to 4 of arXiv 1411.5726, one pair of captions after the other."""
    frequencies = Counter(
        gram
        for group in references
        for gram in {each for text in group for n in range(1, 5) for each in grams(text, n)}
    )

    def vector(text: str, n: int) -> dict[tuple[str, ...], float]:
        return {
            gram: count * (math.log(len(references)) - math.log(max(1, frequencies[gram])))
            for gram, count in grams(text, n).items()
        }

    def alike(first: str, second: str, n: int) -> float:
        a, b = vector(first, n), vector(second, n)
        lengths = math.hypot(*a.values()) * math.hypot(*b.values())
        return (
            sum(value * b.get(gram, 0.0) for gram, value in a.items()) / lengths if lengths else 0
        )

    return [
        10 * sum(alike(answer, each, n) for each in group for n in range(1, 5)) / 4 / len(group)
        for answer, group in zip(answers, references, strict=True)
    ]


def grams(text: str, n: int) -> Counter[tuple[str, ...]]:
    words = text.split()
    return Counter(tuple(words[place : place + n]) for place in range(len(words) - n + 1))


@pytest.mark.parametrize("cases", CAPTIONS)
def test_bleu_is_that_of_pycocoevalcap(cases: int) -> None:
    assert max(bleu_differences(cases)) < 1e-12


@pytest.mark.parametrize("cases", CAPTIONS)
def test_rouge_is_that_of_pycocoevalcap(cases: int) -> None:
    assert max(rouge_differences(cases)) < 1e-12


@pytest.mark.parametrize("cases", CAPTIONS)
def test_cider_d_is_the_cider_of_pycocoevalcap(cases: int) -> None:
    assert max(cider_d_differences(cases)) < 1e-12


@pytest.mark.parametrize("cases", CAPTIONS)
def test_cider_is_that_of_its_equations(cases: int) -> None:
    assert max(cider_differences(cases)) < 1e-12
