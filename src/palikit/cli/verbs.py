"""The verbs: what each asks, and how its arguments are told apart."""

from collections.abc import Callable, Collection, Sequence

import click
from click.core import ParameterSource

from palikit import tasks
from palikit.cli.command import Command
from palikit.cli.options import ParallelOptions, RunOptions, options_of, read_options
from palikit.cli.texts import labels_of, split_questions, split_text
from palikit.errors import InputError
from palikit.options import GenerationOptions, LoadOptions
from palikit.results import Box
from palikit.tasks import Task

_MODEL_HELP = (
    "Folder, .safetensors or .npz file, or a name on the Hub; else PALIKIT_MODEL, else nano."
)
_LANGUAGE_HELP = "Language of the reply, as a code such as en, de or pt-BR."

_OF_OBJECTS = ("grammar", "mask_codec", "mask_edges")
_OF_MASKS = ("mask_codec", "mask_edges")
_OF_BOXES = ("coordinates", *_OF_OBJECTS)
"""Options that mean nothing to some verbs, which do not offer them."""


def _verb(
    name: str, arguments: str, examples: Sequence[str], *, without: Collection[str] = ()
) -> Callable[[Callable[..., None]], click.Command]:
    """A command over inputs with the options that all verbs share."""

    def decorate(function: Callable[..., None]) -> click.Command:
        for decorator in (
            options_of(ParallelOptions),
            options_of(LoadOptions, without=without),
            options_of(GenerationOptions, without=without),
            options_of(RunOptions),
            click.option(
                "--model", "-m", envvar="PALIKIT_MODEL", metavar="MODEL", help=_MODEL_HELP
            ),
            click.argument("arguments", nargs=-1, metavar=arguments),
            click.pass_context,
        ):
            function = decorator(function)
        return click.command(name, cls=Command, epilog="\n".join(examples))(function)

    return decorate


@_verb(
    "caption",
    "INPUT...",
    (
        "palikit caption photo.jpg --model google/paligemma2-3b-mix-448",
        "palikit caption photo.jpg --language de",
        "palikit caption photo.jpg --box 120,40,380,300",
        "palikit caption photos/ --output captions.jsonl",
    ),
    without=_OF_OBJECTS,
)
@click.option("--language", default="en", show_default=True, help=_LANGUAGE_HELP)
@click.option("--box", metavar="X1,Y1,X2,Y2", help="Caption this region, in pixels of the picture.")
def caption(
    ctx: click.Context,
    arguments: tuple[str, ...],
    model: str | None,
    language: str,
    box: str | None,
) -> None:
    """Describe each picture in a sentence."""
    if box is not None:
        _ask_about_region(ctx, arguments, box, model)
    else:
        _ask(ctx, arguments, [tasks.caption(language)], model)


@_verb(
    "describe",
    "INPUT...",
    (
        "palikit describe photo.jpg",
        "palikit describe photo.jpg --language fr --max-new-tokens 512",
        "palikit describe photos/ --output descriptions.csv",
    ),
    without=_OF_BOXES,
)
@click.option("--language", default="en", show_default=True, help=_LANGUAGE_HELP)
def describe(
    ctx: click.Context, arguments: tuple[str, ...], model: str | None, language: str
) -> None:
    """Describe each picture in detail."""
    _ask(ctx, arguments, [tasks.describe(language)], model)


@_verb(
    "answer",
    "INPUT... QUESTION...",
    (
        'palikit answer photo.jpg "how many people are there?"',
        'palikit answer photo.jpg "how many people are there?" "what are they doing?"',
        'palikit answer left.jpg right.jpg "what has changed?" --together',
        'palikit answer clip.mp4 "what is being cooked?" --frames 8',
    ),
    without=_OF_BOXES,
)
@click.option("--language", default="en", show_default=True, help=_LANGUAGE_HELP)
def answer(
    ctx: click.Context, arguments: tuple[str, ...], model: str | None, language: str
) -> None:
    """Answer questions about each picture.

    Several are answered in their order, on standard output.
    """
    inputs, texts = split_questions(arguments)
    _ask(ctx, inputs, [tasks.answer(text, language) for text in texts], model)


@_verb(
    "ocr",
    "INPUT...",
    (
        "palikit ocr receipt.jpg",
        "palikit ocr scans/ --format csv --output texts.csv",
        "palikit ocr https://example.com/sign.jpg",
    ),
    without=_OF_BOXES,
)
def ocr(ctx: click.Context, arguments: tuple[str, ...], model: str | None) -> None:
    """Read the text in each picture."""
    _ask(ctx, arguments, [tasks.ocr()], model)


@_verb(
    "detect",
    "INPUT... LABELS",
    (
        'palikit detect photo.jpg "cat ; dog" --save boxes.png',
        "palikit detect photo.jpg person --format json",
        'palikit detect photos/ "car ; bus" --output boxes.json --format coco --save drawn/',
    ),
    without=_OF_MASKS,
)
def detect(ctx: click.Context, arguments: tuple[str, ...], model: str | None) -> None:
    """Find what the labels name, with a box around each."""
    inputs, text = split_text(arguments, "list of labels")
    labels, remarks = labels_of(text)
    _ask(ctx, inputs, [tasks.detect(labels)], model, remarks)


@_verb(
    "segment",
    "INPUT... LABELS",
    (
        "palikit segment photo.jpg cat --save outlines.png",
        'palikit segment photo.jpg "cat ; dog" --mask-codec vae-oid.npz --format json',
        'palikit segment --refer photo.jpg "the cat on the left"',
    ),
)
@click.option(
    "--refer",
    is_flag=True,
    help="The text is one expression, for checkpoints fine-tuned on RefCOCO.",
)
def segment(
    ctx: click.Context, arguments: tuple[str, ...], model: str | None, *, refer: bool
) -> None:
    """Find what the labels name, with an outline of each."""
    inputs, text = split_text(arguments, "expression" if refer else "list of labels")
    labels, remarks = (text, []) if refer else labels_of(text)
    task = tasks.refer(text) if refer else tasks.segment(labels)
    _ask(ctx, inputs, [task], model, remarks)


@_verb(
    "generate",
    "INPUT... PROMPT",
    (
        'palikit generate photo.jpg "cap en"',
        'palikit generate photo.jpg "detect cat" --temperature 0.7 --seed 3',
        'palikit generate photo.jpg ""',
    ),
    without=_OF_BOXES,
)
def generate(ctx: click.Context, arguments: tuple[str, ...], model: str | None) -> None:
    """Send any prompt as it is.

    The prompt may be empty.
    """
    inputs, text = split_text(arguments, "prompt")
    _ask(ctx, inputs, [tasks.plain(text)], model)


VERBS = (caption, describe, answer, ocr, detect, segment, generate)
"""In the order of the help."""


def _ask(
    ctx: click.Context,
    inputs: Sequence[str],
    asked: Sequence[Task],
    model: str | None,
    remarks: Sequence[str] = (),
) -> None:
    from palikit.batch import Question
    from palikit.cli.asking import ask

    ask(ctx, inputs, [Question.of(task) for task in asked], model, remarks)


def _ask_about_region(
    ctx: click.Context, inputs: Sequence[str], text: str, model: str | None
) -> None:
    """A region's prompt depends on the size of the picture, so there is one for each."""
    from palikit.batch import Question
    from palikit.cli.asking import ask

    if ctx.get_parameter_source("language") is not ParameterSource.DEFAULT:
        raise InputError("--box and --language do not go together: a region has no language")
    if read_options(ctx, RunOptions).together:
        raise InputError("--box and --together do not go together: a region is of one picture")
    question = Question.about(_box(text), read_options(ctx, LoadOptions).coordinates)
    ask(ctx, inputs, [question], model)


def _box(text: str) -> Box:
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--box {text} is no region: give left, top, right and bottom in pixels, for example "
            "--box 120,40,380,300"
        ) from None
    if not (x1 < x2 and y1 < y2):
        raise InputError(
            f"--box {text} is no region: X1,Y1,X2,Y2 are left, top, right and bottom, with x1 < x2 "
            "and y1 < y2"
        )
    return Box(x1, y1, x2, y2)
