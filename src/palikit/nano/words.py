"""The words that scenes print: English ones from words.txt, and invented ones.

About one word in eight is for tests alone, by its digest, so that reading is measured on words that
no training saw.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from palikit.nano.lettering import LETTERS

Split = Literal["train", "test"]


def draw_word(random: np.random.Generator, split: Split) -> str:
    """A word of 3 to 8 capitals of one side of the split: half are English, half are invented."""
    while True:
        if random.random() < 0.5:
            word = english_words()[random.integers(len(english_words()))]
        else:
            letters = random.integers(len(LETTERS), size=random.integers(3, 9))
            word = "".join(LETTERS[i] for i in letters)
        if word_split(word) == split:
            return word


@cache
def english_words() -> tuple[str, ...]:
    """The English words of 3 to 8 letters that are printed."""
    return tuple(Path(__file__).with_name("words.txt").read_text(encoding="ascii").split())


def word_split(word: str) -> Split:
    """The side a word is on: about one in eight is for tests."""
    return "test" if hashlib.sha256(word.encode()).digest()[0] < 32 else "train"
