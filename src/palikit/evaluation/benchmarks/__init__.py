"""Published benchmarks as recipes: data, prompt, decoding, metric, published scores. No torch."""

from difflib import get_close_matches

from palikit.errors import InputError
from palikit.evaluation.benchmarks.captions import CAPTIONS
from palikit.evaluation.benchmarks.detection import DETECTION
from palikit.evaluation.benchmarks.documents import DOCUMENTS
from palikit.evaluation.benchmarks.questions import QUESTIONS
from palikit.evaluation.benchmarks.reading import READING
from palikit.evaluation.benchmarks.row import (
    Answered,
    Benchmark,
    Clip,
    Example,
    Published,
    Stage,
    SubmissionFormat,
)
from palikit.evaluation.benchmarks.segmentation import SEGMENTATION
from palikit.evaluation.benchmarks.statements import STATEMENTS
from palikit.evaluation.benchmarks.video import VIDEO

__all__ = [
    "BENCHMARKS",
    "Answered",
    "Benchmark",
    "Clip",
    "Example",
    "Published",
    "Stage",
    "SubmissionFormat",
    "benchmark_named",
]

BENCHMARKS: tuple[Benchmark, ...] = (
    *CAPTIONS, *QUESTIONS, *STATEMENTS, *DOCUMENTS, *SEGMENTATION, *VIDEO, *READING, *DETECTION,
)  # fmt: skip


def benchmark_named(name: str) -> Benchmark:
    """The benchmark of that name; underscores stand for hyphens.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    wanted = name.strip().lower().replace("_", "-")
    names = [benchmark.name for benchmark in BENCHMARKS]
    if wanted in names:
        return BENCHMARKS[names.index(wanted)]
    near = get_close_matches(wanted, names, n=1)
    advice = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"there is no benchmark {name!r}: {advice}`palikit benchmarks` lists them")
