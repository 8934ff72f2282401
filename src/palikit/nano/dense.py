"""What the image tower is taught before the decoder exists: what every cell of a picture shows.

A linear reading of each image token tells, for each of 2 x 2 cells of its patch, what the cell's
centre shows. Words and boxes are then in the features, and the decoder only learns to say them.

    kind 1 + K   color 1 + C   box 4   order 1 + 8   letter 1 + 36   place 1 + 8   outline 8 x 8

Once a patch, for the smallest object in it, the box is told in the waves that location tokens begin
with, too: so the decoder need not learn to turn lengths into them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from palikit.nano.architecture import LOCATION_WAVES, location_waves
from palikit.nano.lettering import DIGITS, LETTERS
from palikit.nano.scenes import COLORS, KINDS, Scene, SceneObject

CELLS = 2
"""Cells along each side of a patch."""

OUTLINE = 8
"""Side of the square to which an object's outline is scaled, in pixels."""

MAX_PLACES = 8
"""Objects of a scene, and letters of a word."""

_CHARACTERS = LETTERS + DIGITS
_SIZES = (
    1 + len(KINDS),
    1 + len(COLORS),
    4,
    1 + MAX_PLACES,
    1 + len(_CHARACTERS),
    1 + MAX_PLACES,
    OUTLINE**2,
)


@dataclass(frozen=True)
class CellTargets:
    """What the cells show, in raster order; the axes of the arrays begin with the cells.

    Attributes:
        names: uint8[cells, 5]: kind, color, order from top to bottom, letter, place in its word;
            0 is none.
        boxes: float32[cells, 4]: left, top, right, bottom as shares of the side.
        outlines: uint8[cells, 64]: 255 inside.
    """

    names: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float32]
    outlines: npt.NDArray[np.uint8]


def cell_targets(scene: Scene, cells: int) -> CellTargets:
    """What each of `cells` x `cells` cells shows at its centre."""
    side = scene.picture.width
    names = np.zeros((cells, cells, 5), np.uint8)
    boxes = np.zeros((cells, cells, 4), np.float32)
    outlines = np.zeros((cells, cells, OUTLINE**2), np.uint8)
    centres = (np.arange(cells) + 0.5) * side / cells
    for order, found in enumerate(scene.objects[:MAX_PLACES], 1):
        rows, columns, inside = _cells_of(found, centres)
        kind, color = KINDS.index(found.kind) + 1, tuple(COLORS).index(found.color) + 1
        names[rows, columns, :3][inside] = (kind, color, order)
        boxes[rows, columns][inside] = np.array(found.box.to_list()) / side
        outlines[rows, columns][inside] = _small_outline(found)
    for text in scene.texts:
        rows = slice(*np.searchsorted(centres, (text.box.y1, text.box.y2)))
        for place, ((left, right), letter) in enumerate(
            zip(text.columns, text.text, strict=True), 1
        ):
            columns = slice(*np.searchsorted(centres, (left, right)))
            names[rows, columns, 3:] = (_CHARACTERS.index(letter) + 1, min(place, MAX_PLACES))
    return CellTargets(
        names.reshape(-1, 5), boxes.reshape(-1, 4), outlines.reshape(cells**2, OUTLINE**2)
    )


def _cells_of(
    found: SceneObject, centres: npt.NDArray[np.float64]
) -> tuple[slice, slice, npt.NDArray[np.bool_]]:
    """Rows and columns of the cells within an object's box, and which of them show it."""
    box = found.box
    rows = slice(*np.searchsorted(centres, (box.y1, box.y2)))
    columns = slice(*np.searchsorted(centres, (box.x1, box.x2)))
    y = (centres[rows] - box.y1).astype(int)
    x = (centres[columns] - box.x1).astype(int)
    return rows, columns, found.visible[np.ix_(y, x)]


def _small_outline(found: SceneObject) -> npt.NDArray[np.uint8]:
    picture = Image.fromarray(found.visible.astype(np.uint8) * 255)
    small = picture.resize((OUTLINE, OUTLINE), Image.Resampling.BOX)
    return np.asarray(small).reshape(-1)


class DenseReading(nn.Module):
    """A linear reading of the cells from the image tower's tokens, and how wrong it is."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.read = nn.Linear(hidden_size, CELLS**2 * sum(_SIZES))
        self.read_waves = nn.Linear(hidden_size, 4 * LOCATION_WAVES)

    def forward(self, tokens: Tensor) -> list[Tensor]:
        """[B, I, D] -> readings [B, cells, cells, size] of each kind, in raster order."""
        B, count, _ = tokens.shape
        grid = round(count**0.5)
        values = self.read(tokens).float().reshape(B, grid, grid, CELLS, CELLS, -1)
        values = values.permute(0, 1, 3, 2, 4, 5).reshape(B, (grid * CELLS) ** 2, -1)
        return list(values.split(_SIZES, dim=-1))

    def loss(
        self, tokens: Tensor, names: Tensor, boxes: Tensor, outlines: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The sum of all losses, and each one for the record (float32[8]).

        Args:
            tokens: [B, I, D].
            names: as in `CellTargets`, with B in front, as the others.
            boxes: as there.
            outlines: as there.
        """
        kind, color, box, order, letter, place, outline = self(tokens)
        shows = names[..., 0] > 0
        losses = torch.stack(
            [
                _named(kind, names[..., 0]),
                _named(color, names[..., 1]),
                _box_loss(box[shows], boxes[shows]),
                _named(order, names[..., 2]),
                _named(letter, names[..., 3]),
                _named(place, names[..., 4]),
                F.binary_cross_entropy_with_logits(outline[shows], outlines[shows].float() / 255),
                self._wave_loss(tokens, boxes, shows),
            ]
        )
        return losses.sum(), losses.detach()

    def _wave_loss(self, tokens: Tensor, boxes: Tensor, shows: Tensor) -> Tensor:
        """Distance of the waves of each patch's smallest object."""
        area = (boxes[..., 2:] - boxes[..., :2]).prod(-1).masked_fill(~shows, float("inf"))
        smallest, chosen = _by_patch(area).min(dim=-1)  # [B, I]
        index = chosen[..., None, None].expand(-1, -1, 1, 4)
        box = _by_patch(boxes).gather(2, index)[:, :, 0]  # [B, I, 4]
        is_shown = smallest.isfinite()
        wanted = location_waves(box[is_shown]).flatten(1)
        return 2 * F.mse_loss(self.read_waves(tokens)[is_shown], wanted)


def _by_patch(values: Tensor) -> Tensor:
    """[B, cells * cells, ...] in raster order -> [B, I, CELLS * CELLS, ...]."""
    grid = round(values.shape[1] ** 0.5) // CELLS
    cells = values.reshape(len(values), grid, CELLS, grid, CELLS, *values.shape[2:])
    return cells.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _named(values: Tensor, names: Tensor) -> Tensor:
    """Cross entropy in which cells that show something count as much as all that show nothing."""
    each = F.cross_entropy(values.flatten(0, 1), names.flatten().long(), reduction="none")
    something = names.flatten() > 0
    return 0.5 * (each * something).sum() / (something.sum() + 1) + 0.5 * (each * ~something).mean()


def _box_loss(values: Tensor, boxes: Tensor) -> Tensor:
    """Distance of the edges in shares of the side, and 1 - IoU; values are in [0, 1] already."""
    low = torch.maximum(values[:, :2], boxes[:, :2])
    high = torch.minimum(values[:, 2:], boxes[:, 2:])
    both = (high - low).clamp(min=0).prod(-1)
    area = (values[:, 2:] - values[:, :2]).clamp(min=0).prod(-1)
    iou = both / (area + (boxes[:, 2:] - boxes[:, :2]).prod(-1) - both + 1e-6)
    return 5 * (values - boxes).abs().mean() + (1 - iou).mean()
