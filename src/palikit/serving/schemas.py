"""What the typed routes are asked, and what they answer, as pydantic models.

The fields of generation take their words and defaults from `GenerationOptions`.
"""

from dataclasses import fields
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from palikit import tasks
from palikit.options import GenerationOptions
from palikit.tasks import Task

MaskForm = Literal["rle", "png", "polygons", "none"]

_IMAGE = (
    "The picture: its bytes in base64, or a data: URI; an address only where the server allows it. "
    "In a form, the file."
)
EXAMPLE_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFElEQVR4nGOMqjjBgA0wYRUdtBIAQ8UBqttjjicAAA"
    "AASUVORK5CYII="
)
"""A PNG of 8 x 8 pixels, for the examples."""


def generation_field(name: str) -> Any:
    """A field of `GenerationOptions` as one of a request."""
    (found,) = (field for field in fields(GenerationOptions) if field.name == name)
    return Field(found.default, description=found.metadata["doc"])


class Asked(BaseModel):
    """What every typed route takes.

    Attributes:
        takes_several: whether a question may be about several pictures.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    takes_several: ClassVar[bool] = True

    image: str | list[str] = Field(description=_IMAGE, examples=[EXAMPLE_PNG])
    max_new_tokens: int = generation_field("max_new_tokens")
    temperature: float = generation_field("temperature")
    top_p: float = generation_field("top_p")
    top_k: int = generation_field("top_k")
    seed: int = generation_field("seed")

    def task(self) -> Task:
        """What is asked; raises InputError where it cannot be."""
        raise NotImplementedError

    def options(self) -> GenerationOptions:
        """How the text is generated; raises InputError where a value is out of range."""
        return GenerationOptions(
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            seed=self.seed,
            grammar=self.is_held_to_grammar(),
        )

    def is_held_to_grammar(self) -> bool:
        """Whether answers keep to the form of boxes; means nothing to texts."""
        return True

    def mask_form(self) -> MaskForm:
        """How outlines are written."""
        return "rle"


_LANGUAGE = Field("en", description="Language of the reply, as a code such as en, de or pt-BR.")


class CaptionAsked(Asked):
    """A caption, or a longer description."""

    language: str = _LANGUAGE

    def task(self) -> Task:
        """`caption en`."""
        return tasks.caption(self.language)


class DescribeAsked(CaptionAsked):
    """A longer description."""

    def task(self) -> Task:
        """`describe en`."""
        return tasks.describe(self.language)


class AnswerAsked(Asked):
    """The answer to a question."""

    question: str = Field(description="The question.", examples=["how many stars are there?"])
    language: str = _LANGUAGE

    def task(self) -> Task:
        """`answer en ...`."""
        return tasks.answer(self.question, self.language)


class OcrAsked(Asked):
    """The text in the picture."""

    takes_several: ClassVar[bool] = False

    def task(self) -> Task:
        """`ocr`."""
        return tasks.ocr()


class DetectAsked(Asked):
    """Boxes around what labels name."""

    takes_several: ClassVar[bool] = False

    labels: str | list[str] = Field(
        description='What to look for: a list, or one text such as "cat ; dog".',
        examples=["circle ; star"],
    )
    grammar: bool = generation_field("grammar")

    def task(self) -> Task:
        """`detect a ; b`."""
        return tasks.detect(self.labels)

    def is_held_to_grammar(self) -> bool:
        """As asked."""
        return self.grammar


class SegmentAsked(DetectAsked):
    """Boxes and outlines of what labels name."""

    masks: MaskForm = Field(
        "rle",
        description="Outlines as COCO run lengths, as a PNG each (a data: URI, white inside), as "
        "polygons in pixels, or none.",
    )

    def task(self) -> Task:
        """`segment a ; b`."""
        return tasks.segment(self.labels)

    def mask_form(self) -> MaskForm:
        """As asked."""
        return self.masks


class TextFound(BaseModel):
    """A caption, an answer, or the text of a picture."""

    text: str


class DetectionFound(BaseModel):
    """An object; `box` is x1, y1, x2, y2 in pixels of the picture as a person sees it."""

    label: str
    box: tuple[float, float, float, float]
    score: float | None


class RunLengths(BaseModel):
    """An outline as COCO writes it: size is height and width."""

    size: tuple[int, int]
    counts: str


class SegmentFound(DetectionFound):
    """An object with its outline, null where the model has no mask codec."""

    mask: RunLengths | str | list[list[float]] | None
    codes: list[int]


class DetectionsFound(BaseModel):
    """Objects; `unparsed` is every piece of the text that was not understood."""

    objects: list[DetectionFound]
    unparsed: str
    problems: list[str]


class SegmentsFound(BaseModel):
    """Objects with outlines."""

    objects: list[SegmentFound]
    unparsed: str
    problems: list[str]


class Told(BaseModel):
    """An answer, with the keys of the records that the command line writes."""

    input: str
    task: str
    prompt: str
    text: str
    score: float | None
    score_basis: Literal["grammar", "vocabulary"]
    finish_reason: Literal["stop", "length", "repeat"]
    width: int
    height: int
    model: str


class TextTold(Told):
    """A text."""

    result: TextFound


class DetectionsTold(Told):
    """Boxes."""

    result: DetectionsFound


class SegmentsTold(Told):
    """Boxes and outlines."""

    result: SegmentsFound


class ErrorDetail(BaseModel):
    """What was wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorTold(BaseModel):
    """The answer to a request that is refused, on every route."""

    error: ErrorDetail
