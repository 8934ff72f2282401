"""What differs between one training process and several; here is the one."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from palikit.model.paligemma import PaliGemma
from palikit.scores import Scores
from palikit.train_options import TrainOptions
from palikit.training.export import export
from palikit.training.loss import TrainingModel
from palikit.training.precision import cast_weights, in_dtype
from palikit.training.result import Origin
from palikit.training.run_folder import RunFolder, opened_run
from palikit.training.state import load_learning, save_learning, whole_folder


class Processes(Protocol):
    """The processes that train together, seen from one of them.

    Everything but `device`, `rank` and `count` is done by all of them at the same place of the
    program, or they wait for each other for ever.
    """

    @property
    def rank(self) -> int:
        """Number of this process, from 0, which writes the files that are not sharded."""

    @property
    def count(self) -> int:
        """How many there are."""

    def check(self, options: TrainOptions) -> None:
        """Refuse what these processes cannot do.

        Raises:
            InputError: an option says so.
        """

    def opened_run(
        self, path: Path, *, resume: bool, overwrite: bool
    ) -> AbstractContextManager[RunFolder]:
        """See `palikit.training.run_folder.opened_run`."""

    def device(self, model: PaliGemma) -> torch.device:
        """Where a loaded model will learn."""

    def shard(self, module: TrainingModel, dtype: torch.dtype) -> None:
        """Give the weights their dtype and device, and cut them among the processes, in place.

        The optimiser is made afterwards.
        """

    def clip(self, weights: Mapping[str, nn.Parameter], largest: float) -> Tensor:
        """Scale the gradients to at most this norm over all weights; 0 leaves them as they are.

        Returns:
            float32[], the norm before.
        """

    def total(self, value: Tensor) -> Tensor:
        """The sum of a value over the processes."""

    def largest(self, value: int) -> int:
        """The largest of the values that the processes have."""

    def together(self) -> AbstractContextManager[None]:
        """Wait for each other at the end of the block; where it failed on one, it fails on all."""

    def measure(
        self, model: PaliGemma, dtype: torch.dtype, look: Callable[[PaliGemma], Scores]
    ) -> Scores:
        """What `look` says of the model in evaluation mode and this dtype.

        The first process looks, and what it finds all get.
        """

    def export(
        self,
        model: PaliGemma,
        folder: Path,
        options: TrainOptions,
        origin: Origin,
        dtype: torch.dtype,
    ) -> None:
        """See `palikit.training.export.export`."""

    def whole_folder(
        self, folder: Path, *, needed_bytes: int, last_good: Path | None
    ) -> AbstractContextManager[Path]:
        """See `palikit.training.state.whole_folder`: one folder that all may write to."""

    def save(
        self, folder: Path, weights: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        """Write what learns and the optimiser's state into an existing folder."""

    def load(
        self, folder: Path, weights: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        """Read back what `save` wrote, by however many processes."""


class OneProcess:
    """A process that trains alone.

    Args:
        device: where a model learns that was loaded on the host; None leaves it where it is.
    """

    rank = 0
    count = 1

    def __init__(self, device: torch.device | None = None) -> None:
        self._device = device

    def check(self, options: TrainOptions) -> None:
        """Nothing is refused."""

    def opened_run(
        self, path: Path, *, resume: bool, overwrite: bool
    ) -> AbstractContextManager[RunFolder]:
        """See `palikit.training.run_folder.opened_run`."""
        return opened_run(path, resume=resume, overwrite=overwrite)

    def device(self, model: PaliGemma) -> torch.device:
        """As given, else where the model is."""
        return self._device or model.device

    def shard(self, module: TrainingModel, dtype: torch.dtype) -> None:
        """Gives the weights their device and dtype; there is nothing to cut."""
        if self._device is not None:
            module.to(self._device)
        cast_weights(module.parameters(), dtype)

    def clip(self, weights: Mapping[str, nn.Parameter], largest: float) -> Tensor:
        """See `Processes.clip`."""
        limit = largest or float("inf")
        return torch.nn.utils.clip_grad_norm_(weights.values(), limit)

    def total(self, value: Tensor) -> Tensor:
        """The value itself."""
        return value

    def largest(self, value: int) -> int:
        """The value itself."""
        return value

    def together(self) -> AbstractContextManager[None]:
        """Nobody to wait for."""
        return nullcontext()

    def measure(
        self, model: PaliGemma, dtype: torch.dtype, look: Callable[[PaliGemma], Scores]
    ) -> Scores:
        """See `Processes.measure`; the model itself is looked at."""
        with in_dtype(model, dtype):
            return look(model)

    def export(
        self,
        model: PaliGemma,
        folder: Path,
        options: TrainOptions,
        origin: Origin,
        dtype: torch.dtype,
    ) -> None:
        """See `palikit.training.export.export`."""
        export(model, folder, options, origin, dtype)

    def whole_folder(
        self, folder: Path, *, needed_bytes: int, last_good: Path | None
    ) -> AbstractContextManager[Path]:
        """See `palikit.training.state.whole_folder`."""
        return whole_folder(folder, needed_bytes=needed_bytes, last_good=last_good)

    def save(
        self, folder: Path, weights: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        """See `palikit.training.state.save_learning`."""
        save_learning(folder, weights, optimizer)

    def load(
        self, folder: Path, weights: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        """See `palikit.training.state.load_learning`."""
        load_learning(folder, weights, optimizer)
