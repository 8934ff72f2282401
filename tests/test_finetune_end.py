"""The command that a finished fine-tuning names asks what was trained, in the same words."""

from pathlib import Path

import pytest

from palikit.cli.finetune_end import _quoted, asking_words
from palikit.data.rows import Row

BOX = "<loc0001><loc0002><loc0003><loc0004>"


def words(prefix: str, suffix: str = "x") -> list[str]:
    return asking_words(Row((Path("0.png"),), prefix, (suffix,)))


@pytest.mark.parametrize(
    ("prefix", "suffix", "expected"),
    [
        ("detect cat ; dog", f"{BOX} cat", ["detect", "photo.jpg", "cat ; dog"]),
        ("segment cat", f"{BOX}{'<seg001>' * 16} cat", ["segment", "photo.jpg", "cat"]),
        (
            "the cat on the left",
            f"{BOX}{'<seg001>' * 16}",
            ["segment", "--refer", "photo.jpg", "the cat on the left"],
        ),
        ("the cat on the left", BOX, ["generate", "photo.jpg", "the cat on the left"]),
        ("caption en", "a cat", ["caption", "photo.jpg"]),
        ("caption de", "eine Katze", ["caption", "photo.jpg", "--language", "de"]),
        ("cap en", "a cat", ["generate", "photo.jpg", "cap en"]),
        ("describe en", "a cat", ["describe", "photo.jpg"]),
        ("ocr", "EXIT", ["ocr", "photo.jpg"]),
        ("answer en is it day?", "yes", ["answer", "photo.jpg", "is it day?"]),
        ("answer fr quoi ?", "oui", ["answer", "photo.jpg", "quoi ?", "--language", "fr"]),
        ("is it day?", "yes", ["generate", "photo.jpg", "is it day?"]),
        ("", "a cat", ["generate", "photo.jpg", ""]),
    ],
)
def test_the_words_of_a_prompt_are_kept(prefix: str, suffix: str, expected: list[str]) -> None:
    assert words(prefix, suffix) == expected


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("runs/best", "runs/best"),
        ("cat ; dog", '"cat ; dog"'),
        ("", '""'),
        ('a "b" $HOME', "'a \"b\" $HOME'"),
    ],
)
def test_words_are_quoted_for_a_shell(word: str, quoted: str) -> None:
    assert _quoted(word) == quoted
