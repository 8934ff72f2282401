"""How a process finds out that torchrun started it among others, and meets them."""

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from palikit.errors import InputError, PaliKitError
from palikit.training.distributed import SeveralProcesses

_LOST = ("Connection closed by peer", "Connection reset", "Broken pipe", "remote process exited")
"""What the backends say where another process is gone."""


@dataclass(frozen=True, eq=False)
class Launch:
    """This process among those that torchrun started.

    Attributes:
        store: through which they meet; holds small values that all can read.
        rank: of this process, over all machines.
        count: how many there are, over all machines.
        local_rank: of this process on its machine.
        local_count: how many there are on its machine.
    """

    store: Store
    rank: int
    count: int
    local_rank: int
    local_count: int

    def is_first_to_say(self, sentence: str) -> bool:
        """Whether no process has said so before; from now on one has."""
        try:
            self.store.add("told", 1)
            return int(self.store.add(f"told: {sentence}", 1)) == 1
        except RuntimeError:  # whoever kept the store is gone: better twice than never
            return True

    def has_anyone_told(self) -> bool:
        """Whether any process has said why it ends."""
        try:
            return int(self.store.add("told", 0)) > 0
        except RuntimeError:
            return False

    def device(self, name: str) -> torch.device:
        """The device of this process: the GPU of its number on the machine, or the CPU.

        Args:
            name: "auto", "cuda" or "cpu".

        Raises:
            InputError: there is no such GPU, or processes cannot train on such a device.
        """
        if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
            return torch.device("cpu")
        if name not in ("auto", "cuda"):
            raise InputError(
                f"device {name!r} cannot be shared by {self.local_count} processes: each takes the "
                "GPU of its number with auto or cuda, or the CPU with cpu"
            )
        if (found := torch.cuda.device_count()) < self.local_count:
            raise InputError(
                f"torchrun started {self.local_count} processes on this machine, which has {found} "
                "GPUs: give a --nproc-per-node of at most that, or --device cpu"
            )
        return torch.device("cuda", self.local_rank)

    def processes(self, device: torch.device) -> SeveralProcesses:
        """Meet the other processes, which all have to call this."""
        return SeveralProcesses(self.store, self.rank, self.count, device)


def meet() -> Launch:
    """Find the store of the processes that torchrun started.

    Raises:
        PaliKitError: it cannot be reached.
    """
    try:
        store, rank, count = next(rendezvous("env://", timeout=timedelta(minutes=10)))
    except (ValueError, RuntimeError) as error:
        raise PaliKitError(
            f"the processes of torchrun cannot reach each other ({error}): check its --master-addr "
            "and --master-port, or --rdzv-endpoint"
        ) from None
    return Launch(
        PrefixStore("palikit", store),
        rank,
        count,
        int(os.environ.get("LOCAL_RANK", rank)),
        int(os.environ.get("LOCAL_WORLD_SIZE", count)),
    )


def is_lost_connection(error: BaseException) -> bool:
    """Whether an error says that another process is gone."""
    text = str(error)
    return isinstance(error, dist.DistError) or any(each in text for each in _LOST)
