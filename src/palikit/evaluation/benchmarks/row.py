"""What a published benchmark is: where its questions come from, how they are asked and scored."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from PIL.Image import Image

from palikit.evaluation.metrics.objects import TrueObject
from palikit.evaluation.metrics.ocr_words import Word
from palikit.evaluation.metrics.score import Score
from palikit.pictures import PictureSource
from palikit.prediction import Prediction
from palikit.recipes.row import ModelSize
from palikit.tasks import TaskName

Stage = Literal["ft", "mix", "zero-shot"]
"""After fine-tuning on the benchmark itself; a mix checkpoint; after fine-tuning on another one."""

SubmissionFormat = Literal[
    "vqa", "textvqa", "vizwiz", "docvqa", "stvqa", "aokvqa", "coco-captions", "coco-detections",
    "refcoco",
]  # fmt: skip
"""What file the benchmark's own server or script takes."""


Unit = Literal["%", "x100", ""]
"""How tables print a figure: 100 times a share, 100 times a figure that is no share, as it is."""

Change: TypeAlias = Callable[[Image, int], Image]
"""Upright RGB picture, side in pixels that the model takes -> what the protocol shows of it."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames of a video, as the published video transfers take them.

    Attributes:
        path: of the film.
        frames: how many are taken.
        stride: every which; the first one is always taken.
    """

    path: Path
    frames: int
    stride: int

    def indices(self, total: int) -> list[int]:
        """Which of `total` frames are taken: a clip too short begins again from its start."""
        there = range(0, total, self.stride)
        return [there[place % len(there)] for place in range(self.frames)]


@dataclass(frozen=True, slots=True)
class Example:
    """One question of a benchmark, before any model.

    Attributes:
        id: as a submission names it; unique in its split.
        images: paths; two for NLVR2, none where there is a video.
        prompt: exactly as the published protocol sends it, without the newline that closes it.
        answers: references; empty where those of the split are secret.
        group: the part of the set it belongs to: question type, answer type, language.
        video: instead of pictures.
        objects: the truth of detection and segmentation, in pixels.
        words: the truth of text detection, in pixels.
        where: the place in the source, for messages: "questions.json, entry 17".
        change: what the protocol does to each picture before the model sees it: a widget marked in
            red, labels of a diagram painted over, white around it up to a square.
    """

    id: str
    images: tuple[PictureSource, ...]
    prompt: str
    answers: tuple[str, ...] = ()
    group: str = ""
    video: Clip | None = None
    objects: tuple[TrueObject, ...] | None = None
    words: tuple[Word, ...] | None = None
    where: str = ""
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """An example and what a model wrote.

    Attributes:
        example: what was asked.
        text: what the model wrote, unchanged.
        prediction: the typed result in pixels, where the task has one.
    """

    example: Example
    text: str
    prediction: Prediction[Any] | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """One published score.

    Attributes:
        model: "paligemma-3b", "paligemma2-3b", "paligemma2-10b" or "paligemma2-28b".
        resolution: picture side in pixels.
        value: in the unit the tables print, which the benchmark names.
        deviation: standard deviation over fine-tuning runs, where printed.
        stage: what the checkpoint was trained for.
        source: document and table.
        part: the part of the score it is of, by its name in `Score.parts`; empty for the figure.
        split: the split it was measured on; empty for the benchmark's first.
        note: what else there is to know: another rule, another decoding, an unnamed split.
    """

    model: ModelSize
    resolution: int
    value: float
    deviation: float | None = None
    stage: Stage = "ft"
    source: str = ""
    part: str = ""
    split: str = ""
    note: str = ""


Read: TypeAlias = Callable[[Path, str], Iterator[Example]]
"""A folder in the official layout, or in ours, and a split -> its questions."""

Judge: TypeAlias = Callable[[Sequence[Answered]], Score]
"""All answers -> the figure."""


@dataclass(frozen=True)
class Benchmark:
    """A published benchmark and its protocol.

    Attributes:
        name: as `--benchmark` takes it.
        title: as people know it.
        family: captions, questions, documents, segmentation, video, text, tables, science, medical
            or detection.
        splits: the one that the published figures are of comes first.
        read: see `Read`; raises InputError where data are missing or cannot be used.
        layout: what to fetch, from whom, under which terms, into which files.
        hub: a data set on the Hugging Face Hub with the same content, where one is known.
        prompt: with {question} or other parts of the data in braces.
        task: how an answer is read.
        max_new_tokens: longest answer, in tokens.
        beams: of the decoding; 1 is greedy.
        score: see `Judge`.
        figure: the name of the figure.
        unit: how the tables print it, and its parts.
        published: every score that was published for it.
        submission: the file that its server takes, where it has one.
        training_needed: what a checkpoint must have been trained on for its figure to be compared.
        note: what else there is to know.
        higher_is_better: whether a larger figure is the better one.
    """

    name: str
    title: str
    family: str
    splits: tuple[str, ...]
    read: Read
    layout: str
    hub: str | None
    prompt: str
    task: TaskName
    max_new_tokens: int
    beams: int
    score: Judge
    figure: str
    unit: Unit
    published: tuple[Published, ...]
    submission: SubmissionFormat | None
    training_needed: str
    note: str = ""
    higher_is_better: bool = True

    def printed(self, value: float) -> float:
        """A figure as the tables print it."""
        return value if self.unit == "" else 100 * value
