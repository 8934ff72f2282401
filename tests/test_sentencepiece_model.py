"""The `.model` of the JAX release against the SentencePiece library itself."""

import io
import json
import random
from pathlib import Path

import pytest

from palikit.errors import CheckpointError
from palikit.sentencepiece_model import Kind, Piece, _merges, tokenizer_json_from_sentencepiece
from palikit.tokenizer import Tokenizer
from tests.conftest import shared

sentencepiece = pytest.importorskip("sentencepiece")

WORDS = ["the", "a", "cat", "dog", "sits", "on", "under", "big", "small", "red", "box"]
WORDS += ["3", "14", "and,", "Hund", "Katze", "élan", "猫", "犬"]


def train(path: Path, **changes: object) -> None:
    """A small BPE model with Gemma's settings."""
    rng = random.Random(0)
    lines = [" ".join(rng.choices(WORDS, k=rng.randint(2, 9))) for _ in range(400)]
    settings: dict[str, object] = {
        "model_type": "bpe",
        "vocab_size": 420,
        "byte_fallback": True,
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "normalization_rule_name": "identity",
        "split_digits": True,
        "allow_whitespace_only_pieces": True,
        "pad_id": 0,
        "eos_id": 1,
        "bos_id": 2,
        "unk_id": 3,
        "pad_piece": "<pad>",
        "eos_piece": "<eos>",
        "bos_piece": "<bos>",
        "user_defined_symbols": ["\n", "\n\n", "▁▁", "<table>"],
        "hard_vocab_limit": False,
        "minloglevel": 2,
    }
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, **settings | changes
    )
    path.write_bytes(model.getvalue())


def test_ids_are_those_of_sentencepiece(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    train(path)
    ours = Tokenizer.load(path)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    rng = random.Random(1)
    texts = [" ".join(rng.choices(WORDS, k=8)) for _ in range(200)]
    texts += ["", " cat", "cat\n", "a\n\nb", "two  spaces   three", "unseen: Ж🦩<table>x", "\t"]
    for text in texts:
        assert ours.encode(text) == theirs.encode(text), text
        assert ours.decode(ours.encode(text)) == text


def test_location_and_segmentation_tokens_stand_behind_the_last_piece(tmp_path: Path) -> None:
    path = tmp_path / "gemma_tokenizer.model"
    train(path)
    size = sentencepiece.SentencePieceProcessor(model_file=str(path)).vocab_size()
    vocabulary = Tokenizer.load(path).vocabulary
    assert vocabulary.loc_start == size
    assert vocabulary.seg_start == size + 1024
    assert vocabulary.image_id == size + 1024 + 128


def test_merges_are_those_of_the_released_tokenizer() -> None:
    released = json.loads(shared("tokenizer", "tokenizer.json").read_text(encoding="utf-8"))
    vocab = released["model"]["vocab"]
    added = {entry["id"] for entry in released["added_tokens"]}
    first = vocab["in"]  # the first piece that was learned; scores count down from it
    pieces = [
        Piece(text, 0.0 if index in added else float(first - index), Kind.NORMAL)
        for text, index in sorted(vocab.items(), key=lambda item: item[1])
    ]
    assert [" ".join(merge) for merge in _merges(pieces, vocab)] == released["model"]["merges"]


def test_a_model_that_changes_spaces_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.model"
    train(path, add_dummy_prefix=True)
    with pytest.raises(CheckpointError, match="changes the spaces"):
        Tokenizer.load(path)


@pytest.mark.parametrize("data", [b"", b"\x0a\xff\xff\xff\xff\x0f", b"PK\x03\x04" * 9, b"\x0a" * 7])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.model"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"x\.model"):
        tokenizer_json_from_sentencepiece(path)


def encoded(*pieces: tuple[str, Kind]) -> bytes:
    """A `.model` of these pieces and a normaliser that leaves spaces alone, all fields short."""
    data = b""
    for text, kind in pieces:
        piece = b"\x0a" + bytes([len(text)]) + text.encode() + b"\x18" + bytes([kind])
        data += b"\x0a" + bytes([len(piece)]) + piece
    return data + b"\x1a\x04\x18\x00\x20\x00"


def test_a_model_without_an_unknown_piece_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.model"
    path.write_bytes(encoded(("<unk>", Kind.UNKNOWN), ("a", Kind.NORMAL)))
    assert json.loads(tokenizer_json_from_sentencepiece(path))["model"]["unk_token"] == "<unk>"
    path.write_bytes(encoded(("<unk>", Kind.NORMAL), ("a", Kind.NORMAL)))
    with pytest.raises(CheckpointError, match="no unknown piece"):
        tokenizer_json_from_sentencepiece(path)


def test_a_piece_of_absurd_length_is_refused_before_it_is_split(tmp_path: Path) -> None:
    piece = b"\x0a\x80\x80\x40" + b"a" * 2**20
    path = tmp_path / "x.model"
    path.write_bytes(b"\x0a\x84\x80\x40" + piece)
    with pytest.raises(CheckpointError, match="not a SentencePiece model"):
        tokenizer_json_from_sentencepiece(path)


def test_mutilated_files_are_refused_or_read_but_never_crash(tmp_path: Path) -> None:
    path = tmp_path / "x.model"
    train(path)
    data, rng = path.read_bytes(), random.Random(2)
    for _ in range(200):
        cut = bytearray(data[: rng.randrange(len(data))])
        for _ in range(3):
            if cut:
                cut[rng.randrange(len(cut))] = rng.randrange(256)
        path.write_bytes(cut)
        try:
            Tokenizer.load(path)
        except CheckpointError:
            continue
