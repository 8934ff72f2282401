"""The mask codec: a 64 x 64 outline as 16 codes out of 128, and back.

A vector-quantised autoencoder (Ning et al., arXiv 2301.02229) trained apart from PaliGemma; its
codes are the `<segNNN>` tokens. Sources: big_vision, pp/proj/paligemma/segmentation.py (encoding)
and evaluators/proj/paligemma/transfers/segmentation.py (decoding and pasting).

The modules are numbered as the published `vae-oid.npz` names them.

Axes: B masks, E codebook width; C channels; h, w sides in pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from palikit.errors import CheckpointError, InputError
from palikit.masks import Mask
from palikit.model.embedding import random_table
from palikit.model.mask_codec_file import read_arrays, write_npz
from palikit.results import Box
from palikit.vocab import CODES_PER_MASK, NUM_SEG, MaskEdges

MASK_SIDE = 64
"""Side of the square an outline is scaled to, in pixels."""

GRID_SIDE = 4
"""Side of the grid of codes: four halvings of `MASK_SIDE`."""

_CODEBOOK = "_vq_vae._embedding"

_TRAINING_LEFTOVERS = frozenset({"_vq_vae._ema_cluster_size", "_vq_vae._ema_w", "codebook.weight"})
"""Names the authors' training code keeps beside the weights: running statistics of the codebook."""


@dataclass(frozen=True)
class MaskCodecConfig:
    """Sizes of a codec. A file's own are read from it; the defaults are those of its authors.

    Attributes:
        encoder_channels: after each of the four halvings.
        encoder_kernels: of these four convolutions, in pixels.
        residual_kernels: of the three convolutions in the encoder's residual blocks.
        projection_kernel: of the convolution onto the codebook.
        codebook_width: E, numbers a code stands for.
        decoder_channels: of the residual blocks, then after each of the four doublings.
    """

    encoder_channels: tuple[int, ...] = (16, 32, 64, 128)
    encoder_kernels: tuple[int, ...] = (4, 4, 4, 4)
    residual_kernels: tuple[int, ...] = (3, 3, 1)
    projection_kernel: int = 1
    codebook_width: int = 512
    decoder_channels: tuple[int, ...] = (128, 128, 64, 32, 16)


class MaskCodec(nn.Module):
    """Encoder, codebook and decoder."""

    def __init__(self, config: MaskCodecConfig | None = None) -> None:
        super().__init__()
        config = config or MaskCodecConfig()
        self.encoder = _encoder(config)
        self.codebook = nn.Parameter(random_table(NUM_SEG, config.codebook_width))
        self.decoder = _decoder(config)

    def encode(self, masks: Tensor) -> Tensor:
        """Masks to codes.

        Args:
            masks: float[B, 1, 64, 64] in [0, 1], 1 inside.

        Returns:
            int64[B, 16] in 0 .. 127, the 4 x 4 grid in raster order.

        Raises:
            InputError: another shape.
        """
        _check_shape("masks", masks, (1, MASK_SIDE, MASK_SIDE))
        x = self.encoder(2 * masks - 1).flatten(2).transpose(1, 2)  # -> [B, 16, E]
        # Squared distance to every code, without |x|^2, which is the same for all of them.
        distances = self.codebook.square().sum(1) - 2 * x @ self.codebook.T
        codes: Tensor = distances.argmin(-1)
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Codes to raw masks.

        Args:
            codes: int64[B, 16] in 0 .. 127.

        Returns:
            float[B, 64, 64], positive inside, about -1 .. 1.

        Raises:
            InputError: another shape.
        """
        _check_shape("codes", codes, (CODES_PER_MASK,))
        x = F.embedding(codes, self.codebook).transpose(1, 2)  # -> [B, E, 16]
        out: Tensor = self.decoder(x.reshape(*x.shape[:2], GRID_SIDE, GRID_SIDE)).squeeze(1)
        return out


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, for sides that the stride divides.

    The total is kernel - stride; an odd pixel goes to the right and the bottom, which torch's own
    symmetric padding cannot express.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C', h / stride, w / stride]."""
        total = max(self.kernel_size[0] - self.stride[0], 0)
        before, after = total // 2, total - total // 2
        return super().forward(F.pad(x, (before, after, before, after)))


class ResidualBlock(nn.Module):
    """Three convolutions with ReLU between, added to the input."""

    def __init__(self, channels: int, kernels: tuple[int, ...]) -> None:
        super().__init__()
        first, second, third = (SameConv2d(channels, channels, kernel) for kernel in kernels)
        self.net = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> the same."""
        out: Tensor = x + self.net(x)
        return out


def _encoder(config: MaskCodecConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 1
    for width, kernel in zip(config.encoder_channels, config.encoder_kernels, strict=True):
        layers += [SameConv2d(channels, width, kernel, stride=2), nn.ReLU()]
        channels = width
    layers += [ResidualBlock(channels, config.residual_kernels) for _ in range(2)]
    layers.append(SameConv2d(channels, config.codebook_width, config.projection_kernel))
    return nn.Sequential(*layers)


def _decoder(config: MaskCodecConfig) -> nn.Sequential:
    channels, *widths = config.decoder_channels
    layers: list[nn.Module] = [nn.Conv2d(config.codebook_width, channels, 1), nn.ReLU()]
    layers += [ResidualBlock(channels, (3, 3, 1)) for _ in range(2)]
    for width in widths:
        layers += [nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1), nn.ReLU()]
        channels = width
    layers.append(nn.Conv2d(channels, 1, 1))
    return nn.Sequential(*layers)


def _check_shape(name: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(tensor.shape[1:]) != expected or tensor.ndim != len(expected) + 1:
        wanted = ", ".join(["B", *map(str, expected)])
        raise InputError(f"{name} must have shape [{wanted}], not {list(tensor.shape)}")


def load_mask_codec(path: str | Path) -> MaskCodec:
    """Read a codec in the layout of the published `vae-oid.npz`.

    Args:
        path: an `.npz`, or a `.safetensors` with the same names.

    Returns:
        The codec in float32, on the CPU, for inference.

    Raises:
        CheckpointError: the file is missing, damaged, unreasonably large, or of another model.
    """
    path = Path(path)
    arrays = read_arrays(path)
    weights = {
        "codebook" if name == _CODEBOOK else name: array
        for name, array in arrays.items()
        if name not in _TRAINING_LEFTOVERS
    }
    # Without memory until the names are right: sizes that contradict each other could ask for any
    # amount.
    with torch.device("meta"):
        codec = MaskCodec(_config_of({name: tuple(w.shape) for name, w in weights.items()}))
    _check_weights(path, codec, weights)
    codec.load_state_dict(weights, assign=True)
    return codec.eval().requires_grad_(requires_grad=False)


def save_mask_codec(codec: MaskCodec, path: str | Path) -> None:
    """Write a codec as `.npz` in the published layout, in float32."""
    arrays = {
        _CODEBOOK if name == "codebook" else name: weight.float().cpu().numpy()
        for name, weight in codec.state_dict().items()
    }
    write_npz(arrays, Path(path))


def _config_of(shapes: Mapping[str, tuple[int, ...]]) -> MaskCodecConfig:
    """The sizes that these shapes speak of; the default ones where they do not."""
    downs = [shapes.get(f"encoder.{index}.weight", ()) for index in (0, 2, 4, 6)]
    residual = [shapes.get(f"encoder.8.net.{index}.weight", ()) for index in (0, 2, 4)]
    last = shapes.get("encoder.10.weight", ())
    ups = [shapes.get(f"decoder.{index}.weight", ()) for index in (4, 6, 8, 10)]
    if any(len(shape) != 4 or 0 in shape for shape in (*downs, *residual, last, *ups)):
        return MaskCodecConfig()  # the comparison that follows names what is wrong
    return MaskCodecConfig(
        encoder_channels=tuple(shape[0] for shape in downs),
        encoder_kernels=tuple(shape[2] for shape in downs),
        residual_kernels=tuple(shape[2] for shape in residual),
        projection_kernel=last[2],
        codebook_width=last[0],
        decoder_channels=(ups[0][0], *(shape[1] for shape in ups)),
    )


def _check_weights(path: Path, codec: MaskCodec, weights: Mapping[str, Tensor]) -> None:
    expected = {name: list(weight.shape) for name, weight in codec.state_dict().items()}
    got = {name: list(weight.shape) for name, weight in weights.items()}
    faults = [f"missing {name}" for name in expected if name not in got]
    faults += [f"unexpected {name}" for name in got if name not in expected]
    faults += [
        f"{name} of shape {got[name]} instead of {shape}"
        for name, shape in expected.items()
        if name in got and got[name] != shape
    ]
    if faults:
        raise CheckpointError(
            f"{path} is not a mask codec: {'; '.join(faults)}. Give the path of vae-oid.npz"
        )


def crop_mask(mask: npt.NDArray[np.bool_], box: Box) -> npt.NDArray[np.float32]:
    """What the encoder sees of an object: its mask within its box, scaled to a square.

    Args:
        mask: bool[height, width] of the whole picture.
        box: of the object, in pixels; rounded half to even and cut at the picture's edge.

    Returns:
        float32[64, 64] in [0, 1], bilinear with antialiasing.

    Raises:
        InputError: no pixel of the picture lies in the box.
    """
    height, width = mask.shape
    x1, x2 = (min(max(round(x), 0), width) for x in (box.x1, box.x2))
    y1, y2 = (min(max(round(y), 0), height) for y in (box.y1, box.y2))
    if x2 <= x1 or y2 <= y1:
        raise InputError(
            f"the box {box.to_list()} holds no pixel of a {width} x {height} picture: "
            "an outline needs a box of at least one pixel"
        )
    return _resize(mask[y1:y2, x1:x2].astype(np.float32), MASK_SIDE, MASK_SIDE)


def paste_mask(
    values: npt.NDArray[np.float32],
    box: Box,
    width: int,
    height: int,
    *,
    edges: MaskEdges = "round",
) -> Mask:
    """Put a decoded mask into its box, as the authors' evaluator does with `edges="truncate"`.

    Edges become whole pixels; the raw values are scaled to the box and cut at 0. A box without a
    whole pixel gives an empty mask.

    Args:
        values: float32[64, 64], one of `MaskCodec.decode`, positive inside.
        box: in pixels. One read from location tokens needs no correction for rounding: it comes
            from the same double-precision arithmetic as the evaluator's.
        width: of the picture, in pixels.
        height: of the picture.
        edges: how edges become whole pixels.

    Raises:
        InputError: the box does not lie within the picture, or the picture has no pixels.
    """
    whole = int if edges == "truncate" else round
    x1, y1, x2, y2 = (whole(value) for value in box.to_list())
    if x2 <= x1 or y2 <= y1:
        return Mask(width, height, (width * height,))
    if x1 < 0 or y1 < 0 or x2 > width or y2 > height:  # before anything of that size is made
        raise InputError(
            f"the box {box.to_list()} does not lie within the {width} x {height} picture: "
            "give the box in this picture's pixels"
        )
    return Mask.from_patch(_resize(values, x2 - x1, y2 - y1) > 0, x1, y1, width, height)


def _resize(values: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.float32]:
    """Pillow's bilinear filter on floats; it widens with the scale, so shrinking is antialiased."""
    picture = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
