"""Teach nano's image tower, before its decoder exists, what lies under every cell of a picture.

    python -m palikit.nano.pretraining --output RUN --steps 12000

Trained like this a small image tower learns boxes and letters from some hundred thousand pictures,
of which plain training needs millions. Interrupt it when you like: the same command goes on. More
steps may be asked for as long as the rate has not begun to fall.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from palikit.checkpoints.tensor_file import write_tensors
from palikit.config import VisionConfig
from palikit.model.siglip import VisionTower
from palikit.nano.architecture import grid_waves, small_attention, vision_config
from palikit.nano.dense import CELLS, DenseReading, cell_targets
from palikit.nano.progress import say
from palikit.nano.scenes import SceneOptions, draw_scene, training_side
from palikit.processor import resize_picture, scale_pixels

FIRST_SEED = 2**33
"""Scenes of this stage are numbered from here: no other stage draws them again."""

REPORT_EVERY = 50
SAVE_EVERY = 250

NAMES = ("kind", "color", "box", "order", "letter", "place", "outline", "waves")
"""Of the losses, in the order of `DenseReading.loss`."""


@dataclass(frozen=True)
class PretrainingOptions:
    """How long and how fast; the rate rises for `warmup` steps and falls over the last quarter."""

    steps: int = 12000
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup: int = 100
    workers: int = 1
    first_seed: int = FIRST_SEED

    def rate(self, step: int) -> float:
        """Share of the learning rate at a step."""
        falling = self.steps / 4
        return min(1.0, (step + 1) / self.warmup, (self.steps - step) / falling)


class Pupil(nn.Module):
    """The image tower, and the reading that is thrown away afterwards."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.vision_tower = VisionTower(config, small_attention)
        self.reading = DenseReading(config.hidden_size)
        side = config.image_size // config.patch_size
        start = 0.3 * grid_waves(side, config.hidden_size)
        self.vision_tower.position_embedding.weight.data.copy_(start)

    def forward(
        self, pixel_values: Tensor, names: Tensor, boxes: Tensor, outlines: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loss of one batch; see `DenseReading.loss`."""
        with torch.autocast(pixel_values.device.type, torch.bfloat16):
            tokens = self.vision_tower(pixel_values)
        loss, each = self.reading.loss(tokens.float(), names, boxes, outlines)
        return loss, each


class _Scenes(IterableDataset[tuple[np.ndarray, ...]]):
    """Pictures and what their cells show, from the batch of one step on."""

    def __init__(self, config: VisionConfig, first: int, options: PretrainingOptions) -> None:
        self.config, self.first, self.options = config, first, options

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        worker = torch.utils.data.get_worker_info()
        number, every = (worker.id, worker.num_workers) if worker else (0, 1)
        step = self.first + number
        while True:
            start = self.options.first_seed + step * self.options.batch_size
            rows = [self._row(start + row) for row in range(self.options.batch_size)]
            yield tuple(np.stack(column) for column in zip(*rows, strict=True))
            step += every

    def _row(self, seed: int) -> tuple[np.ndarray, ...]:
        config = self.config
        scene = draw_scene(seed, SceneOptions(side=training_side(seed, config.image_size)))
        targets = cell_targets(scene, CELLS * config.image_size // config.patch_size)
        pixels = resize_picture(scene.picture, config.image_size, "bicubic")
        return pixels, targets.names, targets.boxes, targets.outlines


def pretrain(output: Path, options: PretrainingOptions, start: Path | None = None) -> Path:
    """Train, going on where an earlier run in the same folder stopped.

    Args:
        output: folder of the run.
        options: how long and how fast.
        start: the file of another run, whose tower this one begins with.

    Returns:
        The file of the tower.
    """
    output.mkdir(parents=True, exist_ok=True)
    config = vision_config()
    torch.manual_seed(0)
    pupil = Pupil(config)
    optimizers = _optimizers(pupil, options)
    if start is not None:
        pupil.vision_tower.load_state_dict(tower_weights(start))
    first = _resume(output, pupil, optimizers)
    batches = DataLoader(
        _Scenes(config, first, options),
        batch_size=None,
        num_workers=options.workers,
        prefetch_factor=4 if options.workers else None,
    )
    losses: list[Tensor] = []
    began = time.perf_counter()
    for step, (pixels, *targets) in zip(range(first, options.steps), batches, strict=False):
        losses.append(_step(pupil, optimizers, options, step, scale_pixels(pixels), targets))
        if (step + 1) % REPORT_EVERY == 0:
            speed = options.batch_size * len(losses) / (time.perf_counter() - began)
            _report(output, step + 1, torch.stack(losses).mean(0), options, speed)
            losses, began = [], time.perf_counter()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == options.steps:
            _save(output, step + 1, pupil, optimizers)
    return output / "pupil.safetensors"


def _step(
    pupil: Pupil,
    optimizers: list[torch.optim.Optimizer],
    options: PretrainingOptions,
    step: int,
    pixel_values: Tensor,
    targets: list[Tensor],
) -> Tensor:
    loss, each = pupil(pixel_values, *targets)
    loss.backward()
    nn.utils.clip_grad_norm_(pupil.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * options.rate(step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    out: Tensor = each
    return out


def _optimizers(pupil: Pupil, options: PretrainingOptions) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the rest."""
    matrices = [p for n, p in pupil.named_parameters() if p.ndim == 2 and ".layers." in n]
    known = {id(p) for p in matrices}
    others = [p for p in pupil.parameters() if id(p) not in known]
    muon = torch.optim.Muon(
        matrices,
        lr=options.learning_rate,
        weight_decay=0.05,
        adjust_lr_fn="match_rms_adamw",
    )
    adam = torch.optim.AdamW(others, lr=options.learning_rate / 2, weight_decay=0.01, fused=True)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return [muon, adam]


def _report(
    output: Path, step: int, losses: Tensor, options: PretrainingOptions, speed: float
) -> None:
    row = {"step": step, "pictures": step * options.batch_size, "pictures_per_s": round(speed, 1)}
    row |= {name: round(x, 4) for name, x in zip(NAMES, losses.tolist(), strict=True)}
    with (output / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    say(json.dumps(row))


def _save(output: Path, step: int, pupil: Pupil, optimizers: list[torch.optim.Optimizer]) -> None:
    """Weights, optimiser and step in one file, which replaces the last one at once."""
    tensors = {f"weights.{name}": value for name, value in pupil.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{index}.{key}": x for key, x in state.items()}
    fresh = output / "pupil.safetensors.new"
    write_tensors(fresh, tensors, {"step": str(step)})
    fresh.replace(output / "pupil.safetensors")


def tower_weights(file: Path) -> dict[str, Tensor]:
    """The image tower's weights in the file of a run, under the tower's own names."""
    prefix = "weights.vision_tower."
    weights = load_file(file)
    return {n.removeprefix(prefix): x for n, x in weights.items() if n.startswith(prefix)}


def wave_reading(file: Path) -> tuple[Tensor, Tensor]:
    """Weight and bias with which the file's run reads the waves of boxes from image tokens."""
    weights = load_file(file)
    prefix = "weights.reading.read_waves."
    return weights[f"{prefix}weight"], weights[f"{prefix}bias"]


def _resume(output: Path, pupil: Pupil, optimizers: list[torch.optim.Optimizer]) -> int:
    path = output / "pupil.safetensors"
    if not path.is_file():
        _forget_after(output / "metrics.jsonl", 0)
        return 0
    tensors = load_file(path)
    pupil.load_state_dict(
        {n.removeprefix("weights."): x for n, x in tensors.items() if n.startswith("weights.")}
    )
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith(f"optimizer.{number}."):
                _, _, index, key = name.split(".", 3)
                state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    with safe_open(path, "pt") as file:
        step = int(file.metadata()["step"])
    _forget_after(output / "metrics.jsonl", step)
    return step


def _forget_after(metrics: Path, step: int) -> None:
    """Drop the lines that are about to be written again, and half a line of a killed process."""
    if not metrics.is_file():
        return
    lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [x for x in lines if x.endswith("\n") and json.loads(x)["step"] <= step]
    fresh = metrics.with_name(f"{metrics.name}.new")
    fresh.write_text("".join(kept), encoding="utf-8")
    fresh.replace(metrics)


def main() -> None:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--first-seed", type=int, default=PretrainingOptions.first_seed)
    parser.add_argument("--steps", type=int, default=PretrainingOptions.steps)
    parser.add_argument("--batch-size", type=int, default=PretrainingOptions.batch_size)
    parser.add_argument("--workers", type=int, default=PretrainingOptions.workers)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    options = PretrainingOptions(
        steps=given.steps,
        batch_size=given.batch_size,
        workers=given.workers,
        first_seed=given.first_seed,
    )
    say(f"{pretrain(given.output, options, given.start)} is ready")


if __name__ == "__main__":
    main()
