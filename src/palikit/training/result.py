"""What a run tells while it goes, and at its end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from palikit.errors import InputError
from palikit.model.paligemma import PaliGemma
from palikit.scores import Scores
from palikit.train_options import TrainOptions

Ending = Literal["finished", "early", "interrupted"]
"""Whether all steps were done, validation got no better, or the user stopped the run."""

Evaluate = Callable[[PaliGemma, Path], Scores]
"""Measures a model in evaluation mode; the folder, which exists, is for its page of pictures."""


@dataclass(frozen=True)
class StepFigures:
    """One step as it is logged.

    Attributes:
        step: how many are done, this one included.
        steps: of the whole run.
        loss: of the whole batch.
        learning_rate: before multipliers.
        gradient_norm: before clipping.
        tokens: of text in the batch, without padding.
        pictures_per_s: since the step before.
        memory_mib: largest use so far, of the GPU or else of this process; None where unknown.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    pictures_per_s: float
    memory_mib: float | None


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes:
        ending: see `Ending`.
        output: folder of the run.
        step: how many steps were done.
        best: the finished model or adapter; None where there is none yet.
        best_step: the step it is from, 0 for none.
        score: name and value of the figure by which it was chosen; None without a validation.
        loss: of the last step; None where none was done now.
    """

    ending: Ending
    output: Path
    step: int
    best: Path | None
    best_step: int
    score: tuple[str, float] | None
    loss: float | None


@dataclass(frozen=True)
class Origin:
    """Where a model came from: what the finished one needs beside its weights.

    Attributes:
        name: what the user called it, a folder or a name on the Hub; None where nobody said.
        revision: of a name on the Hub.
        tokenizer_file: copied beside the finished weights, so that they load.
        mask_codec_file: copied there too.
        is_adapter: whether `name` is an adapter, which the model was loaded with.
    """

    name: str | None = None
    tokenizer_file: Path | None = None
    mask_codec_file: Path | None = None
    is_adapter: bool = False
    revision: str | None = None

    @property
    def place(self) -> str | None:
        """The name and its revision in one, as `palikit.load` takes them."""
        return self.name if self.revision is None else f"{self.name}@{self.revision}"

    def check(self, options: TrainOptions) -> None:
        """Refuse to train an adapter on what is one itself: its base could not be named.

        Raises:
            InputError: it is so.
        """
        if self.is_adapter and options.method in ("lora", "qlora"):
            raise InputError(
                f"{self.name} is an adapter, and adapters are trained on a whole model: `palikit "
                "merge` it into one first"
            )
