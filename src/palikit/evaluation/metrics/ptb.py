"""The PTB tokens of a caption, as pycocoevalcap scores them, without Java.

The original is `pycocoevalcap/tokenizer/ptbtokenizer.py` (salaniz/pycocoevalcap 1.2, of
tylin/coco-caption): Stanford CoreNLP 3.4.1 with `-preserveLines -lowerCase`, then a list of
punctuation taken out. What shows in scores:

- Brackets stay, as `-lrb-` and the like: the list has them in capitals only.
- Letters with stops, abbreviations, and words before `,` `;` `:` keep their stop.
- A fraction or phone number across blanks is one token with no-break blanks inside, which CIDEr
  and BLEU split again (`str.split`) and ROUGE does not.
- Runs such as `!!`, `_`, `*` and five hyphens stay. Emoji and no-break blanks vanish and separate.

Kept out on purpose, for the tokens of a caption are its own: the original joins all captions into
one text, so that a carriage return in one shifts all later captions by a line, "No." keeps its
stop when the next caption starts with a digit, "B." loses it when that starts with "A" or "The",
and a clitic at the very end of the last caption stays in its word.
"""

import re
from functools import cache, lru_cache

from palikit.evaluation.metrics.ptb_characters import shape_table
from palikit.evaluation.metrics.ptb_rules import Writer, rules

PUNCTUATION = frozenset(
    {"''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-"}
    | {".", "?", "!", ",", ":", "-", "--", "...", ";"}
)
"""Tokens that are taken out; pycocoevalcap's list."""

_REACHES_OVER_BLANKS = re.compile(r"<|[\d.)]\s+[\d.]|(?<![A-Za-z])[A-Za-z]\.\s+[A-Z]")
"""Where tokens may depend on what is beyond a blank: markup, phone numbers, "No. 5", "B. The"."""

_CHUNKS = 2**16
"""Texts between blanks whose tokens are remembered."""


def tokenize(caption: str) -> str:
    """The tokens of one caption, lower-cased, punctuation removed, joined by one blank each.

    A string, not a list, because a token may hold a no-break blank, at which some metrics of
    pycocoevalcap split again and others do not.
    """
    if _REACHES_OVER_BLANKS.search(caption):
        return " ".join(lex(caption))
    return " ".join([token for chunk in caption.split(" ") for token in _lex_chunk(chunk)])


@lru_cache(maxsize=_CHUNKS)
def _lex_chunk(chunk: str) -> tuple[str, ...]:
    return lex(chunk)


def lex(text: str) -> tuple[str, ...]:
    """The tokens of a text without any memory: `tokenize` the slow way."""
    # Rules ask for what follows a token; behind each caption stands a line break.
    shapes = text.translate(_shapes()) + "\n "
    tokens: list[str] = []
    place = 0
    while place < len(text):
        end, write = _longest(shapes, place)
        token = write(text[place:end])
        if token and token not in PUNCTUATION:
            tokens.append(token)
        place = end
    return tuple(tokens)


def _longest(shapes: str, place: int) -> tuple[int, Writer]:
    reach, end = place, place + 1
    write: Writer = _drop
    for rule in rules():
        found = rule.pattern.match(shapes, place)
        if found and found.end() > reach:
            reach, end, write = found.end(), found.end(1), rule.write
    return end, write


def _drop(_: str) -> str:
    return ""


@cache
def _shapes() -> dict[int, str]:
    return shape_table()
