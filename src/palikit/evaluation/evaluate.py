"""`palikit.evaluate`: a model, data, and what is measured -> a report."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from palikit.data.options import DataTask, RenderOptions
from palikit.errors import InputError
from palikit.evaluation.answer_folder import AnswerFolder
from palikit.evaluation.benchmarks import Benchmark, benchmark_named
from palikit.evaluation.cases import TruthReader
from palikit.evaluation.exam import Exam, benchmark_exam, identity_of, mask_edges_of
from palikit.evaluation.judgements import with_judgements
from palikit.evaluation.own import no_codec, own_exam, own_rows
from palikit.evaluation.published import size_of
from palikit.evaluation.report import Report, Subject, make_report
from palikit.evaluation.running import answer_missing, default_batch_size
from palikit.model.fingerprint import model_fingerprint
from palikit.model.mask_coding import mask_encoder
from palikit.options import MAX_NEW_TOKENS, GenerationOptions
from palikit.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palikit.data.rows import Row
    from palikit.tokenizer import Tokenizer


def evaluate(
    model: str | Path | Predictor,
    data: str | Path,
    *,
    output: str | Path,
    benchmark: str | None = None,
    task: DataTask | None = None,
    split: str | None = None,
    limit: int | None = None,
    judgements: str | Path | None = None,
    generation: GenerationOptions | None = None,
    render: RenderOptions | None = None,
    batch_size: int | None = None,
    overwrite: bool = False,
    on_answer: Callable[[], None] = lambda: None,
) -> Report:
    """Measure a model on a published benchmark or on data of your own.

    A call that was interrupted goes on where it stopped when it is made again.

    Args:
        model: a predictor, or a name as `palikit.load` takes it (for RefCOCO with the edges of
            boxes that its published evaluator takes).
        data: the benchmark's data in its official layout, or a file or folder in any format of
            `palikit data`.
        output: folder for predictions.jsonl, report.json, report.html and, where the benchmark has
            one, submission.json.
        benchmark: its name, see `palikit benchmarks`; None for own data.
        task: of own data; None takes what all rows ask for.
        split: None takes the one that published figures are of; of own data val, else test, else
            all.
        limit: how many questions to draw at random, the same each time; None for all.
        judgements: of docci's captions by people, a file as of
            `metrics.long_captions.read_judgements`.
        generation: how answers are decoded; None as published, and for own data greedily, with room
            for one and a half times the longest answer.
        render: how own data that are no rows yet become rows.
        batch_size: questions that go through the model together.
        overwrite: begin anew in a folder that holds another evaluation.
        on_answer: called after each answer.

    Raises:
        InputError: the data cannot be used, the folder holds something else, or an option is out
            of range.
        CheckpointError: the model cannot be loaded.
    """
    recipe = None if benchmark is None else benchmark_named(benchmark)
    predictor = model if isinstance(model, Predictor) else _loaded(str(model), recipe)
    if recipe is not None:
        if task is not None:
            raise InputError("benchmark and task do not go together: a benchmark has its own task")
        exam = benchmark_exam(recipe, Path(data), split, limit)
        _check_outlines(exam, predictor, recipe)
    else:
        exam = _own(predictor, str(data), task, split, limit, render or RenderOptions())
    if judgements is not None:
        exam = with_judgements(exam, judgements)
    if generation is not None:
        exam = exam.decoded(generation)
    vision = predictor.model.config.vision_config
    size = batch_size or default_batch_size(vision.num_image_tokens, exam)
    identity = identity_of(exam, predictor.name, model_fingerprint(predictor.model), None)
    held = {
        "dtype": str(predictor.model.dtype),
        "coordinates": predictor.coordinates,
        "mask_edges": predictor.engine.read.mask_edges,
    }
    folder = AnswerFolder(Path(output), {**identity, "loading": held})
    folder.begin(overwrite=overwrite)
    answer_missing(
        exam, predictor, folder, batch_size=size, side=vision.image_size, on_answer=on_answer
    )
    subject = Subject(predictor.name, size_of(predictor.model.config), vision.image_size, size)
    return make_report(exam, folder.answers(), subject, folder)


def _check_outlines(exam: Exam, predictor: Predictor, recipe: Benchmark) -> None:
    if not exam.has_outlines:
        return
    if predictor.mask_codec is None:
        raise no_codec()
    edges, wanted = predictor.engine.read.mask_edges, mask_edges_of(recipe)
    if edges != wanted:
        raise InputError(
            f"{exam.name} is measured with mask_edges={wanted!r} and this model was loaded with "
            f"{edges!r}: load it so, or give its name"
        )


def own_generation(rows: "Sequence[Row]", tokenizer: "Tokenizer") -> GenerationOptions:
    """Greedy, with room for one and a half times the longest true answer."""
    longest = max(
        len(tokenizer.encode(suffix, allow_special=True)) for row in rows for suffix in row.suffixes
    )
    return GenerationOptions(max_new_tokens=min(longest * 3 // 2 + 8, MAX_NEW_TOKENS))


def _loaded(name: str, recipe: Benchmark | None) -> Predictor:
    from palikit.loading import load

    return load(name, mask_edges="round" if recipe is None else mask_edges_of(recipe))


def _own(
    predictor: Predictor,
    data: str,
    task: DataTask | None,
    split: str | None,
    limit: int | None,
    render: RenderOptions,
) -> Exam:
    codec = predictor.mask_codec
    encode = None if codec is None else mask_encoder(codec)
    rows, measured, chosen = own_rows(data, task, split, render, encode)
    read = TruthReader(predictor.coordinates, codec, predictor.engine.read.mask_edges)
    options = own_generation(rows, predictor.processor.tokenizer)
    return own_exam(rows, measured, read, options, source=Path(data), split=chosen, limit=limit)
