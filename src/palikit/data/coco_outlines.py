"""The boxes and outlines of COCO's annotations: [x, y, width, height], polygons, run lengths."""

from collections.abc import Mapping
from typing import Any

from palikit.data.findings import finite_numbers
from palikit.data.outlines import box_of_mask, fill_rings
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.results import Box


def box_of(annotation: Mapping[str, Any], mask: Mask | None, size: tuple[int, int]) -> Box:
    """The box of an annotation; where it has none, the one around its outline.

    Args:
        annotation: of COCO.
        mask: its outline, where it has been read.
        size: width and height of the picture, in pixels.

    Raises:
        InputError: there is neither.
    """
    numbers = finite_numbers(annotation.get("bbox"), 4)
    if numbers is not None:
        x, y, width, height = numbers
        return Box(x, y, x + width, y + height)
    if "bbox" not in annotation:
        outline = mask or outline_of(annotation.get("segmentation"), size)
        if outline is not None and (box := box_of_mask(outline)) is not None:
            return box
    raise InputError(
        f"its bbox is {annotation.get('bbox')!r}: expected [x, y, width, height] in pixels"
    )


def outline_of(segmentation: Any, size: tuple[int, int]) -> Mask | None:
    """The outline of an annotation; None where there is none.

    Raises:
        InputError: neither polygons nor run lengths, or of a picture of another size.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        mask = Mask.from_rle(segmentation)
        if (mask.width, mask.height) != size:
            raise InputError(
                f"its segmentation is of {mask.width} x {mask.height} pixels and the picture has "
                f"{size[0]} x {size[1]}: give the outline in this picture's pixels"
            )
        return mask
    rings = [_ring(each) for each in segmentation] if isinstance(segmentation, list) else []
    if not rings:
        raise InputError(
            "its segmentation is neither a list of polygons nor run lengths: expected "
            '[[x, y, x, y, x, y, ...]] or {"size": [height, width], "counts": ...}'
        )
    return fill_rings(rings, *size)


def _ring(flat: Any) -> list[tuple[float, float]]:
    numbers = finite_numbers(flat, len(flat)) if isinstance(flat, list) else None
    if numbers is None or len(numbers) % 2:
        raise InputError("a polygon of its segmentation is not a flat list x, y, x, y, ...")
    return list(zip(numbers[::2], numbers[1::2], strict=True))
