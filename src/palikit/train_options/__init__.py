"""Every option of training, once: frozen, documented, validated. No torch here."""

from palikit.train_options.lora import LoraOptions, ProjectorTraining
from palikit.train_options.loss import LossMean, LossOptions
from palikit.train_options.run import (
    DECAYING,
    Augment,
    Method,
    OptimizerName,
    Precision,
    Schedule,
    TrainOptions,
    idle_options,
)

__all__ = [
    "DECAYING",
    "Augment",
    "LoraOptions",
    "LossMean",
    "LossOptions",
    "Method",
    "OptimizerName",
    "Precision",
    "ProjectorTraining",
    "Schedule",
    "TrainOptions",
    "idle_options",
]
