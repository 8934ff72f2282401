"""Pixels of every layout -> RGB of 8 bits.

- Grey of 16 bits is scaled, 65535 to 255, rounded. (Colour of 16 bits reaches us through Pillow's
  readers, which keep the high byte.)
- Transparency is laid over white, which is what most transparent pictures are drawn for.

No torch here.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from palikit.errors import InputError


def to_rgb(picture: Image.Image, name: str) -> Image.Image:
    """The current frame of a decoded picture of any mode of Pillow's, as a new one in RGB.

    Raises:
        InputError: grey deeper than 8 bits outside its range; the message begins with `name`.
        ValueError: a mode that cannot be converted.
    """
    if picture.mode in {"I", "F"} or picture.mode.startswith("I;16"):
        return _from_deep(picture, name)
    if picture.has_transparency_data:
        return _on_white(picture)
    return picture.convert("RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    straight = picture.convert("LA") if picture.mode == "La" else picture  # La converts to LA only
    canvas = Image.new("RGBA", picture.size, "white")
    canvas.alpha_composite(straight.convert("RGBA"))
    return canvas.convert("RGB")


def _from_deep(picture: Image.Image, name: str) -> Image.Image:
    """Grey of more than 8 bits: integers are of 16 bits, floats go to 1, or else to 255.

    Pillow keeps 0 to 255 when it converts a picture to floats, while files of floats go to 1; a
    picture of the first kind with nothing above 1 would be black, so the largest value tells.
    """
    values = np.asarray(picture)
    if picture.mode == "I":
        if values.min() < 0 or values.max() > 65535:
            raise InputError(
                f"{name} has grey values from {values.min()} to {values.max()}: "
                "expected 0 to 65535; rescale it first"
            )
        values = values.astype(np.uint16)
    elif picture.mode == "F" and values.max() > 1:
        values = values / 255
    grey = _eight_bits(values, name)
    if "transparency" in picture.info:  # of a 16-bit PNG: the one value that is transparent
        grey[values == picture.info["transparency"]] = 255
    return Image.fromarray(grey).convert("RGB")


def from_array(array: npt.NDArray[Any], name: str) -> Image.Image:
    """`[h, w]`, `[h, w, 1]`, `[h, w, 3]` or `[h, w, 4]` -> a picture of mode L, RGB or RGBA.

    Pixels are bool, uint8, uint16 (65535 is white) or float (1.0 is white).

    Raises:
        InputError: another shape or type, or floats outside [0, 1]; it begins with `name`.
    """
    if array.ndim not in {2, 3} or (array.ndim == 3 and array.shape[2] not in {1, 3, 4}):
        raise InputError(
            f"{name} is not a picture: expected [h, w], [h, w, 1], [h, w, 3] or [h, w, 4]"
        )
    if array.size == 0:
        raise InputError(f"{name} is empty: expected at least one pixel")
    pixels = _eight_bits(array, name)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)


def _eight_bits(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    """bool, uint8, uint16 or float in [0, 1], any shape -> uint8, rounded to the nearest."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if values.dtype.kind != "f":
        raise InputError(
            f"{name} has pixels of type {values.dtype}: expected bool, uint8, uint16, or floats "
            "from 0 to 1"
        )
    if not (values.min() >= 0 and values.max() <= 1):  # false for NaN, too
        raise InputError(
            f"{name} has values from {values.min():g} to {values.max():g}: "
            "expected 0 to 1; scale or clip it first"
        )
    return np.rint(values * np.float32(255)).astype(np.uint8)
