"""Validation while a model trains: real answers to the whole validation set, and how good they are.

row -> Inquiry -> Predictor -> typed result beside the truth -> figures, and a page of pictures
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from palikit.data.options import DataTask
from palikit.data.rows import Row
from palikit.errors import InputError, PaliKitError
from palikit.evaluation.cases import Case, TruthReader, inquiries_of, make_cases
from palikit.evaluation.page import Gallery, card_of, write_gallery
from palikit.evaluation.scoring import Judged, judge, summarise
from palikit.model.paligemma import PaliGemma
from palikit.options import MAX_NEW_TOKENS, GenerationOptions
from palikit.prediction import Prediction
from palikit.predictor import Predictor
from palikit.scores import Scores

Progress: TypeAlias = Callable[[int, int], None]
"""Called after each answer with how many there are and how many there will be."""


def make_validation(
    rows: Sequence[Row],
    task: DataTask,
    make_predictor: Callable[[PaliGemma], Predictor],
    *,
    generation: GenerationOptions | None = None,
    batch_size: int | None = None,
    pictures: int = 24,
    seed: int = 0,
    progress: Progress | None = None,
) -> Callable[[PaliGemma, Path], Scores]:
    """A function that answers every row with a model and scores the answers.

    Args:
        rows: the validation set.
        task: what the rows are about; decides the metric.
        make_predictor: puts the model together with its processor (and for `segment` a mask
            codec). It must neither copy the weights nor change their dtype.
        generation: how answers are generated; None is greedy, up to one and a half times as many
            tokens as the longest true suffix has.
        batch_size: rows that go through the model together; None takes what `Predictor` does.
        pictures: rows on the page, half of them the worst, half a random sample; 0 for no page.
        seed: of that sample.
        progress: told of every answer.

    Returns:
        A function of a model and a folder for the page of pictures, which leaves the model in the
        modes of training that its modules had. It raises InputError where a picture cannot be read,
        or `segment` has no mask codec.

    Raises:
        InputError: there are no rows.
    """
    if not rows:
        raise InputError("there are no rows to validate on: give a validation set, or none at all")
    cases = make_cases(rows, task)

    def evaluate(model: PaliGemma, folder: Path) -> Scores:
        gallery = Gallery(pictures, len(cases), seed)
        with _in_inference_mode(model):
            predictor = make_predictor(model)
            if task == "segment" and predictor.mask_codec is None:
                raise InputError(
                    "validation of segment needs a mask codec: give vae-oid.npz as mask_codec"
                )
            options = generation or _greedy(rows, predictor)
            outcomes = predictor.outcomes(inquiries_of(cases), options, batch_size=batch_size)
            answers = _answers(cases, outcomes)
            judged = list(_judge_each(answers, len(cases), task, predictor, gallery, progress))
        scores = summarise(judged, task)
        if not pictures:
            return scores
        page = write_gallery(folder, gallery, scores, len(judged))
        return Scores(scores.figures, scores.main, scores.higher_is_better, page)

    return evaluate


def _answers(
    cases: Sequence[Case], outcomes: Iterator[Prediction[Any] | PaliKitError]
) -> Iterator[tuple[Case, Prediction[Any]]]:
    """Each row with its answer; an error names the row."""
    for case, outcome in zip(cases, outcomes, strict=True):
        if isinstance(outcome, PaliKitError):
            raise InputError(f"{case.row.where or case.row.prefix}: {outcome}") from outcome
        yield case, outcome


def _judge_each(
    answers: Iterator[tuple[Case, Prediction[Any]]],
    total: int,
    task: DataTask,
    predictor: Predictor,
    gallery: Gallery,
    progress: Progress | None,
) -> Iterator[Judged]:
    """Answers beside their truths; pictures are let go of as soon as their card is made."""
    read = TruthReader(
        predictor.coordinates, predictor.mask_codec, predictor.engine.read.mask_edges
    )
    for index, (case, answer) in enumerate(answers):
        judged = judge(case, answer, task, read)
        if answer.image is not None:
            gallery.add(index, judged.score, partial(card_of, judged, answer.image))
        if progress is not None:
            progress(index + 1, total)
        yield judged


def _greedy(rows: Sequence[Row], predictor: Predictor) -> GenerationOptions:
    encode = predictor.processor.tokenizer.encode
    longest = max(
        len(encode(suffix, allow_special=True)) for row in rows for suffix in row.suffixes
    )
    return GenerationOptions(max_new_tokens=min(longest * 3 // 2 + 8, MAX_NEW_TOKENS))


@contextmanager
def _in_inference_mode(model: PaliGemma) -> Iterator[None]:
    """Dropout off inside the block; afterwards each module is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, is_training in modes:
            module.training = is_training
