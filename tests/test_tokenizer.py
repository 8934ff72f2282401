"""Text to ids and back, control tokens, damaged files, and the SentencePiece form."""

import json
from pathlib import Path

import pytest

from palikit.errors import CheckpointError, InputError
from palikit.tokenizer import Tokenizer
from palikit.vocab import PALIGEMMA
from tests import tiny
from tests.conftest import shared

TEXTS = [
    "caption en",
    "detect cat ; dog",
    " leading and trailing ",
    "two  spaces\tand a tab\nand lines\n\n\n",
    "naïve façade 猫と犬 🦩 \u200d \U0001f468\u200d\U0001f469",
    "<table><tr><td>1</td></tr></table>",
    "answer en what is 3.14159 x 2?",
    "",
]
CONTROLS = ["<image>", "<bos>", "<eos>", "<pad>", "<loc0000>", "<loc1023>", "<seg127>"]


@pytest.fixture(scope="module")
def gemma() -> Tokenizer:
    return Tokenizer.load(shared("tokenizer", "tokenizer.json"))


def test_the_released_tokenizer_has_the_released_ids(gemma: Tokenizer) -> None:
    assert gemma.vocabulary == PALIGEMMA
    assert gemma.encode("<loc0000><loc1023><seg000><seg127>", allow_special=True) == [
        256000,
        257023,
        257024,
        257151,
    ]


def test_a_label_and_the_separator_are_the_tokens_the_answers_hold(gemma: Tokenizer) -> None:
    whole = gemma.encode("<loc0001> cat ; <loc0002>", allow_special=True)
    assert whole == [256001, *gemma.encode(" cat"), *gemma.encode(" ; "), 256002]


@pytest.mark.parametrize("text", TEXTS)
def test_text_survives_encoding_and_decoding(text: str) -> None:
    assert tiny.tokenizer().decode(tiny.tokenizer().encode(text)) == text


@pytest.mark.parametrize("text", TEXTS)
def test_text_survives_the_released_tokenizer(gemma: Tokenizer, text: str) -> None:
    assert gemma.decode(gemma.encode(text)) == text


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_token_in_a_users_text_is_plain_text(control: str) -> None:
    tokenizer = tiny.tokenizer()
    vocabulary = tokenizer.vocabulary
    ids = tokenizer.encode(f"cat {control} dog")
    special = {0, 1, 2, *vocabulary.loc_ids, *vocabulary.seg_ids, vocabulary.image_id}
    assert not special & set(ids)
    assert tokenizer.decode(ids) == f"cat {control} dog"


@pytest.mark.parametrize("control", [*CONTROLS, "<unused7>", "<start_of_turn>", "<mask>"])
def test_the_released_tokenizer_lets_no_control_token_through(
    gemma: Tokenizer, control: str
) -> None:
    entries = json.loads(shared("tokenizer", "tokenizer.json").read_text())["added_tokens"]
    forbidden = {entry["id"] for entry in entries if entry["content"] == control}
    assert forbidden
    assert not forbidden & set(gemma.encode(f"a{control}b {control}"))


def test_tokens_that_do_not_exist_stay_text() -> None:
    tokenizer = tiny.tokenizer()
    for text in ("<loc1024>", "<seg128>", "<loc٠٠٠٠>", "<loc12>", "<image>"):
        assert tokenizer.encode(text, allow_special=True) == tokenizer.encode(text)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be written as UTF-8"):
        tiny.tokenizer().encode("what \udcff is")


def test_the_end_and_the_padding_write_nothing() -> None:
    tokenizer = tiny.tokenizer()
    cat = tokenizer.encode(" cat")
    assert tokenizer.decode([2, *cat, 1, 0, 0, tokenizer.vocabulary.image_id]) == " cat"


def test_characters_of_several_bytes_appear_with_their_last_byte() -> None:
    tokenizer = tiny.tokenizer()
    ids, decoder = tokenizer.encode("犬!"), tokenizer.decoder()
    assert [decoder.push(token) for token in ids] == ["", "", "犬", "!"]
    decoder.push(ids[0])
    assert decoder.push(ids[-1]) == "\ufffd!"
    decoder.push(ids[0])
    assert decoder.flush() == "\ufffd"


def test_streamed_text_is_what_the_tokenizers_library_decodes(gemma: Tokenizer) -> None:
    for text in TEXTS:
        ids = gemma.encode(text)
        assert gemma.decode(ids) == gemma._file.decode(ids, skip_special_tokens=False)


# Files


def test_a_missing_tokenizer_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"does not exist: a checkpoint needs its tokenizer"):
        Tokenizer.load(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("damage", ["", "{}", "not json", '{"added_tokens": [', "\x00\x01"])
def test_a_damaged_tokenizer_is_refused(tmp_path: Path, damage: str) -> None:
    (tmp_path / "tokenizer.json").write_text(damage)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path / "tokenizer.json")


def test_a_tokenizer_of_another_model_is_named_as_such(tmp_path: Path) -> None:
    other = json.loads(tiny.tokenizer_json())
    other["added_tokens"] = [e for e in other["added_tokens"] if "loc" not in e["content"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(other))
    with pytest.raises(CheckpointError, match=r"of another model: it lacks '<loc0000>'"):
        Tokenizer.load(tmp_path / "tokenizer.json")


def test_location_tokens_out_of_order_are_refused(tmp_path: Path) -> None:
    text = tiny.tokenizer_json().replace('"<loc0007>"', '"<x>"').replace('"<loc0008>"', '"<y>"')
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"not consecutive \(first wrong: <loc0007>\)"):
        Tokenizer.load(tmp_path / "tokenizer.json")
