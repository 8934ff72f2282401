"""The PTB tokens of captions, against what the Java program wrote and against the slow way."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palikit.evaluation.metrics.ptb import PUNCTUATION, lex, tokenize
from tests.evaluation.ptb_examples import EXAMPLES

PLAIN = [
    "a",
    "B.",
    "The",
    "No.",
    "5",
    "1/2",
    "(555)",
    "'s",
    "can't",
    ".",
    ". .",
    "<b",
    ">",
    "é",
    "猫",
]
BETWEEN = [" ", " ", " ", "  ", "\t", "\xa0", "-", ",", "'", '"', "U.S.", "inc.", "'10", ":)", "😀"]
pieces = st.sampled_from(PLAIN + BETWEEN)
captions = st.lists(pieces, max_size=12).map("".join)


@pytest.mark.parametrize(("caption", "tokens"), EXAMPLES)
def test_the_tokens_are_those_of_the_java_program(caption: str, tokens: str) -> None:
    assert tokenize(caption) == tokens


@given(captions | st.text(max_size=30))
def test_text_between_blanks_is_remembered_without_a_difference(caption: str) -> None:
    assert tokenize(caption) == " ".join(lex(caption))


@given(st.text(max_size=30))
def test_any_text_becomes_tokens_without_punctuation_or_blanks(caption: str) -> None:
    tokens = lex(caption)
    assert not PUNCTUATION.intersection(tokens)
    assert all(token and " " not in token and "\n" not in token for token in tokens)


@pytest.mark.parametrize("caption", ["", " ", ".", "...", "'' - ?", "\n", "😀"])
def test_nothing_but_punctuation_has_no_tokens(caption: str) -> None:
    assert tokenize(caption) == ""


def test_line_breaks_are_blanks() -> None:
    assert tokenize("a dog\nruns\r\nfast") == "a dog runs fast"


def test_brackets_keep_their_small_letters() -> None:
    assert tokenize("(a) [b] {c}") == "-lrb- a -rrb- -lsb- b -rsb- -lcb- c -rcb-"


def test_a_stop_stays_with_abbreviations_letters_and_before_commas() -> None:
    assert tokenize("etc. end. U.S. end., no. 5 no. five") == "etc. end u.s. end. no. 5 no five"


def test_a_plain_caption_is_quick_even_when_long() -> None:
    assert tokenize("a" * 20_000) == "a" * 20_000
    assert len(tokenize("a dog, " * 5_000).split()) == 10_000


def test_importing_compiles_nothing() -> None:
    code = (
        "from palikit.evaluation.metrics.ptb_rules import rules\n"
        "import palikit.evaluation.metrics.ptb\n"
        "assert rules.cache_info().currsize == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
