"""Which published score a model's figure stands beside."""

from dataclasses import dataclass

from palikit.config import PaliGemmaConfig
from palikit.evaluation.benchmarks.row import Benchmark, Published
from palikit.evaluation.exam import Exam
from palikit.evaluation.metrics.score import Score
from palikit.published import VARIANTS, find_published
from palikit.recipes.row import ModelSize

_SIZES: dict[tuple[str, str], ModelSize] = {
    ("PaliGemma", "3B"): "paligemma-3b",
    ("PaliGemma 2", "3B"): "paligemma2-3b",
    ("PaliGemma 2", "10B"): "paligemma2-10b",
    ("PaliGemma 2", "28B"): "paligemma2-28b",
}


@dataclass(frozen=True)
class Beside:
    """A published score of the same size and picture side, and how far the figure is from it.

    Attributes:
        published: the score.
        value: the figure of this evaluation, in the unit of the tables.
        difference: `value` less the published one.
    """

    published: Published
    value: float
    difference: float


def size_of(config: PaliGemmaConfig) -> ModelSize | None:
    """Which of the released sizes a model has, by its decoder; None for none of them."""
    text = config.text_config
    shape = (text.model_type, text.hidden_size, text.num_hidden_layers)
    for family, size, known in VARIANTS:
        if (known.model_type, known.hidden_size, known.num_hidden_layers) == shape:
            return _SIZES[family, size]
    return None


def beside(exam: Exam, score: Score, size: ModelSize | None, side: int) -> tuple[Beside, ...]:
    """The published scores of this size at this picture side, of the split that was measured."""
    benchmark = exam.benchmark
    if benchmark is None or size is None:
        return ()
    found = []
    for each in benchmark.published:
        is_same = (each.model, each.resolution) == (size, side)
        if not is_same or (each.split or benchmark.splits[0]) != exam.split:
            continue
        share = dict(score.parts).get(each.part) if each.part else score.value
        if share is not None:
            value = exam.printed(share)
            found.append(Beside(each, value, value - each.value))
    return tuple(found)


def remarks_on(exam: Exam, name: str, size: ModelSize | None, side: int) -> list[str]:
    """What to know before a figure is compared with a published one."""
    benchmark = exam.benchmark
    if benchmark is None:
        return []
    said = [benchmark.training_needed]
    rows = [each for each in benchmark.published if each.model == size]
    if size is None:
        said.append(f"{name} has none of the released sizes: no published score is its own")
    elif not rows:
        said.append(f"there is no published score of {size} on {benchmark.title}")
    elif side not in {each.resolution for each in rows}:
        there = ", ".join(map(str, sorted({each.resolution for each in rows})))
        said.append(f"{name} takes {side} px, and the published scores of {size} are at {there} px")
    release = find_published(name.partition("@")[0])
    if release is not None and release.variant == "pt":
        said.append(
            f"{name} is pretrained, to be fine-tuned: published scores are of checkpoints that were"
        )
    if exam.limit is not None and exam.limit < len(exam.all_ids):
        said.append(
            f"{len(exam.items)} of {len(exam.all_ids)} questions, drawn at random: published "
            "scores are of all"
        )
    return said + _other_split(exam, benchmark)


def _other_split(exam: Exam, benchmark: Benchmark) -> list[str]:
    splits = {each.split or benchmark.splits[0] for each in benchmark.published}
    if not splits or exam.split in splits:
        return []
    return [f"published scores are of {', '.join(sorted(splits))}, and this is {exam.split}"]
