"""The quick encoder gives the ids of the library, for every text."""

import json
import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as TokenizerFile

from palikit import tokenizer as module
from palikit.pieces import Pieces
from palikit.tokenizer import Tokenizer, _without_control_tokens
from tests import tiny
from tests.conftest import SHARED, shared

KINDS = ("tiny", "released")

characters = st.characters(exclude_categories=["Cs"])
texts = st.text(st.one_of(characters, st.sampled_from("catdogbie ▁\n\t<>/h10;")), max_size=80)


@cache
def both(kind: str) -> tuple[Pieces, TokenizerFile]:
    if kind == "released":
        whole = shared("tokenizer", "tokenizer.json").read_text(encoding="utf-8")
    else:
        whole = tiny.tokenizer_json()
    text = _without_control_tokens(whole)
    pieces = Pieces.read(json.loads(text))
    assert pieces is not None
    return pieces, TokenizerFile.from_str(text)


def assert_equal(kind: str, text: str) -> None:
    pieces, library = both(kind)
    assert pieces.encode(text) == library.encode(text, add_special_tokens=False).ids


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "released" and not (SHARED / "tokenizer").is_dir():
        pytest.skip("the released tokenizer is not here")
    return request.param


@settings(max_examples=150)
@given(text=texts)
def test_any_text_has_the_ids_of_the_library(text: str) -> None:
    assert_equal("tiny", text)


@settings(max_examples=150)
@given(text=texts)
def test_any_text_has_the_ids_of_the_released_file_in_the_library(text: str) -> None:
    assert_equal("released", text)


def test_pieces_side_by_side_are_merged_as_the_library_does(kind: str) -> None:
    pieces, _ = both(kind)
    names = sorted(pieces.names.values())
    drawn = random.Random(0)
    for _ in range(1000):
        chosen = [drawn.choice(names) for _ in range(drawn.randint(1, 6))]
        assert_equal(kind, "".join(chosen).replace("▁", drawn.choice((" ", "▁"))))


@pytest.mark.parametrize("unit", ["a", " ", "  ca", "\n", "\t ", "▁", "猫", "<h1>", "at a"])
def test_long_runs_are_merged_as_the_library_does(kind: str, unit: str) -> None:
    for times in (31, 32, 33, 200):
        assert_equal(kind, unit * times)


def test_names_are_those_of_the_library(kind: str) -> None:
    pieces, library = both(kind)
    size = library.get_vocab_size()
    assert [pieces.names.get(n) for n in range(size + 3)] == [
        library.id_to_token(n) for n in range(size + 3)
    ]


def test_both_ways_to_write_merges_are_read() -> None:
    content = json.loads(_without_control_tokens(tiny.tokenizer_json()))
    merges = [m if isinstance(m, str) else " ".join(m) for m in content["model"]["merges"]]
    for form in (merges, [m.split(" ") for m in merges]):
        content["model"]["merges"] = form
        read = Pieces.read(content)
        assert read is not None
        assert read.ranks == both("tiny")[0].ranks


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.update(normalizer=None),
        lambda file: file["model"].update(ignore_merges=True),
        lambda file: file["model"].update(type="Unigram"),
        lambda file: file["model"]["vocab"].pop("<0xFF>"),
        lambda file: file["added_tokens"][0].update(normalized=True),
        lambda file: file.pop("model"),
    ],
)
def test_a_file_that_asks_for_more_is_left_to_the_library(change) -> None:
    content = json.loads(tiny.tokenizer_json())
    change(content)
    assert Pieces.read(content) is None


def test_much_text_is_given_to_the_library(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUICK_CHARACTERS", 20)
    (tmp_path / "tokenizer.json").write_text(tiny.tokenizer_json(), encoding="utf-8")
    made = Tokenizer.load(tmp_path / "tokenizer.json")
    ids = [made.encode("a big cat") for _ in range(4)]
    assert "_file" in vars(made)
    assert ids == [ids[0]] * 4
    assert made.decode(ids[0]) == "a big cat"


def test_a_few_texts_do_not_wait_for_the_library(tmp_path) -> None:
    (tmp_path / "tokenizer.json").write_text(tiny.tokenizer_json(), encoding="utf-8")
    made = Tokenizer.load(tmp_path / "tokenizer.json")
    made.decode(made.encode("a big cat <loc0001>", allow_special=True))
    assert "_file" not in vars(made)
