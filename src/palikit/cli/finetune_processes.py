"""Commands under torchrun: one of the processes talks, and errors are told once."""

import os
import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from palikit.cli.command import INTERRUPTED, remark
from palikit.errors import PaliKitError

if TYPE_CHECKING:
    import torch

    from palikit.train_options import Method
    from palikit.training.launch import Launch
    from palikit.training.processes import Processes

_LAST_WORDS_S = 3.0

TRAINING_LOST = "the training with it: go on from the latest checkpoint with --resume"
"""What has ended with a process, and how to go on."""


class Together:
    """What the command needs to know of the processes it is one of.

    Args:
        launch: None where it is the only one.
        stack: closed when the command ends.
    """

    def __init__(self, launch: "Launch | None", stack: ExitStack) -> None:
        self._launch, self._stack = launch, stack

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files that all share."""
        return self._launch is None or self._launch.rank == 0

    def own_device(self, name: str) -> str:
        """Where this process has a model of its own, by the name in --device."""
        return name if self._launch is None else str(self._launch.device(name))

    def device(self, name: str, method: "Method") -> str:
        """Where the model is loaded, by the name in --device.

        Several processes load it on the host, from where each takes its part to its device. So does
        one whose device is to hold it in 4 bits alone.
        """
        return name if self._launch is None and method != "qlora" else "cpu"

    def processes(self, device: str) -> "Processes":
        """Meet the other processes, on the device of this name."""
        from palikit.loading import pick_device
        from palikit.training.processes import OneProcess

        if self._launch is None:
            return OneProcess(pick_device(device))
        own: torch.device = self._launch.device(device)
        met = self._launch.processes(own)
        # After a failure others may never answer the farewell.
        self._stack.push(lambda kind, *_: None if kind else met.close())
        return met

    def command(self, arguments: list[str]) -> str:
        """The command line that starts as many processes with these arguments."""
        if self._launch is None:
            return shlex.join(["palikit", *arguments])
        number = str(self._launch.local_count)
        start = ["torchrun", "--nproc-per-node", number, "-m", "palikit"]
        return shlex.join([*start, *arguments])


@contextmanager
def together(lost: str = TRAINING_LOST) -> Iterator[Together]:
    """The processes that torchrun started, or this one alone.

    Inside, all but the first process are silent. Of a failure, the first one that knows it tells.

    Args:
        lost: said where a process ends without a word: what ends with it, and how to go on.
    """
    if not _is_one_of_several():
        with ExitStack() as stack:
            yield Together(None, stack)
        return
    from palikit.training.launch import meet

    signal.signal(signal.SIGTERM, _end_soon)
    launch = meet()
    try:
        with ExitStack() as stack:
            if launch.rank:
                nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
                stack.enter_context(redirect_stdout(nowhere))
                stack.enter_context(redirect_stderr(nowhere))
            yield Together(launch, stack)
    except PaliKitError as error:
        if _is_mine_to_tell(launch, error):
            raise
        raise click.exceptions.Exit(2) from None
    except KeyboardInterrupt:
        if launch.is_first_to_say("interrupted"):
            raise
        raise click.exceptions.Exit(INTERRUPTED) from None
    except Exception as error:
        _tell_if_lost(launch, error, lost)
        raise


def _is_one_of_several() -> bool:
    """By what torchrun sets, or whoever starts processes in its place."""
    is_started = os.environ.keys() >= {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
    return is_started and int(os.environ["WORLD_SIZE"]) > 1


def _end_soon(number: int, _frame: FrameType | None) -> None:
    """SIGTERM, outside of the training: torchrun sends it when another process has ended.

    This process may be about to say so.
    """
    timer = threading.Timer(_LAST_WORDS_S, os._exit, (128 + number,))
    timer.daemon = True
    timer.start()


def _is_mine_to_tell(launch: "Launch", error: PaliKitError) -> bool:
    from palikit.training.distributed import FollowedError

    return not isinstance(error, FollowedError) and launch.is_first_to_say(str(error))


def _tell_if_lost(launch: "Launch", error: Exception, lost: str) -> None:
    """Of processes whose connection broke one says so, unless the lost one told why."""
    from palikit.training.launch import is_lost_connection

    if not is_lost_connection(error):
        launch.is_first_to_say(str(error))  # as the interpreter does
        return
    if not launch.has_anyone_told() and launch.is_first_to_say("lost"):
        remark(f"error: one of the {launch.count} processes ended without a word, and {lost}")
    raise click.exceptions.Exit(2) from None
