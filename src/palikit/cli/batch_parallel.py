"""Processes that answer a batch together, each with a part of the model.

The first process does what a single one would. The others ask the same in the same order and keep
nothing: what they compute is the sums that the first one needs.
"""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from palikit.cli.batch_options import BatchOptions
from palikit.errors import InputError
from palikit.options import GenerationOptions, LoadOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palikit.batch import Source
    from palikit.predictor import Predictor


@dataclass(frozen=True)
class Team:
    """This process among those that share a model.

    Attributes:
        mesh: of all.
        options: of the command, which all were given.
        loading: how the model is loaded.
    """

    mesh: Any
    options: BatchOptions
    loading: LoadOptions

    @classmethod
    def gather(cls, options: BatchOptions, loading: LoadOptions) -> "Team":
        """Meet the other processes, which all have to call this.

        Raises:
            InputError: torchrun did not start as many as `tensor_parallel` says, or the weights
                shall be held in fewer bits.
        """
        if loading.quantize is not None:
            raise InputError(
                "--quantize and --tensor-parallel do not go together: quantised weights cannot be "
                "cut"
            )
        from palikit.model.tensor_parallel import join_processes

        return cls(join_processes(options.tensor_parallel, loading.device), options, loading)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that reads and writes."""
        return int(self.mesh.get_rank()) == 0

    def say_todo(self, todo: "Sequence[Source]") -> None:
        """The first tells the others what is asked about; nothing ends them."""
        from palikit.model.tensor_parallel import told_by_first

        told_by_first(json.dumps([[source.name, *source.parts] for source in todo]), self.mesh)

    def work_along(self, model: str, task: Any, generation: GenerationOptions) -> int:
        """The whole work of a process that is not the first; its exit code."""
        from palikit.batch import Source, answer_each
        from palikit.model.tensor_parallel import told_by_first

        listed = json.loads(told_by_first(None, self.mesh))
        todo = [Source(name, tuple(parts)) for name, *parts in listed]
        if not todo:
            return 0
        answers = answer_each(
            self.load(model),
            todo,
            [lambda _width, _height: task],
            generation,
            batch_size=self.options.batch_size,
            frames=self.options.frames,
        )
        for _ in answers:
            pass
        return 0

    def load(self, model: str) -> "Predictor":
        """This process's part of the model; files are mapped, and only what is kept is read."""
        from palikit.cli.asking import load_predictor
        from palikit.model.tensor_parallel import cut_layers

        predictor = load_predictor(model, replace(self.loading, device="cpu"))
        on_gpu = self.mesh.device_type == "cuda"
        stored = predictor.stored_dtype
        if on_gpu and self.loading.dtype == "auto" and stored is not None:
            predictor.model.to(stored)  # on the CPU it may have been widened
        cut_layers(predictor.model, self.mesh)
        return predictor
