"""nano's tokenizer: a small byte-fallback BPE in the layout of the released one.

Whole words that the lessons use are pieces of their own, with and without a space before them;
everything else falls apart into characters, and characters it does not know into bytes.
"""

import json
import re
from typing import Any

from palikit.nano import lessons
from palikit.nano.scenes import COLORS, KINDS
from palikit.sentencepiece_model import split_at, tokenizer_content
from palikit.vocab import NUM_LOC, NUM_SEG, seg_token

_WORDS = """
a an and are at bottom caption center color colour de describe detect does en how in is it left
many no object objects ocr of on picture right say segment shown text the there thing this to top
und what where which with written yes zh answer question cap ein eine number word picture image
"""

_LANGUAGES = "。，、一个的"


def nano_tokenizer_json() -> str:
    """The text of nano's tokenizer.json."""
    words = _words()
    characters = [chr(code) for code in range(33, 127)] + sorted(_foreign())
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "\n"]
    pieces += [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += ["▁", *characters]
    pieces += [word for word in words if len(word) > 1] + [f"▁{word}" for word in words]
    pieces += ["▁;", "▁,", "▁:"]
    pieces += [f"<loc{index:04d}>" for index in range(NUM_LOC)]
    pieces += [seg_token(code) for code in range(NUM_SEG)] + ["<image>"]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    if len(vocab) != len(pieces):
        raise AssertionError("a piece stands twice")
    return json.dumps(_file(vocab), ensure_ascii=False)


def _words() -> list[str]:
    plurals = [lessons.plural(kind) for kind in KINDS]
    german = [part.split(" ")[-1] for part in lessons.GERMAN.values()]
    german += [f"{lessons.GERMAN[color]}{ending}" for color in COLORS for ending in "rs"]
    known = {*_WORDS.split(), *KINDS, *COLORS, *plurals, *german}
    return sorted(known)


def _foreign() -> set[str]:
    text = "".join(lessons.CHINESE.values()) + "".join(lessons.GERMAN.values()) + _LANGUAGES
    return {letter for letter in text if not letter.isascii()}


def _file(vocab: dict[str, int]) -> dict[str, Any]:
    special = re.compile(r"<(pad|eos|bos|unk|image)>")
    plain = re.compile(r"\n|<(loc\d{4}|seg\d{3})>")
    splits = [
        split_at({"String": "▁"}, "MergedWithNext"),
        # Words; every other character stands alone, with the space before it if it has one.
        split_at({"Regex": r"▁?\p{L}+|▁?."}, "Isolated"),
    ]
    return tokenizer_content(
        vocab,
        added={
            name: special.fullmatch(name) is not None
            for name in vocab
            if special.fullmatch(name) or plain.fullmatch(name)
        },
        pre_tokenizer={"type": "Sequence", "pretokenizers": splits},
        unknown="<unk>",
        merges=None,
    )
