"""TensorBoard event files, where the package for them is installed."""

from pathlib import Path
from typing import Any, Self

from palikit.scores import Scores
from palikit.training.result import StepFigures

MISSING = (
    "no TensorBoard files are written (metrics.jsonl holds the same): pip install 'palikit[train]'"
)


class EventFiles:
    """Writes figures as TensorBoard reads them; nothing where tensorboard is not installed.

    Args:
        folder: for the files; None to write nothing.
        step: where a run begins or goes on; what an earlier process wrote after it is dropped.

    Attributes:
        is_there: whether anything is written.
    """

    def __init__(self, folder: Path | None, step: int) -> None:
        self._writer: Any = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    @property
    def is_there(self) -> bool:
        """See the class."""
        return self._writer is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def step(self, figures: StepFigures) -> None:
        """Curves of the training."""
        if self._writer is not None:
            for name in ("loss", "learning_rate", "gradient_norm", "pictures_per_s"):
                self._writer.add_scalar(f"train/{name}", getattr(figures, name), figures.step)

    def scores(self, step: int, scores: Scores) -> None:
        """Curves of the validation."""
        if self._writer is not None:
            for name, value in scores.figures:
                self._writer.add_scalar(f"validation/{name}", value, step)
            self._writer.flush()
