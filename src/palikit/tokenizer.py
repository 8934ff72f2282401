"""Text to ids and back, through the released tokenizer file.

It knows token ids and text, no pictures and no tasks. Two rules set it apart from a bare tokenizer:

- text that spells a control token (`<image>`, `<bos>`, `<loc0001>`, `<seg000>`, ...) is plain text,
  unless the caller says otherwise: a person's words cannot steer the model's protocol;
- decoding goes token by token and says which characters each token wrote, so that scores of
  tokens become scores of boxes.
"""

import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as TokenizerFile

from palikit.errors import CheckpointError, InputError
from palikit.pieces import Pieces
from palikit.vocab import NUM_LOC, NUM_SEG, Vocabulary

CONTROL = re.compile(r"<(?:loc[0-9]{4}|seg[0-9]{3}|bos|eos|pad)>")
"""The control tokens that a caller may ask for by their text.

`<image>` is not one of them: it stands for a picture's embedding and has none of its own.
"""

_OTHER_CONTROL = re.compile(
    r"<(?:image|unk|mask|2mass|unused\d+|start_of_turn|end_of_turn)>|\[@BOS@\]|\[toxicity=0\]"
)
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
MAX_FILE_BYTES = 64 * 2**20
"""The released tokenizer.json has 12 to 35 MB, by layout."""


QUICK_CHARACTERS = 200_000
"""Characters left to `Pieces`, which is sooner ready than the library and slower at each."""


class Tokenizer:
    """The Gemma tokenizer with PaliGemma's location and segmentation tokens.

    Args:
        content: of a `tokenizer.json`.
        vocabulary: where its control tokens lie.
        pieces: the same file without them, read for a quick beginning, where it can be.

    Attributes:
        vocabulary: where the special ids lie, read from the file.
    """

    def __init__(
        self, content: bytes, vocabulary: Vocabulary, pieces: Pieces | None = None
    ) -> None:
        self._content = content
        self._pieces = pieces
        self._num_encoded = 0
        self.vocabulary = vocabulary
        self._control_ids = _control_ids(vocabulary)

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read a `tokenizer.json`, or a SentencePiece `.model` of the JAX release.

        Raises:
            CheckpointError: the file is missing, damaged, or of another model.
        """
        if path.suffix == ".model":
            from palikit.sentencepiece_model import tokenizer_json_from_sentencepiece

            content = tokenizer_json_from_sentencepiece(path).encode()
        else:
            content = _read(path)
        try:
            return cls.parse(content)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
        except Exception as error:  # tokenizers raises bare Exception for a damaged file
            raise CheckpointError(
                f"{path} is not a tokenizer.json that can be read ({error}); fetch it again"
            ) from None

    @classmethod
    def parse(cls, content: bytes) -> "Tokenizer":
        """As `load`, of a `tokenizer.json` in memory; raises what the parsers do, too."""
        file = json.loads(content)
        added = file.get("added_tokens")
        if added is None:
            raise CheckpointError("it holds no added_tokens, so it is not a PaliGemma tokenizer")
        vocabulary = _vocabulary({entry["content"]: entry["id"] for entry in added})
        made = cls(content, vocabulary, Pieces.read({**file, "added_tokens": _plain(added)}))
        if made._pieces is None:
            made._file  # noqa: B018 (the library says whether it can be read)
        return made

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Ids of a text, without <bos> and without a newline of its own.

        Args:
            text: any text; characters outside the vocabulary become byte tokens.
            allow_special: read `<loc0001>`, `<seg000>`, `<bos>`, `<eos>` and `<pad>` as tokens
                instead of as text.

        Raises:
            InputError: the text holds half of a surrogate pair, which is no character.
        """
        if not allow_special:
            return self._encode_plain(text)
        ids: list[int] = []
        end = 0
        for match in CONTROL.finditer(text):
            token = self._control_ids.get(match.group())
            if token is not None:  # <loc1024> is text: there is no such token
                ids += self.encode(text[end : match.start()])
                ids.append(token)
                end = match.end()
        return ids + self.encode(text[end:])

    @cached_property
    def _file(self) -> TokenizerFile:
        return TokenizerFile.from_str(_without_control_tokens(self._content.decode()))

    def _encode_plain(self, text: str) -> list[int]:
        try:
            if (pieces := self._pieces) is None:
                return list(self._file.encode(text, add_special_tokens=False).ids)
            self._num_encoded += len(text)
            if self._num_encoded > QUICK_CHARACTERS:
                self._pieces = None
            return pieces.encode(text)
        except (TypeError, UnicodeEncodeError):  # both take what can be written as UTF-8
            raise InputError(
                f"the text {text!r} cannot be written as UTF-8: give valid text"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; <pad>, <eos>, <bos> and `<image>` write nothing."""
        decoder = self.decoder()
        return "".join([decoder.push(token) for token in ids]) + decoder.flush()

    def decoder(self) -> "StreamDecoder":
        """A decoder that is fed one id at a time."""
        return StreamDecoder(self)

    def piece(self, token: int) -> str | None:
        """The vocabulary's entry of an id, with "▁" for a space; None for an id without text."""
        vocabulary = self.vocabulary
        silent = (vocabulary.pad_id, vocabulary.eos_id, vocabulary.bos_id, vocabulary.image_id)
        if token in silent:
            return None
        pieces = self._pieces
        return self._file.id_to_token(token) if pieces is None else pieces.names.get(token)


class StreamDecoder:
    """Turns ids into text one by one; characters of several byte tokens appear with the last."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._bytes = b""

    def push(self, token: int) -> str:
        """The text that becomes certain with this token."""
        piece = self._tokenizer.piece(token)
        if piece is None:
            return ""
        byte = _BYTE.fullmatch(piece)
        if byte is None:
            return self.flush() + piece.replace("▁", " ")
        self._bytes += bytes.fromhex(byte.group(1))
        return self._complete()

    def flush(self) -> str:
        """What is left at the end: each byte of an unfinished character becomes U+FFFD."""
        rest = "\ufffd" * len(self._bytes)
        self._bytes = b""
        return rest

    def _complete(self) -> str:
        try:
            text = self._bytes.decode()
        except UnicodeDecodeError:
            return ""
        self._bytes = b""
        return text


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: a checkpoint needs its tokenizer.json")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise CheckpointError(f"{path} has over {MAX_FILE_BYTES} bytes: it is not a tokenizer.json")
    return path.read_bytes()


def _without_control_tokens(text: str) -> str:
    """The file without its control tokens, which thereby become plain text.

    Only the list of added tokens is written anew: it is a small part of a large file.
    """
    start = text.index("[", text.index('"added_tokens"'))
    added, end = json.JSONDecoder().raw_decode(text, start)
    return text[:start] + json.dumps(_plain(added), ensure_ascii=False) + text[end:]


def _plain(added: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the added tokens those that are text: runs of spaces and lines, tags."""
    return [
        entry
        for entry in added
        if not (CONTROL.fullmatch(entry["content"]) or _OTHER_CONTROL.fullmatch(entry["content"]))
    ]


def _vocabulary(ids: dict[str, int]) -> Vocabulary:
    """The special ids, checked to lie as the model and the parsers count on."""
    missing = [
        name
        for name in ("<pad>", "<eos>", "<bos>", "\n", "<loc0000>", "<seg000>", "<image>")
        if name not in ids
    ]
    if missing:
        raise CheckpointError(
            f"it is a tokenizer of another model: it lacks {', '.join(map(repr, missing))}; "
            "use the tokenizer.json of a PaliGemma checkpoint"
        )
    vocabulary = Vocabulary(
        pad_id=ids["<pad>"],
        eos_id=ids["<eos>"],
        bos_id=ids["<bos>"],
        newline_id=ids["\n"],
        loc_start=ids["<loc0000>"],
        seg_start=ids["<seg000>"],
        image_id=ids["<image>"],
    )
    wrong = [name for name, token in _control_ids(vocabulary).items() if ids.get(name) != token]
    if wrong:
        raise CheckpointError(
            f"its location or segmentation tokens are not consecutive (first wrong: {wrong[0]}); "
            "use the tokenizer.json of a PaliGemma checkpoint"
        )
    return vocabulary


def _control_ids(vocabulary: Vocabulary) -> dict[str, int]:
    names: Sequence[tuple[str, int]] = [
        ("<pad>", vocabulary.pad_id),
        ("<eos>", vocabulary.eos_id),
        ("<bos>", vocabulary.bos_id),
        ("<image>", vocabulary.image_id),
        *((f"<loc{index:04d}>", vocabulary.loc_start + index) for index in range(NUM_LOC)),
        *((f"<seg{index:03d}>", vocabulary.seg_start + index) for index in range(NUM_SEG)),
    ]
    return dict(names)
