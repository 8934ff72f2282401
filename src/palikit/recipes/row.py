"""What a recipe is, and how a row of big_vision's transfers is written.

All transfers share: AdamW with b2 .999 and clipping at 1, a cosine to 0 after a warm-up of 5 % of
the steps, decay on the matrices of image tower and projection alone, no soft cap: the defaults of
`TrainOptions`. Each setting is the best of the authors' sweep at its resolution, which is not
always the default of the configuration file. Results are those of PaliGemma 3B.

Sources: google-research/big_vision, big_vision/configs/proj/paligemma/transfers/, and the report's
table 1 and appendix J (arXiv 2407.07726).
"""

from dataclasses import dataclass
from typing import Literal

from palikit.data.options import DataTask
from palikit.train_options import LoraOptions, LossOptions, TrainOptions

ModelSize = Literal["paligemma-3b", "paligemma2-3b", "paligemma2-10b", "paligemma2-28b"]


@dataclass(frozen=True)
class Setting:
    """The hyper-parameters of a recipe at one resolution; None where none was published.

    Attributes:
        resolution: picture side in pixels.
        epochs: how many times every example is seen; None where `steps` counts instead.
        batch_size: examples a step.
        learning_rate: the highest.
        weight_decay: as `TrainOptions.weight_decay` counts it, not multiplied by the rate.
        label_smoothing, dropout: shares.
        freeze_image: whether image tower and projection stay as they are.
        steps: updates, instead of epochs.
        result: what was published for it, in the recipe's metric.
    """

    resolution: int
    epochs: float | None
    batch_size: int | None
    learning_rate: float | None
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    dropout: float = 0.0
    freeze_image: bool = False
    steps: int | None = None
    result: str = ""


@dataclass(frozen=True)
class Recipe:
    """One way to fine-tune, and where it comes from.

    Attributes:
        name: what `--recipe` takes.
        what: the task in a few words.
        task: what its rows are about.
        data: the data and its splits, training first.
        prefix, suffix: of a row; {...} stands for a part of the data.
        text_length: tokens of prompt and answer together, and at most of an answer; None where
            none was published.
        metric: of the published results.
        settings: by resolution; empty where nothing is trained or nothing was published.
        source: where it is published.
        model: what it was published for; the learning rate of others is scaled from it.
        beams: of the decoding; 1 is greedy.
        pictures: of each example; frames of a video count as pictures.
        train, loss, lora: what all its settings share.
        note: what else there is to know.
    """

    name: str
    what: str
    task: DataTask
    data: str
    prefix: str
    suffix: str
    text_length: int | None
    metric: str
    settings: tuple[Setting, ...]
    source: str
    model: ModelSize = "paligemma-3b"
    beams: int = 1
    pictures: int = 1
    train: TrainOptions = TrainOptions()
    loss: LossOptions = LossOptions()
    lora: LoraOptions = LoraOptions()
    note: str = ""

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Picture sides with a setting, in pixels."""
        return tuple(setting.resolution for setting in self.settings)


def at(
    results: dict[int, str],
    epochs: float,
    batch_size: int,
    learning_rate: float,
    weight_decay: float = 0.0,
    *,
    label_smoothing: float = 0.0,
    dropout: float = 0.0,
    freeze_image: bool = False,
) -> tuple[Setting, ...]:
    """The same hyper-parameters at several resolutions."""
    return tuple(
        Setting(
            resolution,
            epochs,
            batch_size,
            learning_rate,
            weight_decay,
            label_smoothing,
            dropout,
            freeze_image,
            result=result,
        )
        for resolution, result in results.items()
    )


def transfer(
    file: str,
    what: str,
    task: DataTask,
    data: str,
    prefix: str,
    suffix: str,
    text_length: int,
    metric: str,
    settings: tuple[Setting, ...],
    *,
    beams: int = 1,
    pictures: int = 1,
    note: str = "",
) -> Recipe:
    """A row of big_vision's transfers; `file` is the name of its configuration."""
    return Recipe(
        file.replace("_", "-"),
        what,
        task,
        data,
        prefix,
        suffix,
        text_length,
        metric,
        settings,
        f"big_vision transfers/{file}.py; arXiv 2407.07726, table 1 and appendix J",
        beams=beams,
        pictures=pictures,
        train=TrainOptions(max_text_tokens=text_length),
        note=note,
    )
