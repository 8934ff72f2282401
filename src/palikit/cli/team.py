"""Processes that answer together, each with a part of the model: `--tensor-parallel`.

The first process does what a single one would. The others ask the same in the same order and keep
nothing: what they compute is the sums that the first one needs.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from palikit.cli.finetune_processes import together
from palikit.cli.options import ParallelOptions
from palikit.errors import InputError
from palikit.options import GenerationOptions, LoadOptions

if TYPE_CHECKING:
    from palikit.batch import Source
    from palikit.predictor import Predictor
    from palikit.request import TaskFor

_LOST = "the answers with it: start the same command again"


class Team:
    """This process among those that share a model.

    Args:
        mesh: of all.
    """

    def __init__(self, mesh: Any) -> None:
        self._mesh = mesh
        self._is_told = False

    @property
    def is_first(self) -> bool:
        """Whether this is the process that reads and writes."""
        return int(self._mesh.get_rank()) == 0

    def say_todo(self, todo: "Sequence[Source]") -> None:
        """The first tells the others what is asked about; nothing ends them.

        Raises:
            InputError: a picture is not to be found by name.
        """
        from palikit.model.tensor_parallel import told_by_first

        if any(isinstance(part, bytes) for source in todo for part in source.parts):
            raise InputError(
                "standard input is one process's and --tensor-parallel needs the picture in each: "
                "give a file"
            )
        self._is_told = True
        told_by_first(json.dumps([[source.name, *source.parts] for source in todo]), self._mesh)

    def work_along(
        self,
        model: str,
        loading: LoadOptions,
        task_fors: "Sequence[TaskFor]",
        generation: GenerationOptions,
        *,
        batch_size: int | None,
        frames: int | None,
    ) -> None:
        """The whole work of a process that is not the first; all but `loading` as `answer_each`."""
        from palikit.batch import Source, answer_each
        from palikit.model.tensor_parallel import told_by_first

        listed = json.loads(told_by_first(None, self._mesh))
        todo = [Source(name, tuple(parts)) for name, *parts in listed]
        if not todo:
            return
        predictor = self.load(model, loading)
        for _ in answer_each(
            predictor, todo, task_fors, generation, batch_size=batch_size, frames=frames
        ):
            pass

    def load(self, model: str, loading: LoadOptions) -> "Predictor":
        """This process's part of the model; files are mapped, and only what is kept is read.

        Raises:
            ConfigError: the model cannot be cut in so many.
        """
        from palikit.cli.asking import load_predictor
        from palikit.model.tensor_parallel import cut_layers

        predictor = load_predictor(model, replace(loading, device="cpu"))
        on_gpu = self._mesh.device_type == "cuda"
        stored = predictor.stored_dtype
        if on_gpu and loading.dtype == "auto" and stored is not None:
            predictor.model.to(stored)  # on the CPU it may have been widened
        cut_layers(predictor.model, self._mesh)
        return predictor

    def end(self) -> None:
        """The work is done; others that still wait to be told of any go, too."""
        import torch.distributed as dist

        if self.is_first and not self._is_told:
            self.say_todo([])
        dist.destroy_process_group()


def met_team(parallel: ParallelOptions, loading: LoadOptions) -> Team | None:
    """Meet the other processes, which all have to call this; None where there are to be none.

    Raises:
        InputError: torchrun did not start as many, or the weights shall be held in fewer bits.
    """
    if parallel.tensor_parallel == 1:
        return None
    if loading.quantize is not None:
        raise InputError(
            "--quantize and --tensor-parallel do not go together: quantised weights cannot be cut"
        )
    from palikit.model.tensor_parallel import join_processes

    return Team(join_processes(parallel.tensor_parallel, loading.device))


@contextmanager
def team_of(parallel: ParallelOptions, loading: LoadOptions) -> Iterator[Team | None]:
    """The processes that share a model; None where it is whole in this one.

    Inside, all but the first are silent, and an error is told once.

    Raises:
        InputError: as of `met_team`.
    """
    if parallel.tensor_parallel == 1:
        yield None
        return
    with together(_LOST):
        team = met_team(parallel, loading)
        yield team
        if team is not None:
            team.end()
