"""Many inputs over many machines: Ray Data, with a model in each of its workers.

    sources -> rows of names and addresses -> workers, each with a model -> records, in order

What travels are paths, addresses and records: every machine must see the pictures under the paths
given, and the model under its name. Answers are those of one process, in the order of the inputs.
"""

import json
import logging
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from palikit.batch.run import answer_each
from palikit.batch.sources import Failure, Source
from palikit.errors import InputError, MissingExtraError
from palikit.options import GenerationOptions, LoadOptions
from palikit.prediction import Prediction
from palikit.records import prediction_from_dict
from palikit.tasks import Task

BATCHES_AT_ONCE = 4
"""Batches of the model that a worker is handed together, so that pictures of the next are decoded
while it works on one."""


@dataclass(frozen=True)
class Work:
    """What every worker does.

    Attributes:
        model: name of the model that each loads.
        loading: how.
        task: put to every input.
        generation: how text is generated.
        batch_size: inputs that go through the model together.
        frames: see `open_source`.
    """

    model: str
    loading: LoadOptions
    task: Task
    generation: GenerationOptions
    batch_size: int
    frames: int | None = None


class Worker:
    """One process with a model; Ray makes it and calls it."""

    def __init__(self, work: Work) -> None:
        from palikit.loading import load_with

        self._work = work
        self._predictor = load_with(work.model, work.loading)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """A column of sources as JSON -> the same column, and one of records as JSON."""
        sources = [_source(text) for text in batch["source"]]
        work = self._work
        answers = answer_each(
            self._predictor,
            sources,
            [lambda _width, _height: work.task],
            work.generation,
            batch_size=work.batch_size,
            frames=work.frames,
        )
        return {"source": list(batch["source"]), "record": [_told(each) for each in answers]}


def answer_over_ray(
    work: Work, sources: Sequence[Source], workers: int
) -> Generator[Prediction[Any] | Failure]:
    """As `answer_each`, by as many workers; a GPU for each where the cluster has any.

    The cluster is that of RAY_ADDRESS, or one of this machine alone.

    Raises:
        InputError: a source is no path or address; there are fewer processors or GPUs than workers.
        MissingExtraError: Ray is not installed.
    """
    rows = [{"source": _json_of(source)} for source in sources]
    ray = started()
    found = ray.cluster_resources()
    _check_processors(found.get("CPU", 0), workers)
    num_gpus = gpus_of_each(work.loading.device, found.get("GPU", 0), workers)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    rows_at_once = work.batch_size * BATCHES_AT_ONCE
    blocks = max(1, -(-len(rows) // rows_at_once))
    asked = ray.data.from_items(rows, override_num_blocks=blocks)
    answered = asked.map_batches(
        Worker,
        fn_constructor_args=(work,),
        batch_size=rows_at_once,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_gpus=num_gpus,
    )
    for row in answered.iter_rows():
        yield _answer(str(row["record"]))


def started() -> Any:
    """Ray's module, connected to the cluster of RAY_ADDRESS, or to one of this machine.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError(str(error.name), "ray", "work over Ray") from None
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    return ray


def _check_processors(found: float, workers: int) -> None:
    if found < workers:
        raise InputError(
            f"{workers} workers need a processor each and the cluster has {found:g}: give "
            f"--workers {max(1, int(found))}"
        )


def gpus_of_each(device: str, found: float, workers: int) -> float:
    """GPUs that each of some workers takes of those found: one, or none.

    Raises:
        InputError: there are fewer than workers.
    """
    if device == "cpu" or (device == "auto" and not found):
        return 0
    if found < workers:
        raise InputError(
            f"{workers} workers need a GPU each and the cluster has {found:g}: choose at most "
            f"{max(1, int(found))}, or --device cpu"
        )
    return 1


def _json_of(source: Source) -> str:
    if any(isinstance(part, bytes) for part in source.parts):
        raise InputError("standard input cannot be read by Ray's workers: give a path or address")
    return json.dumps([source.name, *source.parts])


def _source(text: str) -> Source:
    name, *parts = json.loads(text)
    return Source(name, tuple(parts))


def _told(answer: Prediction[Any] | Failure) -> str:
    if isinstance(answer, Failure):
        return json.dumps({"failed": answer.name, "error": str(answer.error)})
    return json.dumps(answer.to_dict())


def _answer(text: str) -> Prediction[Any] | Failure:
    record = json.loads(text)
    if "failed" in record:
        return Failure(record["failed"], InputError(record["error"]))
    return prediction_from_dict(record)
