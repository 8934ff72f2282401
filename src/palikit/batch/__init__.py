"""Many inputs, one task: what they are, how they are answered, and how nothing finished is lost.

No torch here: whatever answers requests as `Predictor.predict` does can be run.
"""

from palikit.batch.early import EarlyInputs
from palikit.batch.finished import finished_inputs
from palikit.batch.journal import OutputFile
from palikit.batch.question import Question
from palikit.batch.run import Answerer, answer_each
from palikit.batch.settings import Settings
from palikit.batch.shards import Asked, Shards
from palikit.batch.sources import (
    Failure,
    Found,
    Source,
    discover,
    has_known_suffix,
    input_key,
    open_source,
)

__all__ = [
    "Answerer",
    "Asked",
    "EarlyInputs",
    "Failure",
    "Found",
    "OutputFile",
    "Question",
    "Settings",
    "Shards",
    "Source",
    "answer_each",
    "discover",
    "finished_inputs",
    "has_known_suffix",
    "input_key",
    "open_source",
]
