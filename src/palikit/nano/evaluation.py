"""What nano can do, measured on scenes no training saw.

    python -m palikit.nano.evaluation --model nano --scenes 1000 --output nano.json

Scenes 0 .. N - 1 are drawn at 320 px with words of the test split. Of each are asked: boxes of all
kinds at once; one kind that is absent; outlines of at most three kinds that are there; a count, a
colour and a question of any other kind. The printed words are read from N further scenes with one
word each.
"""

import argparse
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from palikit import tasks
from palikit.evaluation.metrics.detection import average_precision, false_reports
from palikit.evaluation.metrics.exact import exact_match
from palikit.evaluation.metrics.objects import PictureObjects, TrueObject
from palikit.evaluation.metrics.segmentation import instance_scores
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


CasesOf: TypeAlias = Callable[[Scene, np.random.Generator], Sequence[Case]]
"""What is asked about a scene; the generator chooses, the same for the same scene."""


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
    predictor: Predictor, scenes: int, on_part: Callable[[str], None] = lambda _: None
) -> NanoScores:
    """All figures.

    Args:
        predictor: of the model.
        scenes: how many.
        on_part: told of each part that is done.
    """
    parts = _Parts(predictor, scenes, on_part)
    detection = average_precision(parts.objects("detect", lambda s, _: [_detect_case(s)]))
    absent = false_reports(parts.objects("absent", _absent_case))
    outlines = instance_scores(parts.objects("segment", _segment_case), match_by="box")
    return NanoScores(
        detect_ap50=detection.ap50,
        detect_ap=detection.ap,
        segment_mean_iou=outlines.mean_iou,
        segment_recall=outlines.recall,
        count_exact=parts.exact("count", lambda s, r: _question(s, r, "how many")),
        color_exact=parts.exact("color", lambda s, r: _question(s, r, "what colo")),
        other_exact=parts.exact("other", lambda s, r: _question(s, r, "")),
        word_exact=parts.words(),
        caption_exact=parts.exact("caption", lambda s, _: [_caption_case(s)]),
        describe_exact=parts.exact("describe", lambda s, _: [_describe_case(s)]),
        absent_reported=absent.rate,
        absent_asked=absent.total,
        scenes=scenes,
    )


@dataclass(frozen=True)
class _Parts:
    """The parts of a measurement; each draws the scenes anew, so that none is kept."""

    predictor: Predictor
    scenes: int
    on_part: Callable[[str], None]

    def objects(self, name: str, cases_of: CasesOf) -> list[PictureObjects]:
        """Truth and answer of every case."""
        found = _objects(self.predictor, self._cases(cases_of))
        self.on_part(name)
        return found

    def exact(self, name: str, cases_of: CasesOf) -> float:
        """The share of right answers."""
        share = _exact(self.predictor, self._cases(cases_of))
        self.on_part(name)
        return share

    def words(self) -> float:
        """The share of single words that are read right."""
        drawn = (
            draw_scene(WORDS_FROM + seed, SceneOptions(SIDE, "test", texts=1))
            for seed in range(self.scenes)
        )
        cases = (Case(s, tasks.ocr(), lessons.read_texts(s)) for s in drawn if _has_word(s))
        share = _exact(self.predictor, cases)
        self.on_part("ocr")
        return share

    def _cases(self, cases_of: CasesOf) -> Iterator[Case]:
        for seed in range(self.scenes):
            scene = draw_scene(seed, SceneOptions(SIDE, "test"))
            yield from cases_of(scene, np.random.default_rng((seed, 1)))


def _ask(predictor: Predictor, cases: Iterable[Case]) -> Iterator[tuple[Case, Prediction[Any]]]:
    waiting: deque[Case] = deque()

    def requests() -> Iterator[Request]:
        for case in cases:
            waiting.append(case)
            yield Request((case.scene.picture,), case.task, "scene")

    for answer in predictor.predict_each(requests(), OPTIONS, batch_size=BATCH_SIZE):
        yield waiting.popleft(), answer


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
    asked = list(_ask(predictor, cases))
    found = [answer.text for _, answer in asked]
    right = [(case.answer,) for case, _ in asked]
    return exact_match(found, right, ignore_case=True, ignore_space=True).value


def _absent_case(scene: Scene, random: np.random.Generator) -> Sequence[Case]:
    absent = [kind for kind in KINDS if all(o.kind != kind for o in scene.objects)]
    return [Case(scene, tasks.detect([absent[random.integers(len(absent))]]))] if absent else []


def _detect_case(scene: Scene) -> Case:
    return Case(scene, tasks.detect(KINDS))


def _caption_case(scene: Scene) -> Case:
    return Case(scene, tasks.caption("en"), lessons.caption(scene))


def _describe_case(scene: Scene) -> Case:
    return Case(scene, tasks.describe("en"), lessons.describe(scene))


def _segment_case(scene: Scene, random: np.random.Generator) -> Sequence[Case]:
    present = sorted({found.kind for found in scene.objects})
    asked = [str(kind) for kind in random.permutation(present)[:3]]
    return [Case(scene, tasks.segment(asked))]


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
