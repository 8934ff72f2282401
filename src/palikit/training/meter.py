"""Figures of steps, read from the device one step late so that it never waits for the host."""

import sys
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from palikit.training.batches import Batch
from palikit.training.result import StepFigures


@dataclass(frozen=True, eq=False)
class _Waiting:
    batch: Batch
    loss: Tensor
    norm: Tensor
    rate: float
    seconds: float


class Meter:
    """Turns what steps compute into `StepFigures`.

    Args:
        steps: of the whole run.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._waiting: _Waiting | None = None
        self._since = time.perf_counter()

    def take(self, batch: Batch, loss: Tensor, norm: Tensor, rate: float) -> StepFigures | None:
        """Hand in a step that has been started; the figures of the one before it come out."""
        before = self.read()
        self._waiting = _Waiting(batch, loss, norm, rate, self.restart())
        return before

    def read(self) -> StepFigures | None:
        """The figures of the step handed in last, waiting for it; None where they were read."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return None
        loss, norm = torch.stack((waiting.loss.float(), waiting.norm.float())).tolist()
        return StepFigures(
            step=waiting.batch.step + 1,
            steps=self._steps,
            loss=loss,
            learning_rate=waiting.rate,
            gradient_norm=norm,
            tokens=waiting.batch.tokens,
            pictures_per_s=waiting.batch.pictures / waiting.seconds,
            memory_mib=memory_mib(waiting.loss.device),
        )

    def restart(self) -> float:
        """Begin a new span of time, so that validations do not count; seconds of the one before."""
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        return max(seconds, 1e-9)


def memory_mib(device: torch.device) -> float | None:
    """The largest use so far in MiB: of the GPU, or on a CPU of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 2**10 if sys.platform == "darwin" else 1  # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit / 2**10
