"""Byte-pair encoding of the released tokenizer's kind of file, ready sooner than the library's.

The `tokenizers` library takes seconds of preparation for half a million merges to encode a
prompt of ten tokens, and holds the interpreter all the while. Here the merges stay as the JSON
parser hands them over, and the encoding itself is plain Python: quick to begin, slow for much text.

The rules are the library's (its model `BPE`): added tokens are cut out first, leftmost and longest;
then of all neighbours that can be merged those of the lowest rank are, the leftmost first.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, Self

_PIPELINE: Mapping[str, Any] = {
    "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    # Finds nothing to split: no space is left.
    "pre_tokenizer": {
        "type": "Split",
        "pattern": {"String": " "},
        "behavior": "MergedWithPrevious",
        "invert": False,
    },
    "truncation": None,
    "padding": None,
}
_MODEL: Mapping[str, Any] = {
    "type": "BPE",
    "dropout": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "byte_fallback": True,
    "ignore_merges": False,
}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")
"""Of an added token; with any of them it would be looked for in another way than here."""

_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


@dataclass(frozen=True)
class Pieces:
    """A vocabulary and its merges.

    Attributes:
        ids: of each piece of the model.
        names: of each id, those of added tokens included.
        ranks: of each merge, "left right"; no piece has a space.
        added: ids of what is a token wherever it stands.
        cut: finds those.
    """

    ids: Mapping[str, int]
    names: Mapping[int, str]
    ranks: Mapping[str, int]
    added: Mapping[str, int]
    cut: re.Pattern[str]

    @classmethod
    def read(cls, file: Mapping[str, Any]) -> Self | None:
        """Of a parsed `tokenizer.json`; None where it asks for anything that is not done here."""
        model, added = file.get("model"), file.get("added_tokens", [])
        if not isinstance(model, dict) or not _is_known(file, model):
            return None
        ids, merges = model["vocab"], model["merges"]
        if any(each.get(flag) for each in added for flag in _FLAGS) or not _writes_all(ids):
            return None
        if merges and not isinstance(merges[0], str):
            merges = [" ".join(pair) for pair in merges]
        tokens = {each["content"]: each["id"] for each in added}
        longest_first = sorted(tokens, key=len, reverse=True)
        return cls(
            ids=ids,
            names=dict(zip(ids.values(), ids, strict=True)) | {n: t for t, n in tokens.items()},
            ranks=dict(zip(merges, range(len(merges)), strict=True)),
            added=tokens,
            cut=re.compile("|".join(map(re.escape, longest_first)) or r"(?!)"),
        )

    def encode(self, text: str) -> list[int]:
        """Ids of a text.

        Raises:
            UnicodeEncodeError: it holds half of a surrogate pair.
        """
        ids: list[int] = []
        end = 0
        for match in self.cut.finditer(text):
            ids += self._between(text[end : match.start()])
            ids.append(self.added[match.group()])
            end = match.end()
        return [*ids, *self._between(text[end:])]

    def _between(self, text: str) -> list[int]:
        return [self.ids[piece] for piece in self._merged(text.replace(" ", "▁"))]

    def _merged(self, text: str) -> list[str]:
        """The text in pieces: characters, or bytes where there is none, merged until none can be.

        An entry of the heap may have been overtaken by another merge; the library then looks at
        what its neighbours would make now, and so does this.
        """
        pieces: list[str | None] = [*self._smallest(text)]
        following, before = [*range(1, len(pieces) + 1)], [*range(-1, len(pieces) - 1)]
        heap: list[tuple[int, int, str]] = []

        def joined(at: int) -> tuple[int, int, str] | None:
            """The merge of the piece at a place and the one after it: rank, place, piece."""
            left = pieces[at]
            if left is None or following[at] == len(pieces):
                return None
            right = pieces[following[at]]
            rank = self.ranks.get(f"{left} {right}")
            return None if rank is None else (rank, at, f"{left}{right}")

        def offer(at: int) -> None:
            if at >= 0 and (merge := joined(at)) is not None:
                heappush(heap, merge)

        for at in range(len(pieces)):
            offer(at)
        while heap:
            _, at, whole = heappop(heap)
            merge = joined(at)
            if merge is None or merge[2] != whole:
                continue
            gone = following[at]
            pieces[at], pieces[gone] = whole, None
            following[at] = following[gone]
            if following[at] < len(pieces):
                before[following[at]] = at
            offer(before[at])
            offer(at)
        return [piece for piece in pieces if piece is not None]

    def _smallest(self, text: str) -> Iterator[str]:
        for character in text:
            if character in self.ids:
                yield character
            else:
                yield from (_BYTES[byte] for byte in character.encode())


def _is_known(file: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
    return all(file.get(name) == value for name, value in _PIPELINE.items()) and all(
        model.get(name, value) == value for name, value in _MODEL.items()
    )


def _writes_all(ids: Mapping[str, int]) -> bool:
    """Whether every text has ids; a byte below 128 may be a piece as the character that it is."""
    return set(map(type, ids.values())) == {int} and all(
        name in ids or (byte < 128 and chr(byte) in ids) for byte, name in enumerate(_BYTES)
    )
