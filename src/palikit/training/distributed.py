"""Several processes that train one model together: torchrun's, with FSDP2 among them.

Tensors of the training go through the device's own backend. What processes tell each other beside
them (a stop, a score, a failure) goes through a second group on the host, as JSON or whole
numbers, never pickled; its members wait for each other as long as it takes, since a validation on
the first process may take hours. A process that dies ends the wait of the others at once.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from palikit.adapters import adapter_of
from palikit.errors import InputError, PaliKitError
from palikit.model.paligemma import PaliGemma
from palikit.model.sharded import whole
from palikit.scores import Scores
from palikit.train_options import TrainOptions
from palikit.training.export import export_adapter, export_model
from palikit.training.loss import TrainingModel
from palikit.training.optimizer_state import state_tensors
from palikit.training.result import Origin
from palikit.training.run_folder import RunFolder, opened_run
from palikit.training.sharding import cut, put_together
from palikit.training.shards import write_shards
from palikit.training.state import OPTIMIZER, WEIGHTS, load_learning, whole_folder

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

_LONG = timedelta(days=365)
_SPARE = 1.5
"""Memory that a validation needs, as a multiple of the weights: a guess that leaves room for the
cache of generation."""


class FollowedError(PaliKitError):
    """Another process failed, which tells why; this one has nothing to add."""


class SeveralProcesses:
    """Processes that train together, seen from one of them; see `Processes`.

    Args:
        store: what the processes met through.
        rank: of this process.
        count: how many there are.
        device: of this process: a CUDA device of its own, or the CPU.

    Raises:
        PaliKitError: they cannot reach each other.
    """

    def __init__(self, store: "Store", rank: int, count: int, device: torch.device) -> None:
        self.rank, self.count = rank, count
        self._device = device
        is_cuda = device.type == "cuda"
        if is_cuda:
            torch.cuda.set_device(device)
        dist.init_process_group(
            "nccl" if is_cuda else "gloo",
            store=store,
            rank=rank,
            world_size=count,
            device_id=device if is_cuda else None,
        )
        self._mesh: DeviceMesh = init_device_mesh(device.type, (count,))
        self._host = dist.new_group(backend="gloo", timeout=_LONG)

    def close(self) -> None:
        """Leave the group."""
        dist.destroy_process_group()

    def check(self, options: TrainOptions) -> None:
        """See `Processes.check`."""
        refused = {
            "method qlora": (options.method == "qlora", "use lora, whose base is sharded"),
            f"optimizer {options.optimizer}": (
                options.optimizer in ("adamw8bit", "adafactor"),
                "use adamw, whose state is sharded",
            ),
            "cache_features": (options.cache_features, "leave it out"),
        }
        for what, (is_asked, instead) in refused.items():
            if is_asked:
                raise InputError(
                    f"{what} works in one process only, and {self.count} were started: {instead}, "
                    "or run the same command without torchrun"
                )

    @contextmanager
    def opened_run(self, path: Path, *, resume: bool, overwrite: bool) -> Iterator[RunFolder]:
        """See `Processes.opened_run`; all but the first process only read."""
        with ExitStack() as stack:
            folder: RunFolder = FollowedFolder(path)
            with self.together():
                if self.rank == 0:
                    run = opened_run(path, resume=resume, overwrite=overwrite)
                    folder = stack.enter_context(run)
            yield folder

    def device(self, model: PaliGemma) -> torch.device:
        """The device of this process; the model may be on the host still."""
        return self._device

    def shard(self, module: TrainingModel, dtype: torch.dtype) -> None:
        """See `palikit.training.sharding.cut`."""
        cut(module, self._mesh, dtype)

    def clip(self, weights: Mapping[str, nn.Parameter], largest: float) -> Tensor:
        """See `Processes.clip`."""
        gradients = [weight.grad for weight in weights.values() if weight.grad is not None]
        norm = whole(torch.nn.utils.get_total_norm(gradients))
        if largest:
            torch.nn.utils.clip_grads_with_norm_(weights.values(), largest, norm)
        return norm

    def total(self, value: Tensor) -> Tensor:
        """See `Processes.total`."""
        total = value.clone()
        dist.all_reduce(total, group=None if value.is_cuda else self._host)
        return total

    def largest(self, value: int) -> int:
        """See `Processes.largest`."""
        number = torch.tensor(int(value))
        dist.all_reduce(number, dist.ReduceOp.MAX, group=self._host)
        return int(number)

    def exchange(self, text: str) -> list[str]:
        """A text from each process, by rank."""
        raw = text.encode()
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        dist.all_gather(lengths, torch.tensor([len(raw)]), group=self._host)
        longest = max(1, *map(int, lengths))
        texts = [torch.zeros(longest, dtype=torch.uint8) for _ in range(self.count)]
        own = torch.frombuffer(bytearray(raw.ljust(longest)), dtype=torch.uint8)
        dist.all_gather(texts, own, group=self._host)
        return [
            bytes(each[: int(length)].tolist()).decode()
            for each, length in zip(texts, lengths, strict=True)
        ]

    @contextmanager
    def together(self) -> Iterator[None]:
        """See `Processes.together`."""
        failure: BaseException | None = None
        try:
            yield
        except BaseException as error:  # a second Ctrl-C, too, is to be known to all
            failure = error
        said = self.exchange("" if failure is None else str(failure) or type(failure).__name__)
        if failure is not None:
            raise failure
        if failures := [text for text in said if text]:
            raise FollowedError(failures[0])

    def measure(
        self, model: PaliGemma, dtype: torch.dtype, look: Callable[[PaliGemma], Scores]
    ) -> Scores:
        """See `Processes.measure`; the first process gets a whole copy, and the others wait."""
        device = self._room_for(model, dtype)
        copy = put_together(model, dtype, device, keep=self.rank == 0)
        text = ""
        with self.together():
            if copy is not None:
                with torch.no_grad():
                    text = json.dumps(asdict(look(copy)), default=str)
        found = json.loads(self.exchange(text)[0])
        figures = tuple((name, value) for name, value in found.pop("figures"))
        page = found.pop("page")
        return Scores(figures, page=None if page is None else Path(page), **found)

    def export(
        self,
        model: PaliGemma,
        folder: Path,
        options: TrainOptions,
        origin: Origin,
        dtype: torch.dtype,
    ) -> None:
        """See `Processes.export`; a whole model is put together on the host."""
        is_writing = self.rank == 0
        if options.method == "lora":
            adapter = adapter_of(model)
            with self.together():
                if is_writing:
                    export_adapter(adapter, folder, origin)
            return
        copy = put_together(model, dtype, torch.device("cpu"), keep=is_writing)
        with self.together():
            if copy is not None:
                export_model(copy, folder, origin, dtype)

    @contextmanager
    def whole_folder(
        self, folder: Path, *, needed_bytes: int, last_good: Path | None
    ) -> Iterator[Path]:
        """See `Processes.whole_folder`; what fails on one process is told by the first."""
        stack, temporary = ExitStack(), ""
        with self.together():
            if self.rank == 0:
                new = whole_folder(folder, needed_bytes=needed_bytes, last_good=last_good)
                temporary = str(stack.enter_context(new))
        reason = ""
        try:
            yield Path(self.exchange(temporary)[0])
        except (OSError, SafetensorError) as error:
            reason = str(getattr(error, "strerror", None) or error)
        reasons = [text for text in self.exchange(reason) if text]
        with self.together(), stack:
            if self.rank == 0 and reasons:
                raise OSError(reasons[0])

    def save(
        self, folder: Path, weights: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        """Write the own parts of what learns and of the optimiser's state."""
        learnt = {name: weight.detach() for name, weight in weights.items()}
        write_shards(folder, WEIGHTS, learnt, self.rank, self.count)
        state = state_tensors(optimizer, weights)
        write_shards(folder, OPTIMIZER, state, self.rank, self.count)

    def load(
        self, folder: Path, weights: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        """See `palikit.training.state.load_learning`; each process reads its own part."""
        load_learning(folder, weights, optimizer)

    def _room_for(self, model: PaliGemma, dtype: torch.dtype) -> torch.device:
        """The own device, or the host where that has not enough memory left for a whole model."""
        if self._device.type != "cuda":
            return self._device
        needed = sum(weight.numel() for weight in model.parameters()) * dtype.itemsize * _SPARE
        free, _ = torch.cuda.mem_get_info(self._device)
        return self._device if needed < free else torch.device("cpu")


class FollowedFolder(RunFolder):
    """The folder of a run as all but the first process have it: to read."""

    def point(self, name: str, content: dict[str, Any]) -> None:
        """Left to the first process."""

    def prune(self, keep: int) -> None:
        """Left to the first process."""

    def append(self, row: dict[str, Any]) -> None:
        """Left to the first process."""

    def forget_after(self, step: int) -> None:
        """Left to the first process."""
