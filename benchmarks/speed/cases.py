"""What is measured, and who is measured in it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["caption", "detect", "questions", "batches", "folder", "start"]
Form = Literal["float32", "bfloat16", "int8", "int4", "nf4", "fp8"]
Library = Literal["palikit", "transformers"]
Source = Literal["float", "quantised"]
Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Engine:
    """A library and the form in which it holds the weights.

    Attributes:
        source: the checkpoint it loads: the bfloat16 one, which it may change while loading, or
            one that `palikit quantize` has written.
        imports: what loading would import, which is no part of its time.
    """

    name: str
    library: Library
    form: Form
    source: Source = "float"
    imports: tuple[str, ...] = ()


ENGINES: tuple[Engine, ...] = (
    Engine("palikit-float32", "palikit", "float32"),
    Engine("palikit-bfloat16", "palikit", "bfloat16"),
    Engine("palikit-int8", "palikit", "int8", "quantised"),
    Engine("palikit-int8-from-float", "palikit", "int8"),
    Engine("palikit-int4", "palikit", "int4", "quantised"),
    Engine("palikit-nf4", "palikit", "nf4", "quantised"),
    Engine("palikit-fp8", "palikit", "fp8", "quantised"),
    Engine("transformers-float32", "transformers", "float32"),
    Engine("transformers-bfloat16", "transformers", "bfloat16"),
    Engine(
        "transformers-bitsandbytes-int8",
        "transformers",
        "int8",
        imports=("bitsandbytes", "accelerate"),
    ),
)


@dataclass(frozen=True)
class Case:
    """One table of figures.

    Attributes:
        kind: caption: plain greedy text. detect: five boxes, the same ones forced with the grammar
            and without. questions: many prompts on one picture. batches: a batch against a single
            picture. folder, start: whole processes with the built-in model.
        image_size: picture side in pixels.
        batch: pictures at once; of "questions", prompts.
        tokens: written for each picture or prompt; the end token ends nothing. Five boxes take 34:
            four edges and a label each, two tokens between boxes, and the end.
    """

    name: str
    title: str
    kind: Kind
    family: str = "PaliGemma 2"
    image_size: int = 224
    batch: int = 1
    tokens: int = 64
    size: str = "3B"

    @property
    def needs_checkpoint(self) -> bool:
        """Whether it is about a model other than the built-in one."""
        return self.kind not in ("folder", "start")

    @property
    def prompt(self) -> str:
        """The prompt of all pictures."""
        return "detect cat" if self.kind == "detect" else "caption en"


def _caption(family: str, image_size: int, batch: int) -> Case:
    prefix = "caption" if family == "PaliGemma 2" else "caption-paligemma"
    pictures = "1 picture" if batch == 1 else f"{batch} pictures at once"
    return Case(
        f"{prefix}-{image_size}-{batch}",
        f"{family} 3B, {image_size} px, {pictures}, 64 tokens",
        "caption",
        family,
        image_size,
        batch,
    )


CASES: tuple[Case, ...] = (
    Case("first-token-224", "PaliGemma 2 3B, 224 px, 8 tokens", "caption", tokens=8),
    Case(
        "first-token-448", "PaliGemma 2 3B, 448 px, 8 tokens", "caption", tokens=8, image_size=448
    ),
    *(_caption("PaliGemma 2", side, batch) for side in (224, 448) for batch in (1, 4, 16)),
    *(_caption("PaliGemma", 224, batch) for batch in (1, 4, 16)),
    Case("detect-224", "PaliGemma 2 3B, 224 px, five boxes", "detect", tokens=34),
    Case("detect-448", "PaliGemma 2 3B, 448 px, five boxes", "detect", image_size=448, tokens=34),
    Case(
        "questions-224",
        "PaliGemma 2 3B, 224 px, 20 questions on one picture, answers of 5 tokens",
        "questions",
        batch=20,
        tokens=5,
    ),
    Case("batches-224", "PaliGemma 2 3B, 224 px, 16 pictures at once", "batches", batch=16),
    Case("nano-folder", "nano, a folder of 100 pictures, whole process", "folder"),
    Case("nano-start", "nano, one picture, whole process", "start"),
)

DEFAULT_ENGINES: dict[Device, tuple[str, ...]] = {
    "cpu": ("palikit-int8", "transformers-float32", "transformers-bitsandbytes-int8"),
    "cuda": (
        "palikit-bfloat16",
        "palikit-int8",
        "palikit-int4",
        "transformers-bfloat16",
        "transformers-bitsandbytes-int8",
    ),
}
"""The first is the one whose ratios to the others are told."""

QUESTIONS: tuple[str, ...] = (
    *(f"answer en what is in the {place} of the picture?" for place in ("middle", "foreground")),
    *(f"answer en what color is the {thing}?" for thing in ("sky", "floor", "largest thing")),
    *(f"answer en how many {things} are there?" for things in ("people", "cats", "dogs", "toys")),
    *(f"answer en is there a {thing}?" for thing in ("person", "cat", "tree", "car", "shadow")),
    *(f"answer en where is the {thing}?" for thing in ("cat", "dog", "light")),
    "answer en is it day or night?",
    "answer en was this taken indoors?",
    "answer en what is written in the picture?",
)


@dataclass(frozen=True)
class Contender:
    """An engine and how it is asked; of a case without a checkpoint, a command.

    Attributes:
        name: what it is called in results.
        engine: None for a command.
        batch: pictures at once.
        is_steered: whether the grammar holds the answer.
    """

    name: str
    engine: Engine | None
    batch: int = 1
    is_steered: bool = False


def contenders_of(case: Case, names: tuple[str, ...]) -> tuple[Contender, ...]:
    """Who takes turns in a case, the one whose ratios are told first."""
    engines = [engine_named(name) for name in names]
    ours = [engine for engine in engines if engine.library == "palikit"]
    if case.kind == "folder":
        return Contender("palikit caption folder/", None), Contender("a call a picture", None)
    if case.kind == "start":
        return Contender("palikit detect", None), Contender("import torch", None)
    if case.kind == "detect":
        steered = [Contender(f"{e.name}, grammar", e, is_steered=True) for e in ours]
        return *steered, *(Contender(f"{e.name}, plain", e) for e in engines)
    if case.kind == "batches":
        both = [(engine, batch) for batch in (case.batch, 1) for engine in engines]
        return tuple(Contender(f"{e.name}, batch {batch}", e, batch) for e, batch in both)
    return tuple(Contender(engine.name, engine, case.batch) for engine in engines)


def case_named(name: str) -> Case:
    """The case of this name."""
    return next(case for case in CASES if case.name == name)


def engine_named(name: str) -> Engine:
    """The engine of this name."""
    return next(engine for engine in ENGINES if engine.name == name)
