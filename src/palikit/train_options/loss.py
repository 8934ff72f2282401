"""The options of the loss."""

from dataclasses import dataclass
from typing import Literal, get_args

from palikit.errors import InputError
from palikit.options import option

LossMean = Literal["example", "token"]
"""Over what the loss of a batch is averaged; see `LossOptions.mean`."""


@dataclass(frozen=True)
class LossOptions:
    """How the loss of a batch is made; the defaults are those of big_vision.

    The loss of `transformers` is LossOptions(mean="token", softcap=True, padding_rows=True).
    """

    mean: LossMean = option(
        "example",
        "example: a short answer counts as much as a long one; token: one mean over all tokens of "
        "the batch.",
    )
    label_smoothing: float = option(
        0.0,
        "Share of the probability that the target gives to all other tokens.",
    )
    location_smoothing: float = option(
        0.0,
        "Standard deviation, in location tokens (1/1023 of a side), to which the target of a box's "
        "edge is spread: an edge nearly right is then nearly right to the loss too. 0 for none.",
    )
    softcap: bool = option(
        default=False, doc="Cap the logits as in generation, where the model has a cap."
    )
    padding_rows: bool = option(
        default=False,
        doc="Let the table's rows behind the last real token take part in the softmax.",
    )
    max_chunk_mib: int = option(64, "Largest block of float32 logits held at once, in MiB.")

    def __post_init__(self) -> None:
        if self.mean not in get_args(LossMean):
            raise InputError(f"mean is {self.mean!r}: it must be 'example' or 'token'")
        smoothing = self.label_smoothing
        if not isinstance(smoothing, int | float) or not 0 <= smoothing < 1:
            raise InputError(f"label_smoothing is {smoothing!r}: it must be at least 0 and below 1")
        spread = self.location_smoothing
        if not isinstance(spread, int | float) or not 0 <= spread <= 100:
            raise InputError(f"location_smoothing is {spread!r}: it must be from 0 to 100")
        if type(self.max_chunk_mib) is not int or self.max_chunk_mib < 1:
            raise InputError(
                f"max_chunk_mib is {self.max_chunk_mib!r}: it must be a whole number, 1 or more"
            )
