"""The options of `palikit batch`: what is asked, and where answers go."""

from dataclasses import dataclass
from typing import Literal

from palikit.cli.options import MAX_FRAMES
from palikit.errors import InputError
from palikit.options import option
from palikit.records import OBJECT_TASKS

BatchTask = Literal[
    "caption", "describe", "answer", "ocr", "detect", "segment", "refer", "generate"
]
BatchFormat = Literal["jsonl", "coco", "parquet"]

_TEXT_OF = {
    "answer": "the question",
    "detect": 'the labels, such as "cat ; dog"',
    "segment": 'the labels, such as "cat ; dog"',
    "refer": "the expression",
    "generate": "the prompt",
}
"""What --text is for tasks that need it."""

_WITHOUT_COCO = ("answer", "ocr", "generate")


@dataclass(frozen=True)
class BatchOptions:
    """What every input is asked, and where the answers go."""

    task: BatchTask = option("caption", "What every input is asked.")
    text: str | None = option(
        None,
        "The labels of detect and segment, the question of answer, the expression of refer, the "
        "prompt of generate.",
    )
    language: str = option("en", "Language of a caption, a description or an answer.")
    output: str | None = option(
        None, "Folder of the answers; the same command again goes on where it was interrupted."
    )
    format: BatchFormat = option("jsonl", "How each shard is written; parquet needs pyarrow.")
    shard_size: int = option(1000, "Inputs whose answers stand in one file.")
    overwrite: bool = option(default=False, doc="Remove the shards that are there; begin anew.")
    frames: int | None = option(
        None,
        "Frames taken of each video or animation, evenly spaced, up to 512; 0 for all, of at most "
        "64. If not given, 16 of a video and the first of an animation.",
    )
    batch_size: int = option(8, "Inputs that go through the model together; 1 or more.")
    ray: bool = option(
        default=False,
        doc="Spread the inputs over Ray's workers: those of the cluster that RAY_ADDRESS names, "
        "else of this machine.",
    )
    workers: int = option(1, "Ray's workers, each with a model, and a GPU where there are any.")
    quiet: bool = option(default=False, doc="No progress and no remarks; errors are still shown.")

    def __post_init__(self) -> None:
        for name in ("shard_size", "batch_size", "workers"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if not self.output:
            raise InputError("no folder for the answers: name one with --output")
        if self.frames is not None and not 0 <= self.frames <= MAX_FRAMES:
            raise InputError(
                f"frames is {self.frames}: it must be 0, for all, or at most {MAX_FRAMES}"
            )
        if self.workers > 1 and not self.ray:
            raise InputError(f"{self.workers} --workers are Ray's: add --ray")
        self._check_task()

    def _check_task(self) -> None:
        needed = _TEXT_OF.get(self.task)
        if needed is not None and self.text is None:
            raise InputError(f"--task {self.task} needs {needed}: give it with --text")
        if needed is None and self.text is not None:
            raise InputError(f"--task {self.task} takes no --text: leave it out")
        if self.format == "coco" and self.task in _WITHOUT_COCO:
            raise InputError(
                f"COCO has no records for {self.task}, only for captions and "
                f"{', '.join(OBJECT_TASKS)}: choose jsonl or parquet"
            )
