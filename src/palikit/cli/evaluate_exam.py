"""What `palikit evaluate` measures: from its options to an exam."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from palikit.cli.options import is_typed, read_options
from palikit.data.options import DataTask, RenderOptions
from palikit.errors import InputError
from palikit.options import GenerationOptions, LoadOptions, option

if TYPE_CHECKING:
    from palikit.cli.data_model import DataModel
    from palikit.evaluation.exam import Exam


@dataclass(frozen=True)
class DecodingOptions:
    """How answers are decoded, where it is not to be as published."""

    max_new_tokens: int | None = option(
        None,
        "Longest answer in tokens; by default as published, and for own data half as much again as "
        "the longest true one.",
    )
    num_beams: int | None = option(None, "Beams; by default as published, and 1 for own data.")
    no_grammar: bool = option(
        default=False,
        doc="Let detect and segment write anything on own data too, as on benchmarks.",
    )

    def applied_to(self, generation: GenerationOptions) -> GenerationOptions:
        """What was decided, over what the exam decodes with. Raises InputError as that does."""
        given = {"max_new_tokens": self.max_new_tokens, "num_beams": self.num_beams}
        known = {name: value for name, value in given.items() if value is not None}
        grammar = generation.grammar and not self.no_grammar
        return GenerationOptions(**{**asdict(generation), **known, "grammar": grammar})


@dataclass(frozen=True)
class Asked:
    """The options that say what is measured.

    Attributes:
        benchmark: its name; None for own data.
        data: file or folder.
        task: of own data; None where the rows say it.
        split: None for the usual one.
        limit: questions that are drawn; None for all.
        render: how records become rows.
        judgements: file of what people said of a benchmark's captions; None for none.
    """

    benchmark: str | None
    data: str
    task: DataTask | None
    split: str | None
    limit: int | None
    render: RenderOptions
    judgements: str | None = None


def asked_for(
    ctx: click.Context,
    benchmark: str | None,
    data: str | None,
    task: DataTask | None,
    split: str | None,
    limit: int | None,
    judgements: str | None = None,
) -> Asked:
    """Check what needs no data.

    Raises:
        InputError: options are missing or do not go together, or there is no such benchmark.
    """
    if benchmark is not None:
        from palikit.evaluation.benchmarks import benchmark_named

        known = benchmark_named(benchmark)
        if task is not None:
            raise InputError("--benchmark and --task do not go together: it has a task of its own")
        if data is None:
            raise InputError(f"--data is missing: the folder of {known.title}. {known.layout}")
    if data is None:
        raise InputError("--data is missing: give a file or folder with what is to be measured on")
    if benchmark is None and not Path(data).exists():
        raise InputError(f"there is no {data}: give a folder or file of a data set with --data")
    if limit is not None and limit < 1:
        raise InputError(f"--limit is {limit}: it must be 1 or more")
    render = read_options(ctx, RenderOptions)
    return Asked(benchmark, data, task, split, limit, render, judgements)


def loading_of(ctx: click.Context, asked: Asked) -> LoadOptions:
    """How models are loaded; outlines of RefCOCO are pasted as its published evaluator does."""
    options = read_options(ctx, LoadOptions)
    if asked.benchmark is None or is_typed(ctx, "mask_edges"):
        return options
    from palikit.evaluation.benchmarks import benchmark_named
    from palikit.evaluation.exam import mask_edges_of

    return replace(options, mask_edges=mask_edges_of(benchmark_named(asked.benchmark)))


def exam_of(
    ctx: click.Context, asked: Asked, model: "DataModel | None", loading: LoadOptions
) -> "Exam":
    """Read the data.

    Args:
        ctx: of the command, for how answers are decoded.
        asked: what is measured.
        model: what data need of the model; None where finished answers are scored.
        loading: how the model is loaded.

    Raises:
        InputError: the data are missing or cannot be used.
    """
    if asked.benchmark is not None:
        from palikit.evaluation.benchmarks import benchmark_named
        from palikit.evaluation.exam import benchmark_exam

        benchmark = benchmark_named(asked.benchmark)
        exam = benchmark_exam(benchmark, Path(asked.data), asked.split, asked.limit)
    else:
        exam = _own(asked, model, loading)
    if asked.judgements is not None:
        from palikit.evaluation.judgements import with_judgements

        exam = with_judgements(exam, asked.judgements)
    return exam.decoded(read_options(ctx, DecodingOptions).applied_to(exam.generation))


def _own(asked: Asked, model: "DataModel | None", loading: LoadOptions) -> "Exam":
    from palikit.cli.data_model import open_data_model
    from palikit.evaluation.cases import TruthReader
    from palikit.evaluation.evaluate import own_generation
    from palikit.evaluation.own import own_exam, own_rows
    from palikit.model.mask_codec import load_mask_codec

    known = model or open_data_model(None, loading)
    file = known.mask_codec_file
    rows, task, split = own_rows(asked.data, asked.task, asked.split, asked.render, known.encoder())
    read = TruthReader(
        loading.coordinates, None if file is None else load_mask_codec(file), loading.mask_edges
    )
    tokenizer = known.tokenizer
    return own_exam(
        rows,
        task,
        read,
        GenerationOptions() if tokenizer is None else own_generation(rows, tokenizer),
        source=Path(asked.data),
        split=split,
        limit=asked.limit,
    )
