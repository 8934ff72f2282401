"""What is asked of a model, and how its answers are scored: a benchmark's split, or own data.

No torch here: finished answers are scored without it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np

from palikit import tasks
from palikit.errors import InputError
from palikit.evaluation.benchmarks import judges
from palikit.evaluation.benchmarks.row import Answered, Benchmark, Example
from palikit.evaluation.metrics.objects import TrueObject
from palikit.evaluation.metrics.score import Score
from palikit.options import GenerationOptions, LoadOptions
from palikit.tasks import Task, TaskName
from palikit.vocab import MaskEdges

Truth: TypeAlias = Callable[[Answered], tuple[TrueObject, ...]]
"""The objects that are to be found, in pixels of the picture that was asked about."""

_OBJECTS = ("detect", "segment", "refer")


@dataclass(frozen=True)
class Item:
    """One question: an example, and the task that it is asked as."""

    example: Example
    task: Task


@dataclass(frozen=True)
class Exam:
    """Questions and their judge.

    Attributes:
        name: of the benchmark, or the task of own data.
        title: what it is called above a table.
        split: of the data.
        source: where they lie.
        items: the questions, in the order of the data.
        judge: all answers, in the order of `items` -> the figure.
        figure: its name.
        unit: how it is printed: "%" and "x100" 100 times, "" as it is.
        higher_is_better: whether a larger figure is the better one.
        generation: how answers are decoded.
        truth: the objects that are to be found, for drawing.
        benchmark: the recipe, where it is one.
        limit: how many questions were drawn out of all.
        all_ids: of the whole split, also what `limit` leaves out.
        value: the judge's figure alone, where interval and parts cost much more than it does.
    """

    name: str
    title: str
    split: str
    source: Path
    items: tuple[Item, ...]
    judge: Callable[[Sequence[Answered]], Score]
    figure: str
    unit: str
    higher_is_better: bool
    generation: GenerationOptions
    truth: Truth
    benchmark: Benchmark | None = None
    limit: int | None = None
    all_ids: frozenset[str] = field(default=frozenset(), repr=False)
    value: Callable[[Sequence[Answered]], float] | None = None

    def value_of(self, answered: Sequence[Answered]) -> float:
        """The figure of any answers, in the metric's own unit; raises InputError as the judge."""
        return self.judge(answered).value if self.value is None else self.value(answered)

    @property
    def is_secret(self) -> bool:
        """Whether no question has a reference: such answers only a server can score."""
        return not any(has_reference(item.example) for item in self.items)

    @property
    def has_outlines(self) -> bool:
        """Whether answers are outlines."""
        return any(item.task.name in ("segment", "refer") for item in self.items)

    def decoded(self, generation: GenerationOptions) -> Self:
        """The same questions, decoded in another way."""
        return replace(self, generation=generation)

    def printed(self, value: float) -> float:
        """A figure in the unit that the tables print."""
        return value if self.unit == "" else 100 * value


def has_reference(example: Example) -> bool:
    """Whether anything says what would be right."""
    truths = (example.objects, example.words)
    return bool(example.answers) or any(each is not None for each in truths)


def benchmark_exam(
    benchmark: Benchmark, folder: Path, split: str | None = None, limit: int | None = None
) -> Exam:
    """A split of a published benchmark, in its protocol.

    Args:
        benchmark: its recipe.
        folder: of the data.
        split: None takes the one that the published figures are of.
        limit: how many questions to draw; see `sampled`.

    Raises:
        InputError: data are missing or unusable, no such split, or only some questions have
            references.
    """
    chosen = split or benchmark.splits[0]
    examples = tuple(benchmark.read(folder, chosen))
    items = tuple(Item(each, _task(benchmark.task, each.prompt)) for each in examples)
    check_references(items, f"{benchmark.title} ({chosen})")
    return Exam(
        name=benchmark.name,
        title=benchmark.title,
        split=chosen,
        source=folder,
        items=sampled(items, limit, in_groups=benchmark.score is judges.pairs),
        judge=benchmark.score,
        figure=benchmark.figure,
        unit=benchmark.unit,
        higher_is_better=benchmark.higher_is_better,
        # As published: text is decoded freely, and read afterwards.
        generation=GenerationOptions(
            max_new_tokens=benchmark.max_new_tokens, num_beams=benchmark.beams, grammar=False
        ),
        truth=lambda answered: answered.example.objects or (),
        benchmark=benchmark,
        limit=limit,
        all_ids=frozenset(each.id for each in examples),
        value=judges.boxes_value if benchmark.score is judges.boxes else None,
    )


def mask_edges_of(benchmark: Benchmark) -> MaskEdges:
    """How outlines are pasted: for RefCOCO as its published evaluator does."""
    return "truncate" if benchmark.task == "refer" else "round"


def _task(name: TaskName, prompt: str) -> Task:
    """The benchmark's task with its prompt letter for letter."""
    if name == "refer":
        return Task(name, prompt, (prompt.strip(),))
    labels = tasks.task_from_prompt(prompt).labels if name in _OBJECTS else ()
    # One label in words of its own, such as "all classes", is none that an object has.
    return Task(name, prompt, labels if len(labels) > 1 else ())


def sampled(
    items: tuple[Item, ...], limit: int | None, *, in_groups: bool = False
) -> tuple[Item, ...]:
    """A random sample in the order of the data, the same each time; all where there are no more.

    The first ones would not do: many sets are sorted by kind.

    Args:
        items: all questions.
        limit: how many to draw; None for all.
        in_groups: draw whole groups, at least one, and no more questions than `limit` otherwise.

    Raises:
        InputError: `limit` is below 1.
    """
    if limit is None or limit >= len(items):
        return items
    if limit < 1:
        raise InputError(f"--limit is {limit}: it must be 1 or more")
    random = np.random.default_rng(0)
    if not in_groups:
        return tuple(items[place] for place in sorted(random.permutation(len(items))[:limit]))
    groups = list(dict.fromkeys(item.example.group for item in items))
    number = max(1, limit * len(groups) // len(items))
    chosen = {groups[place] for place in random.permutation(len(groups))[:number]}
    return tuple(item for item in items if item.example.group in chosen)


def check_references(items: Sequence[Item], title: str) -> None:
    """Refuse a set of which only a part can be scored.

    Raises:
        InputError: some questions have references and others have none.
    """
    without = [item.example for item in items if not has_reference(item.example)]
    if without and len(without) < len(items):
        first = without[0]
        raise InputError(
            f"{title}: {len(without)} of {len(items)} questions have no reference, the first is "
            f"{first.id} ({first.where or 'no place known'}): give each one, or take them out"
        )


def data_fingerprint(exam: Exam) -> str:
    """A digest of what is asked, of the references, and of the names and sizes of the files."""
    digest = hashlib.sha256()
    for item in exam.items:
        each = item.example
        record = [each.id, each.prompt, each.answers, each.group, list(map(repr, _truths(each)))]
        if isinstance(each.change, partial):  # such as the box that is drawn
            record.append(repr((each.change.args, each.change.keywords)))
        digest.update(json.dumps([record, list(map(list, _files(each)))]).encode())
    return digest.hexdigest()


def _truths(example: Example) -> Iterable[object]:
    return (*(example.objects or ()), *(example.words or ()))


def _files(example: Example) -> Iterable[tuple[str, int]]:
    sources = (*example.images, *([example.video.path] if example.video else []))
    for source in sources:
        if isinstance(source, str | Path):
            path = Path(source)
            yield path.name, path.stat().st_size if path.exists() else -1
        elif isinstance(source, bytes):
            yield hashlib.sha256(source).hexdigest(), len(source)


def identity_of(
    exam: Exam, model: str, fingerprint: str | None, loading: LoadOptions | None
) -> dict[str, Any]:
    """What tells one evaluation from another; the device and the folder of the data do not."""
    options = {} if loading is None else asdict(loading)
    options.pop("device", None)
    return {
        "exam": exam.name,
        "split": exam.split,
        "limit": exam.limit,
        "questions": len(exam.items),
        "data": data_fingerprint(exam),
        "model": model,
        "weights": fingerprint,
        "loading": options,
        "generation": asdict(exam.generation),
    }
