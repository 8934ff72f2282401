"""What nano can do, measured on scenes no training saw.

    python -m palikit.nano.evaluation --model nano --scenes 1000 --output nano.json

Scenes 0 .. N - 1 are drawn at 320 px with words of the test split. Of each are asked: boxes of all
kinds at once; one kind that is absent; outlines of at most three kinds that are there; a count, a
colour and a question of any other kind. The printed words are read from N further scenes with one
word each.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from palikit import tasks
from palikit.evaluation.metrics.detection import average_precision, false_reports
from palikit.evaluation.metrics.objects import PictureObjects, TrueObject
from palikit.evaluation.metrics.segmentation import instance_scores
from palikit.evaluation.metrics.text import exact_match
from palikit.nano import lessons
from palikit.nano.progress import say
from palikit.nano.scenes import KINDS, Scene, SceneOptions, draw_scene
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.predictor import Predictor
from palikit.request import Request
from palikit.tasks import Task

SIDE = 320
BATCH_SIZE = 32
WORDS_FROM = 2**20
"""Scenes with one word are numbered from here."""

OPTIONS = GenerationOptions(max_new_tokens=224)


@dataclass(frozen=True)
class Case:
    """One question with what is right."""

    scene: Scene
    task: Task
    answer: str = ""


@dataclass(frozen=True)
class NanoScores:
    """Shares in [0, 1]; None where nothing was asked."""

    detect_ap50: float | None
    detect_ap: float | None
    segment_mean_iou: float | None
    segment_recall: float | None
    count_exact: float
    color_exact: float
    other_exact: float
    word_exact: float
    caption_exact: float
    describe_exact: float
    absent_reported: float | None
    absent_asked: int
    scenes: int


def measure(
    predictor: Predictor, scenes: int, on_case: Callable[[str], None] = lambda _: None
) -> NanoScores:
    """All figures, over this many scenes."""

    def drawn() -> Iterator[tuple[Scene, np.random.Generator]]:
        for seed in range(scenes):
            yield draw_scene(seed, SceneOptions(SIDE, "test")), np.random.default_rng((seed, 1))

    found = _objects(predictor, (Case(s, tasks.detect(KINDS)) for s, _ in drawn()))
    on_case("detect")
    absent = _objects(predictor, (c for s, r in drawn() for c in _absent_case(s, r)))
    on_case("absent")
    outlined = _objects(predictor, (_segment_case(s, r) for s, r in drawn()))
    on_case("segment")
    exact = {
        name: _exact(predictor, (c for s, r in drawn() for c in _question(s, r, words)))
        for name, words in (("count", "how many"), ("color", "what colo"), ("other", ""))
    }
    on_case("answer")
    one_word = SceneOptions(SIDE, "test", texts=1)
    word_scenes = (draw_scene(WORDS_FROM + seed, one_word) for seed in range(scenes))
    read = _exact(
        predictor,
        (Case(s, tasks.ocr(), lessons.read_texts(s)) for s in word_scenes if _has_word(s)),
    )
    on_case("ocr")
    said = [
        _exact(predictor, (Case(s, task, say(s)) for s, _ in drawn()))
        for task, say in (
            (tasks.caption("en"), lessons.caption),
            (tasks.describe("en"), lessons.describe),
        )
    ]
    detection, outlines = average_precision(found), instance_scores(outlined, match_by="box")
    reported = false_reports(absent)
    return NanoScores(
        detect_ap50=detection.ap50,
        detect_ap=detection.ap,
        segment_mean_iou=outlines.mean_iou,
        segment_recall=outlines.recall,
        count_exact=exact["count"],
        color_exact=exact["color"],
        other_exact=exact["other"],
        word_exact=read,
        caption_exact=said[0],
        describe_exact=said[1],
        absent_reported=reported.rate,
        absent_asked=reported.total,
        scenes=scenes,
    )


def _ask(predictor: Predictor, cases: Iterable[Case]) -> Iterator[tuple[Case, Prediction[Any]]]:
    asked: list[Case] = []

    def requests() -> Iterator[Request]:
        for case in cases:
            asked.append(case)
            yield Request((case.scene.picture,), case.task, "scene")

    answers = predictor.predict_each(requests(), OPTIONS, batch_size=BATCH_SIZE)
    for index, answer in enumerate(answers):
        yield asked[index], answer


def _objects(predictor: Predictor, cases: Iterable[Case]) -> list[PictureObjects]:
    """Truth and answer of each case; only the objects that were asked for are true."""
    pictures = []
    for case, answer in _ask(predictor, cases):
        width, height = case.scene.picture.size
        truth = tuple(
            TrueObject(o.kind, o.box, lessons.outline(o, width, height))
            for o in case.scene.objects
            if o.kind in case.task.labels
        )
        pictures.append(PictureObjects(truth, tuple(answer.result), case.task.labels))
    return pictures


def _exact(predictor: Predictor, cases: Iterable[Case]) -> float:
    pairs = [(answer.text, (case.answer,)) for case, answer in _ask(predictor, cases)]
    return exact_match([text for text, _ in pairs], [right for _, right in pairs])


def _absent_case(scene: Scene, random: np.random.Generator) -> Sequence[Case]:
    absent = [kind for kind in KINDS if all(o.kind != kind for o in scene.objects)]
    return [Case(scene, tasks.detect([absent[random.integers(len(absent))]]))] if absent else []


def _segment_case(scene: Scene, random: np.random.Generator) -> Case:
    present = sorted({found.kind for found in scene.objects})
    asked = [str(kind) for kind in random.permutation(present)[:3]]
    return Case(scene, tasks.segment(asked))


def _question(scene: Scene, random: np.random.Generator, words: str) -> Sequence[Case]:
    """At most one question that begins with `words`; with none, one of the other kinds."""
    asked = lessons.questions(random, scene)
    if words:
        asked = [pair for pair in asked if pair[0].startswith(words)]
    else:
        asked = [pair for pair in asked if not pair[0].startswith(("how many", "what colo"))]
    if not asked:
        return []
    question, answer = asked[random.integers(len(asked))]
    return [Case(scene, tasks.answer(question), answer)]


def _has_word(scene: Scene) -> bool:
    return len(scene.texts) == 1 and scene.texts[0].text.isalpha()


def main() -> None:
    """The command of the module's docstring."""
    from palikit.loading import load

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    scores = asdict(measure(load(given.model), given.scenes, say))
    text = json.dumps(scores, indent=2)
    say(text)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
