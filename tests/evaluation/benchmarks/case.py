"""What a test of one benchmark says: files to write, what is read of them, what they score."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

KITES = "red kites circle above hills"
DOGS = "two dogs chase yellow frisbees"
TRAINS = "old trains cross iron bridges"
OTHER = "unrelated words stand here instead"

TWO_OF_THREE = 20 / 3
"""CIDEr of three captions without a common word of which two are right: 10, 10 and 0.

Every n-gram stands in one picture's references alone, so each weighs the same, the cosine of equal
captions is 1 for n = 1 to 4, and the scale is 10.
"""


@dataclass(frozen=True)
class Case:
    """Hand-made rows of a benchmark in its official layout.

    Attributes:
        write: puts files into a folder.
        prompts, ids, answers: what is to be read, in order.
        texts: what a model shall have written, with its tokens where it answers boxes.
        value: the figure, worked out by hand.
        split: None for the benchmark's first.
        parts: figures of parts, worked out by hand.
    """

    write: Callable[[Path], None]
    prompts: tuple[str, ...]
    ids: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]
    value: float
    split: str | None = None
    parts: tuple[tuple[str, float], ...] = ()
