"""The SentencePiece `.model` of the JAX release as a `tokenizer.json`.

The file is a protocol buffer of which three things matter: the pieces with their scores and kinds,
and that text is taken as it is (Gemma adds no space in front and collapses none). Piece and
normaliser layouts: sentencepiece_model.proto of google/sentencepiece.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from palikit.errors import CheckpointError
from palikit.vocab import NUM_LOC, NUM_SEG, seg_token

MAX_FILE_BYTES = 64 * 2**20
"""gemma_tokenizer.model has 4 MB."""

MAX_PIECE_BYTES = 1024
"""Gemma's longest piece has 31 characters; the work to split one grows with its square."""


class Kind(IntEnum):
    """What a piece is for."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; its id is its place."""

    text: str
    score: float
    kind: int


def tokenizer_json_from_sentencepiece(path: Path) -> str:
    """Read a `.model` file and return the text of the equivalent `tokenizer.json`.

    `paligemma_tokenizer.model` already holds the location and segmentation tokens; to
    `gemma_tokenizer.model` they are added as big_vision adds them, behind the last piece.

    Raises:
        CheckpointError: the file is missing, damaged, or of another model.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: give the tokenizer's .model file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise CheckpointError(f"{path} has over {MAX_FILE_BYTES} bytes: it is not a tokenizer")
    try:
        pieces = _read_pieces(path.read_bytes())
    except (ValueError, IndexError, struct.error):
        raise CheckpointError(f"{path} is not a SentencePiece model; fetch it again") from None
    if not pieces:
        raise CheckpointError(f"{path} holds no pieces: it is not a SentencePiece model")
    if not any(piece.kind == Kind.UNKNOWN for piece in pieces):
        raise CheckpointError(f"{path} has no unknown piece: it is not a tokenizer of PaliGemma")
    return json.dumps(_tokenizer_json(_extend(pieces)), ensure_ascii=False)


def _extend(pieces: list[Piece]) -> list[Piece]:
    known = {piece.text for piece in pieces}
    names = [f"<loc{index:04d}>" for index in range(NUM_LOC)]
    names += [seg_token(code) for code in range(NUM_SEG)] + ["<image>"]
    return pieces + [Piece(name, 0.0, Kind.USER_DEFINED) for name in names if name not in known]


def _tokenizer_json(pieces: list[Piece]) -> dict[str, Any]:
    """Gemma's: merges by score, text split behind its spaces before they are "▁"."""
    vocab = {piece.text: index for index, piece in enumerate(pieces)}
    special = {Kind.UNKNOWN, Kind.CONTROL}
    return tokenizer_content(
        vocab,
        added={
            piece.text: piece.kind in special or piece.text == "<image>"
            for piece in pieces
            if piece.kind in {*special, Kind.USER_DEFINED}
        },
        pre_tokenizer=split_at({"String": " "}, "MergedWithPrevious"),
        unknown=next(piece.text for piece in pieces if piece.kind == Kind.UNKNOWN),
        merges=_merges(pieces, vocab),
    )


def tokenizer_content(
    vocab: Mapping[str, int],
    *,
    added: Mapping[str, bool],
    pre_tokenizer: dict[str, Any],
    unknown: str,
    merges: list[list[str]] | None,
) -> dict[str, Any]:
    """A BPE with byte fallback in the layout of the Hugging Face tokenizers library.

    Args:
        vocab: pieces and their ids.
        added: pieces that are found in a text before it is split, in the order of the file, and
            whether each is special, that is left out of what is read.
        pre_tokenizer: how a text is split, with "▁" for its spaces.
        unknown: the piece of what is in no other.
        merges: pairs of pieces, first come first joined; None for a vocabulary of whole words,
            where a part of the text that is no piece falls into characters.
    """
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added_token(text, vocab[text], is_special=is_special)
            for text, is_special in added.items()
        ],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": merges is None,
            "vocab": dict(vocab),
            "merges": merges or [],
        },
    }


def split_at(pattern: dict[str, str], behavior: str) -> dict[str, Any]:
    """One step of a pre-tokenizer, as the tokenizers library names behaviours."""
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": False}


def _added_token(text: str, index: int, *, is_special: bool) -> dict[str, Any]:
    return {
        "id": index,
        "content": text,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": is_special,
    }


def _merges(pieces: list[Piece], vocab: dict[str, int]) -> list[list[str]]:
    """The merge list: SentencePiece joins the neighbours whose union scores highest.

    Every way to split a piece into two known pieces is a merge of the piece's score; among those
    of one score, the longer left, then the longer right part comes first, as in the released
    tokenizer.json. User-defined pieces are among them for the runs of spaces, which are not found
    in the text as it is: there they are spaces still, not "▁".
    """
    ranked = [
        (-piece.score, -len(left), -len(right), left, right)
        for piece in pieces
        if piece.kind in {Kind.NORMAL, Kind.USER_DEFINED}
        for left, right in _splits(piece.text)
        if left in vocab and right in vocab
    ]
    ranked.sort(key=lambda merge: merge[:3])
    return [[left, right] for *_, left, right in ranked]


def _splits(text: str) -> Iterator[tuple[str, str]]:
    for cut in range(1, len(text)):
        yield text[:cut], text[cut:]


def _read_pieces(data: bytes) -> list[Piece]:
    """ModelProto: field 1 is a piece, field 3 the normaliser."""
    pieces = []
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            pieces.append(_read_piece(value))
        elif number == 3 and isinstance(value, bytes):
            _check_normalizer(dict(_fields(value)))
    return pieces


def _read_piece(data: bytes) -> Piece:
    fields = dict(_fields(data))
    text, score = fields.get(1, b""), fields.get(2, 0)
    if not isinstance(text, bytes) or not isinstance(score, float | int):
        raise ValueError("a piece without text or score")
    if len(text) > MAX_PIECE_BYTES:
        raise ValueError(f"a piece of {len(text)} bytes")
    kind = fields.get(3, Kind.NORMAL)
    return Piece(text.decode(), float(score), int(kind) if isinstance(kind, int) else Kind.NORMAL)


def _check_normalizer(fields: dict[int, int | float | bytes]) -> None:
    # Both default to true; Gemma's file sets both to false.
    if fields.get(3, 1) or fields.get(4, 1):
        raise CheckpointError(
            "the .model file changes the spaces of its text, which Gemma's does not: it is a "
            "tokenizer of another model; use the one of the JAX release of PaliGemma"
        )


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """(field number, value) of one message: varints, 32-bit floats, byte strings."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
        elif wire == 2:
            size, place = _varint(data, place)
            if place + size > len(data):
                raise ValueError("a field runs past the end of the file")
            yield number, data[place : place + size]
            place += size
        elif wire == 5:
            yield number, struct.unpack_from("<f", data, place)[0]
            place += 4
        elif wire == 1:
            place += 8
        else:
            raise ValueError(f"wire type {wire} does not occur in such a file")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A little-endian base-128 number of at most 64 bits, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number of over 64 bits")
