"""How long rows are in tokens, against what a model was trained with."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from palikit.data.check_report import Lengths, Spread
from palikit.data.check_suffix import prompt_of
from palikit.data.check_text import shown
from palikit.data.records import Problem
from palikit.data.rows import Row

CountTokens: TypeAlias = Callable[[str, str], int]
"""A prefix and a suffix -> text tokens: <bos>, prefix, newline, suffix, <eos>; no image tokens."""

_PIECE = re.compile(r"<(?:loc[0-9]{4}|seg[0-9]{3})>|\w+|[^\w\s]")
_LETTERS = 6
_MARKERS = 3
"""<bos>, newline and <eos>."""

ESTIMATE = (
    "estimated: one token for each location or segmentation token, punctuation mark and "
    f"{_LETTERS} letters of a word; --model or --tokenizer counts exactly"
)


@dataclass(frozen=True)
class TokenLimit:
    """Most text tokens of a row, and how they are counted."""

    limit: int
    count: CountTokens
    is_exact: bool = True


def text_limit(image_size: int) -> int:
    """Text tokens the published checkpoints of a picture side, in pixels, were trained with.

    Source: big_vision's notes on the PaliGemma releases.
    """
    return 128 if image_size <= 224 else 512


def estimated_tokens(prefix: str, suffix: str) -> int:
    """A `CountTokens` without a tokenizer, by the rule that `ESTIMATE` states."""
    return _MARKERS + _estimated(prefix) + sum(map(_piece_tokens, _PIECE.findall(suffix)))


def token_counts(row: Row, count: CountTokens) -> int:
    """Tokens of a row with its longest suffix."""
    prompt = prompt_of(row)
    return max((count(prompt, suffix) for suffix in row.suffixes), default=0)


def token_problem(row: Row, number: int, limit: TokenLimit) -> Problem | None:
    """The problem of a row of this number of tokens, where they are too many."""
    if number <= limit.limit:
        return None
    prompt = limit.count(prompt_of(row), "") - 1  # <eos> belongs to the answer
    about = "" if limit.is_exact else "about "
    return Problem(
        row.where,
        f"{about}{number} tokens ({prompt} of them the prompt {shown(row.prefix)}), and "
        f"{limit.limit} fit: name fewer classes or objects in a row, or raise "
        "--max-text-tokens, which costs memory",
        is_error=limit.is_exact,
        kind="too many tokens",
    )


def lengths_of(counts: Sequence[int], limit: TokenLimit) -> Lengths | None:
    """The spread of the numbers of tokens; None without any row."""
    spread = Spread.of(counts)
    if spread is None:
        return None
    over = sum(number > limit.limit for number in counts)
    return Lengths(limit.limit, limit.is_exact, over, spread)


def too_long(rows: Sequence[Row], limit: TokenLimit) -> Iterator[Problem]:
    """The rows that do not fit; those that cannot be too long are not counted."""
    for row in rows:
        if _most_tokens(row) > limit.limit:
            problem = token_problem(row, token_counts(row, limit.count), limit)
            if problem is not None:
                yield problem


def _most_tokens(row: Row) -> int:
    """No text has more tokens than bytes; location and segmentation tokens have eight or more."""
    longest = max((len(suffix.encode("utf-8", "replace")) for suffix in row.suffixes), default=0)
    return _MARKERS + len(row.prefix.encode("utf-8", "replace")) + longest


@lru_cache(maxsize=1024)
def _estimated(text: str) -> int:
    """Prefixes repeat: most data sets have one for all rows."""
    return sum(map(_piece_tokens, _PIECE.findall(text)))


def _piece_tokens(piece: str) -> int:
    return 1 if piece.startswith("<") else math.ceil(len(piece) / _LETTERS)
