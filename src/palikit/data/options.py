"""What a person chooses when a data set becomes training rows. Nothing heavy is imported here."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from palikit.errors import InputError
from palikit.options import option

Format: TypeAlias = Literal[
    "auto",
    "jsonl",
    "coco",
    "voc",
    "yolo",
    "csv",
    "label-studio",
    "instance-labels",
    "huggingface",
]
"""What a data set can be written in; see docs/data.md for each."""

DataTask: TypeAlias = Literal["detect", "segment", "caption", "vqa", "ocr"]
PromptClasses: TypeAlias = Literal["all", "present", "one"]
ObjectOrder: TypeAlias = Literal["raster", "random"]
Layout: TypeAlias = Literal["jsonl", "coco"]

OBJECT_TASKS = ("detect", "segment")
"""Tasks whose suffix names objects."""


@dataclass(frozen=True)
class RenderOptions:
    """How pictures with their labels become rows of prefix and suffix.

    Raises:
        InputError: a value out of range, or two that contradict each other.
    """

    task: DataTask = option("detect", "What the model is to learn.")
    prompt_classes: PromptClasses = option(
        "all",
        "Classes in the prompt of detect and segment: all; those present and some that are absent; "
        "or one, with a row for each.",
    )
    negatives: int = option(
        2, "Absent classes, drawn at random, that `present` and `one` ask for besides."
    )
    object_order: ObjectOrder = option(
        "raster",
        "Objects of a suffix from top to bottom and left to right, or shuffled each time a row "
        "is trained.",
    )
    empty: Literal["keep", "drop"] = option(
        "keep",
        "Pictures where nothing is to be found: keep them, with an empty suffix, or drop them.",
    )
    language: str = option("en", "Language code in the prompts of caption and vqa.")
    prefix: str | None = option(
        None, "One prompt for every row, instead of the one that the task or the data set gives."
    )
    classes: str | None = option(
        None,
        'Only these classes, in this order: "cat ; dog". Others are left out of the prompts and '
        "of the suffixes.",
    )
    rename: tuple[tuple[str, str], ...] = option(
        (), "Old and new names of classes; two classes given one name become one class."
    )
    clip: bool = option(
        default=False, doc="Cut boxes at the picture's edge instead of refusing those beyond it."
    )
    difficult: bool = option(
        default=False, doc="Train on the objects that Pascal VOC marks as difficult, too."
    )
    images: str | None = option(
        None, "Folder of the pictures, where they do not lie where the format has them."
    )
    seed: int = option(0, "Seed of everything drawn at random.")

    def __post_init__(self) -> None:
        if self.negatives < 0:
            raise InputError(f"--negatives is {self.negatives}: it must be 0 or more")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"--seed is {self.seed}: it must be between 0 and 2**63 - 1")
        if self.prefix is not None and self.prompt_classes != "all":
            raise InputError(
                f"--prefix is {self.prefix!r} and --prompt-classes is {self.prompt_classes}: one "
                "prompt for all rows cannot name each row's own classes; give one of them"
            )


@dataclass(frozen=True)
class ConvertOptions:
    """Where a data set goes, and in what parts."""

    to: Layout = option("jsonl", "What to write: rows for training, or COCO.")
    split: str | None = option(
        None,
        "Divide a data set that has no splits: by shares, train=0.8,val=0.1,test=0.1, or by lists "
        "of pictures, train=train.txt,val=val.txt.",
    )
    crop: int | None = option(
        None,
        "Cut each picture evenly into tiles of at most this many pixels a side, for many small "
        "objects; an object stays where at least half of it lies.",
    )
    copy: bool = option(
        default=False, doc="Copy the pictures to DST/images instead of naming where they lie."
    )
    overwrite: bool = option(default=False, doc="Replace files that exist.")
