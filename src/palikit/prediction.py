"""One answer with its circumstances, from which every output format is made.

It joins the typed results to the picture they belong to; the results themselves know no picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from PIL.Image import Image

from palikit.errors import InputError
from palikit.results import (
    ObjectArrays,
    Objects,
    ResultT_co,
    ScoreBasis,
    TokenScore,
    rounded_score,
)
from palikit.tasks import task_from_prompt


@dataclass(frozen=True)
class Prediction(Generic[ResultT_co]):
    """One answer about one picture (or several pictures, or a video), with all that led to it.

    Attributes:
        input: where the picture came from: a path, a URL, or a description of the object given.
        task: the verb: caption, describe, answer, question, ocr, detect, segment, refer, generate.
        prompt: the text the model was sent, without the final newline.
        text: the text it wrote, unchanged.
        result: that text, understood.
        score: geometric mean of the probabilities of the text's tokens, in [0, 1], the end token
            included where it was written and forced tokens left out; None without any token.
        score_basis: over which ids the probabilities behind every score here are normalised.
        finish_reason: "stop" (the model ended), "length" (token limit), "repeat" (the model began
            to name the same object again).
        width, height: of the (first) picture in pixels.
        model: the name or path the model was loaded from.
        token_scores: one for each token written, the end token included.
        image: the picture itself, for `draw`.
    """

    input: str
    task: str
    prompt: str
    text: str = field(repr=False)
    result: ResultT_co
    score: float | None
    score_basis: ScoreBasis
    finish_reason: str
    width: int
    height: int
    model: str
    token_scores: tuple[TokenScore, ...] = field(default=(), repr=False)
    image: Image | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The JSON record of this answer."""
        return {
            "input": self.input,
            "task": self.task,
            "prompt": self.prompt,
            "text": self.text,
            "result": self.result.to_dict(),
            "score": rounded_score(self.score),
            "score_basis": self.score_basis,
            "finish_reason": self.finish_reason,
            "width": self.width,
            "height": self.height,
            "model": self.model,
        }

    def to_coco(
        self, image_id: int = 0, category_ids: Mapping[str, int] | None = None
    ) -> list[dict[str, Any]]:
        """COCO result records: objects as in `Objects.to_coco`, any other text as a caption.

        Without `category_ids` the labels that were asked for are numbered from 1 in their order,
        found or not, and any others after them: one prompt gives the same ids in every picture.
        """
        if isinstance(self.result, Objects):
            if category_ids is None:
                category_ids = {name: at for at, name in enumerate(self._labels(self.result), 1)}
            return self.result.to_coco(image_id, category_ids)
        return [{"image_id": image_id, "caption": self.result.text}]

    def to_arrays(self, class_names: Sequence[str] | None = None) -> ObjectArrays:
        """Plain NumPy arrays of the objects, as `Objects.to_arrays` gives them.

        Without `class_names` they are the labels as asked for, found or not, and then any others.

        Raises:
            InputError: the result is a text.
        """
        if isinstance(self.result, Objects):
            names = self._labels(self.result) if class_names is None else class_names
            return self.result.to_arrays(names)
        raise InputError(f"{self.task} gives a text, which has no arrays: use detect or segment")

    def _labels(self, objects: Objects[Any]) -> tuple[str, ...]:
        # The prompt of refer is its one label, whatever it begins with.
        asked = (self.prompt,) if self.task == "refer" else task_from_prompt(self.prompt).labels
        return tuple(dict.fromkeys([*asked, *(found.label for found in objects)]))

    def draw(self) -> Image:
        """The picture with boxes, outlines and labels (or the text below it) drawn onto a copy."""
        if self.image is None:
            raise InputError("this prediction carries no picture to draw on; use drawing.draw")
        from palikit.drawing import draw  # fonts, which most predictions do without

        return draw(self.image, self.result)
