"""What nano is measured by: a model that answers truly scores one, a random one is measured too."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch

from palikit import tasks
from palikit.model.mask_codec import MaskCodec
from palikit.nano import evaluation, lessons
from palikit.nano.evaluation import SIDE, WORDS_FROM, measure
from palikit.nano.scenes import Scene, SceneOptions, draw_scene
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.predictor import Predictor
from palikit.processor import Processor
from palikit.request import Request
from palikit.results import Detection, Detections, Segment, Segments
from tests import tiny

SCENES = 3


class Oracle(Predictor):
    """Answers from the scenes themselves; of the labels in `blind` it sees none."""

    scenes: dict[bytes, Scene]
    blind: frozenset[str] = frozenset()

    def predict_each(
        self,
        requests: Iterable[Request],
        options: GenerationOptions | None = None,
        *,
        batch_size: int = 8,
    ) -> Iterator[Prediction[Any]]:
        for request in requests:
            scene = self.scenes[request.pictures[0].tobytes()]
            result = self._result(request, scene)
            yield Prediction(
                input=request.input,
                task=request.task.name,
                prompt=request.task.prompt,
                text=getattr(result, "text", ""),
                result=result,
                score=None,
                score_basis="grammar",
                finish_reason="stop",
                width=SIDE,
                height=SIDE,
                model="oracle",
                image=request.pictures[0],
            )

    def _result(self, request: Request, scene: Scene) -> Any:
        task = request.task
        seen = [o for o in scene.objects if o.kind in task.labels and o.kind not in self.blind]
        if task.name == "detect":
            return Detections(tuple(Detection(o.box, o.kind) for o in seen), SIDE, SIDE)
        if task.name == "segment":
            outlined = (
                Segment(o.box, o.kind, (0,) * 16, lessons.outline(o, SIDE, SIDE)) for o in seen
            )
            return Segments(tuple(outlined), SIDE, SIDE)
        return tasks.parse(task, self._text(task.prompt, scene), SIDE, SIDE)

    def _text(self, prompt: str, scene: Scene) -> str:
        verb, _, rest = prompt.partition(" ")
        if verb == "answer":
            return truly(rest.partition(" ")[2], scene)
        texts = {"ocr": lessons.read_texts, "caption": lessons.caption}
        return texts.get(verb, lessons.describe)(scene)


def truly(question: str, scene: Scene) -> str:
    """The answer of a question by looking at the objects, in other words than the lessons'."""
    words = question.rstrip("?").split()
    kinds = [o.kind for o in scene.objects]
    if question.startswith("how many"):
        return str(sum(words[2] in ("objects", lessons.plural(kind)) for kind in kinds))
    if question.startswith("what colo"):
        return next(o.color for o in scene.objects if o.kind == words[-1])
    if question.startswith("where"):
        found = next(o for o in scene.objects if o.kind == words[-1])
        return lessons.place(found.box, scene)
    if question.startswith("is there"):
        names = {*kinds, *(f"{o.color} {o.kind}" for o in scene.objects)}
        return "yes" if " ".join(words[3:]) in names else "no"
    if words[-1] in ("object", "thing"):
        return next(o.kind for o in scene.objects if o.color == words[-2])
    return lessons.read_texts(scene)


def made(cls: type[Predictor]) -> Any:
    torch.manual_seed(0)
    codec = MaskCodec().eval().requires_grad_(False)
    return cls(tiny.model(), Processor(tiny.tokenizer(), 28), name="tiny", mask_codec=codec)


@pytest.fixture
def oracle() -> Oracle:
    drawn = [draw_scene(seed, SceneOptions(SIDE, "test")) for seed in range(SCENES)]
    one_word = SceneOptions(SIDE, "test", texts=1)
    drawn += [draw_scene(WORDS_FROM + seed, one_word) for seed in range(SCENES)]
    predictor: Oracle = made(Oracle)
    predictor.scenes = {scene.picture.tobytes(): scene for scene in drawn}
    return predictor


def test_true_answers_score_one_in_every_part(oracle: Oracle) -> None:
    told: list[str] = []
    scores = measure(oracle, SCENES, told.append)
    shares = {
        name: value
        for name, value in vars(scores).items()
        if name not in ("absent_reported", "absent_asked", "scenes")
    }
    assert shares == pytest.approx(dict.fromkeys(shares, 1.0))
    assert (scores.absent_reported, scores.absent_asked, scores.scenes) == (0.0, SCENES, SCENES)
    assert len(told) == len(set(told)) == 9


def test_objects_that_are_not_seen_lower_what_is_measured_of_them(oracle: Oracle) -> None:
    kinds = {o.kind for scene in oracle.scenes.values() for o in scene.objects}
    oracle.blind = frozenset(kinds)
    scores = measure(oracle, SCENES)
    assert (scores.detect_ap, scores.segment_recall, scores.word_exact) == (0.0, 0.0, 1.0)


def test_a_random_model_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "OPTIONS", GenerationOptions(max_new_tokens=6))
    scores = measure(made(Predictor), 2)
    assert scores.scenes == scores.absent_asked == 2
    assert scores.describe_exact == 0.0
