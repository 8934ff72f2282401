"""Token ids with a meaning of their own, and the rule that turns a coordinate into a token.

Source of the ids: the Gemma tokenizer (256,000 pieces) to which big_vision appends 1024 location
and 128 segmentation pieces (`gemma(tokensets=("loc","seg"))`); `<image>` is an addition of the
Hugging Face release and has no row in the original embedding table.
"""

from dataclasses import dataclass
from typing import Literal

NUM_LOC = 1024
"""Location tokens `<loc0000>` .. `<loc1023>`: one coordinate, as a fraction of a picture's side."""

NUM_SEG = 128
"""Segmentation tokens `<seg000>` .. `<seg127>`: one code of the mask codec."""

CODES_PER_MASK = 16
"""A mask is a 4 x 4 grid of codes, in raster order."""

Coordinates = Literal["1023", "1024"]
"""Which grid location tokens stand on.

`"1023"`: token = round(v * 1023), v = token / 1023, as the authors' code encodes and decodes
(big_vision, pp/proj/paligemma/segmentation.py and the segmentation evaluator). Exact at both ends.
`"1024"`: v = token / 1024, as the release post and the model card read them. Never reaches 1.
"""


MaskEdges = Literal["round", "truncate"]
"""How the edges of a box become whole pixels when a mask is put into it.

`"round"`: to the nearest pixel border, the reverse of how training masks are cut out of theirs.
`"truncate"`: the fraction is dropped, as the authors' segmentation evaluator does. It loses up to
a pixel at half of the edges, which only small objects notice.
"""


@dataclass(frozen=True)
class Vocabulary:
    """Where the special ids lie. The defaults are those of every published checkpoint."""

    pad_id: int = 0
    eos_id: int = 1
    bos_id: int = 2
    newline_id: int = 108
    loc_start: int = 256000
    seg_start: int = 257024
    image_id: int = 257152

    @property
    def loc_ids(self) -> range:
        """Ids of the location tokens, in order."""
        return range(self.loc_start, self.loc_start + NUM_LOC)

    @property
    def seg_ids(self) -> range:
        """Ids of the segmentation tokens, in order."""
        return range(self.seg_start, self.seg_start + NUM_SEG)


PALIGEMMA = Vocabulary()
"""The vocabulary of every published PaliGemma and PaliGemma 2 checkpoint."""


def loc_token(fraction: float, coordinates: Coordinates = "1023") -> str:
    """The location token nearest to `fraction` of a side, clipped to the picture."""
    # Half to even, as tf.round in the authors' code.
    index = round(fraction * int(coordinates))
    return f"<loc{min(max(index, 0), NUM_LOC - 1):04d}>"


def loc_fraction(index: int, coordinates: Coordinates = "1023") -> float:
    """The fraction of a side that location token number `index` stands for, in [0, 1]."""
    return index / int(coordinates)


def seg_token(code: int) -> str:
    """The segmentation token of one code, 0 .. 127."""
    return f"<seg{code:03d}>"
