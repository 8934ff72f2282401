"""The mask codec for outlines as the rest of the package has them: whole masks, boxes in pixels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import TypeAlias

import torch

from palikit.masks import Mask
from palikit.model.mask_codec import MaskCodec, crop_mask, paste_mask
from palikit.results import Box, Segments
from palikit.vocab import MaskEdges

EncodeMask: TypeAlias = Callable[[Mask, Box], tuple[int, ...]]
"""An outline in the whole picture and its box in pixels -> 16 codes in 0 .. 127."""

_TURN = Lock()


def mask_encoder(codec: MaskCodec) -> EncodeMask:
    """A codec on the CPU as a function of one outline; may be called from several threads."""

    def encode(mask: Mask, box: Box) -> tuple[int, ...]:
        values = torch.tensor(crop_mask(mask.to_array(), box))
        with torch.inference_mode(), _one_thread():
            codes: list[int] = codec.encode(values[None, None])[0].tolist()
        return tuple(codes)

    return encode


def with_masks(codec: MaskCodec, segments: Segments, edges: MaskEdges = "round") -> Segments:
    """Segments with the masks that their codes stand for, decoded on the CPU.

    Raises:
        InputError: a box does not lie within the picture.
    """
    if not segments.objects:
        return segments
    with torch.inference_mode():
        values = codec.decode(torch.tensor([found.codes for found in segments])).numpy()
    size = segments.width, segments.height
    objects = tuple(
        replace(found, mask=paste_mask(value, found.box, *size, edges=edges))
        for found, value in zip(segments, values, strict=True)
    )
    return replace(segments, objects=objects)


@contextmanager
def _one_thread() -> Iterator[None]:
    """For 64 x 64 values, waiting for other threads takes most of the time.

    The number of threads is one for all: two callers that set it back in the wrong order would
    leave training with a single one, so they take turns.
    """
    with _TURN:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
