"""What a validation found: figures, which of them decides, and a page of pictures. No torch."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from palikit.errors import InputError

_BOXES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "recall", "false_reports")
_MASKS = ("quality", "mask_iou", "mask_recall", "mask_precision", "mask_ap")
_FIGURES = {
    "detect": (*_BOXES, "unparsed", "cut_off"),
    "segment": (*_MASKS, *_BOXES, "unparsed", "cut_off"),
    "caption": ("similarity", "exact", "cut_off"),
    "vqa": ("exact", "similarity", "cut_off"),
    "ocr": ("cer", "wer", "exact", "cut_off"),
}
_OF_CLASSES = ("ap", "ap50")
_LESS_IS_BETTER = ("cer", "wer", "false_reports", "unparsed", "cut_off")
_SHOWN = 3
"""Figures of a summary beside the one that decides."""


@dataclass(frozen=True)
class Scores:
    """The figures of one validation.

    Attributes:
        figures: names and values, in the order they are shown.
        main: the name of the figure that decides which model is best.
        higher_is_better: whether the larger value of `main` is the better one.
        page: an HTML page of examples, where one was written.
    """

    figures: tuple[tuple[str, float], ...]
    main: str
    higher_is_better: bool = True
    page: Path | None = None

    def __post_init__(self) -> None:
        self.figure(self.main)

    def figure(self, name: str) -> float:
        """The value of one figure.

        Raises:
            InputError: there is none of that name.
        """
        for known, value in self.figures:
            if known == name:
                return value
        names = ", ".join(known for known, _ in self.figures) or "none"
        raise InputError(f"validation has no figure {name!r}: its figures are {names}")

    def summary(self, deciding: str) -> str:
        """One figure and the first few others, those of single classes apart: "ap 0.51, ap50 0.8".

        Args:
            deciding: name of the figure that comes first.
        """
        others = [pair for pair in self.figures if pair[0] != deciding and "/" not in pair[0]]
        shown = [(deciding, self.figure(deciding)), *others[:_SHOWN]]
        return ", ".join(f"{name} {value:.4g}" for name, value in shown)


def figures_of(task: str) -> tuple[str, ...]:
    """The figures that a validation of a task may have, but those of single classes."""
    return _FIGURES[task]


def check_metric(metric: str, tasks: Sequence[str], labels: Collection[str] | None = None) -> None:
    """Refuse what a validation will not measure, or would take the wrong way round.

    Args:
        metric: as `TrainOptions.metric`: a figure, with a minus before it where less is better.
        tasks: that may be measured.
        labels: class names of the validation set; None where they are not known yet.

    Raises:
        InputError: there is no such figure, or it needs a minus, or none.
    """
    name = metric.removeprefix("-")
    kind, _, label = name.partition("/")
    known = list(dict.fromkeys(each for task in tasks for each in figures_of(task)))
    if kind in _OF_CLASSES and label and set(tasks) & {"detect", "segment"}:
        if labels is not None and label not in labels:
            raise InputError(
                f"metric is {metric!r} and no row of the validation is about {label!r}: its "
                f"classes are {', '.join(sorted(labels))}"
            )
    elif name not in known:
        of_classes = ", ap/CLASS, ap50/CLASS" if "ap" in known else ""
        raise InputError(
            f"metric is {metric!r}, which a validation of {' or '.join(tasks)} does not measure: "
            f"its figures are {', '.join(known)}{of_classes}"
        )
    wanted = f"-{name}" if name in _LESS_IS_BETTER else name
    if metric != wanted:
        better = "less" if name in _LESS_IS_BETTER else "more"
        raise InputError(f"metric is {metric!r}, and {better} of it is better: give {wanted}")
