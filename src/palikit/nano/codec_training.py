"""Train nano's mask codec: outlines of the scenes' shapes and of blobs, as 16 codes out of 128.

    python -m palikit.nano.codec_training --output mask_codec.safetensors --steps 3000

The codec is the published one's architecture with fewer channels. Codes are learned as running
means of what falls to them (van den Oord et al., arXiv 1711.00937, appendix A.1); gradients pass
the choice of a code unchanged.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from palikit.checkpoints.tensor_file import write_tensors
from palikit.model.mask_codec import (
    GRID_SIDE,
    MaskCodec,
    MaskCodecConfig,
    crop_mask,
)
from palikit.nano.backgrounds import smooth_noise
from palikit.nano.figures import draw_outline
from palikit.nano.progress import say
from palikit.nano.scenes import MAX_SIDE, MIN_SIDE
from palikit.results import Box
from palikit.vocab import CODES_PER_MASK, NUM_SEG

FIRST_SEED = 2**34
BATCH_SIZE = 64
LEARNING_RATE = 1e-3
REPORT_EVERY, SAVE_EVERY = 200, 1000
COMMITMENT = 0.25
DECAY = 0.99
"""Of the running means."""

CONFIG = MaskCodecConfig(
    encoder_channels=(16, 32, 64, 64),
    codebook_width=64,
    decoder_channels=(64, 64, 48, 32, 16),
)


def draw_mask(random: np.random.Generator) -> npt.NDArray[np.float32]:
    """float32[64, 64] in [0, 1]: the visible pixels of an object, as the encoder sees it."""
    side = round(math.exp(random.uniform(math.log(MIN_SIDE), math.log(MAX_SIDE))) * 256)
    mask = draw_outline(random, side) if random.random() < 0.6 else _blob(random, side)
    if random.random() < 0.35:
        mask = mask & ~_cover(random, mask.shape)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return draw_mask(random)
    box = Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    return crop_mask(mask, box)


def _blob(random: np.random.Generator, side: int) -> npt.NDArray[np.bool_]:
    """A roundish outline with a smooth, uneven edge."""
    line = np.linspace(-1, 1, side)
    x, y = line[None, :] - random.normal(0, 0.1), line[:, None] - random.normal(0, 0.1)
    angle, stretch = random.uniform(0, math.pi), random.uniform(0.5, 1)
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    uneven = random.uniform(0, 0.25) * smooth_noise(random, side, int(random.integers(3, 9)))
    inside: npt.NDArray[np.bool_] = np.hypot(u, v / stretch) < 0.85 + uneven
    return inside


def _cover(random: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Something in front, beyond one of the edges or corners."""
    h, w = shape
    front = draw_outline(random, max(4, round(random.uniform(0.4, 1.0) * max(h, w))))
    cover = np.zeros((h, w), bool)
    top = int(random.uniform(-0.7, 0.9) * h)
    left = int((-0.6 if random.random() < 0.5 else 0.7) * w)
    y1, x1 = max(top, 0), max(left, 0)
    y2, x2 = min(top + front.shape[0], h), min(left + front.shape[1], w)
    if y2 > y1 and x2 > x1:
        cover[y1:y2, x1:x2] = front[y1 - top : y2 - top, x1 - left : x2 - left]
    return cover


class _Masks(IterableDataset[npt.NDArray[np.float32]]):
    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        worker = torch.utils.data.get_worker_info()
        random = np.random.default_rng(FIRST_SEED + (worker.id if worker else 0))
        while True:
            yield np.stack([draw_mask(random)[None] for _ in range(BATCH_SIZE)])


def train_codec(output: Path, steps: int, workers: int = 1) -> MaskCodec:
    """Train and save a codec; prints mean IoU as it goes."""
    torch.manual_seed(0)
    learner = _Learner(MaskCodec(CONFIG))
    batches = DataLoader(_Masks(), batch_size=None, num_workers=workers)
    began, overlaps = time.perf_counter(), []
    for step, masks in zip(range(steps), batches, strict=False):
        loss, overlap = learner.step(masks, rate=_rate(step, steps))
        overlaps.append(overlap)
        if (step + 1) % REPORT_EVERY == 0:
            row = {"step": step + 1, "loss": round(loss, 4)}
            row |= {"iou": round(float(np.mean(overlaps[-REPORT_EVERY:])), 4)}
            row |= {"codes": learner.num_used, "s": round(time.perf_counter() - began)}
            say(json.dumps(row))
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            _save(learner.codec, output)
    return learner.codec


def _rate(step: int, steps: int) -> float:
    """Rises for 100 steps and falls to 0 over the second half."""
    return LEARNING_RATE * min(1.0, (step + 1) / 100, 2 * (steps - step) / steps)


class _Learner:
    """A codec with what its training keeps: the optimiser, and running means of the codes."""

    def __init__(self, codec: MaskCodec) -> None:
        self.codec = codec
        learned = [p for name, p in codec.named_parameters() if name != "codebook"]
        self.optimizer = torch.optim.AdamW(learned, lr=LEARNING_RATE, weight_decay=0.0, fused=True)
        self.counts = torch.ones(NUM_SEG)
        self.sums: Tensor | None = None

    @property
    def num_used(self) -> int:
        """Codes that are still chosen."""
        return int((self.counts > 0.5).sum())

    def step(self, masks: Tensor, rate: float) -> tuple[float, float]:
        """Learn from masks float32[B, 1, 64, 64]; the loss and the mean IoU before it."""
        codec = self.codec
        features = codec.encoder(2 * masks - 1).flatten(2).transpose(1, 2)  # [B, 16, E]
        codes = self._chosen(features.detach())
        chosen = codec.codebook.detach()[codes]
        self._follow(features.detach().flatten(0, 1), codes.flatten())
        passed = features + (chosen - features).detach()
        values = codec.decoder(passed.transpose(1, 2).unflatten(2, (GRID_SIDE, GRID_SIDE)))
        loss = F.binary_cross_entropy_with_logits(4 * values, masks)
        loss = loss + 0.02 * (values.square() - 1).clamp(min=0).mean()
        (loss + COMMITMENT * F.mse_loss(features, chosen)).backward()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item(), mean_iou(values.detach(), masks)

    def _chosen(self, features: Tensor) -> Tensor:
        """The nearest code of each feature; the codes begin as features of the first batch."""
        codebook = self.codec.codebook
        if self.sums is None:
            start = features.flatten(0, 1)[:: BATCH_SIZE * CODES_PER_MASK // NUM_SEG][:NUM_SEG]
            codebook.data.copy_(start)
            self.sums = codebook.detach().clone()
        distances = codebook.square().sum(1) - 2 * features @ codebook.T
        return distances.detach().argmin(-1)

    def _follow(self, features: Tensor, codes: Tensor) -> None:
        """Move the codes to the running means of their features; unused ones start anew."""
        counts, sums = self.counts, self.sums
        if sums is None:
            raise AssertionError("codes are chosen first")
        taken = F.one_hot(codes, NUM_SEG).float()
        counts.lerp_(taken.sum(0), 1 - DECAY)
        sums.lerp_(taken.T @ features, 1 - DECAY)
        idle = torch.nonzero(counts < 0.5).flatten()
        if idle.numel():
            fresh = features[torch.randint(len(features), (idle.numel(),))]
            counts[idle], sums[idle] = 4.0, 4.0 * fresh
        self.codec.codebook.data.copy_(sums / counts[:, None])


def mean_iou(values: Tensor, masks: Tensor) -> float:
    """Mean IoU of decoded values [B, 1, 64, 64] with masks."""
    ours, theirs = values > 0, masks > 0.5
    both = (ours & theirs).sum((1, 2, 3))
    return float((both / (ours | theirs).sum((1, 2, 3)).clamp(min=1)).mean())


def _save(codec: MaskCodec, output: Path) -> None:
    names = {"codebook": "_vq_vae._embedding"}
    weights = {
        names.get(name, name): weight.detach().half() for name, weight in codec.state_dict().items()
    }
    fresh = output.with_name(output.name + ".new")
    write_tensors(fresh, weights)
    fresh.replace(output)


def preview(codec: MaskCodec, path: Path, number: int = 24) -> None:
    """A sheet of masks above what comes back of them."""
    random = np.random.default_rng(0)
    masks = torch.from_numpy(np.stack([draw_mask(random)[None] for _ in range(number)]))
    with torch.no_grad():
        back = codec.decode(codec.encode(masks)) > 0
    rows = [torch.cat(tuple(x), dim=1) for x in (masks[:, 0] > 0.5, back)]
    Image.fromarray(torch.cat(rows).numpy().astype(np.uint8) * 255).save(path)


def main() -> None:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--preview", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    codec = train_codec(given.output, given.steps, given.workers)
    if given.preview:
        preview(codec, given.preview)


if __name__ == "__main__":
    main()
