"""Published hyper-parameters of every transfer, and recipes of our own to copy. No torch here."""

from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from shlex import quote

from palikit.errors import InputError
from palikit.options import GenerationOptions
from palikit.recipes.captions import CAPTIONS, SEGMENTATION
from palikit.recipes.own import OWN
from palikit.recipes.questions import QUESTIONS
from palikit.recipes.reading import READING
from palikit.recipes.release_posts import POSTS, SMALL_MACHINES
from palikit.recipes.row import ModelSize, Recipe, Setting
from palikit.recipes.second_report import SECOND_REPORT
from palikit.recipes.video import VIDEO
from palikit.train_options import LoraOptions, LossOptions, TrainOptions

__all__ = [
    "RATE_FACTORS",
    "RECIPES",
    "ModelSize",
    "Recipe",
    "RecipeOptions",
    "Setting",
    "finetune_command",
    "model_name",
    "recipe_named",
    "recipe_options",
    "setting_of",
]

TRANSFERS = (*CAPTIONS, *QUESTIONS, *READING, *SEGMENTATION, *VIDEO)

RECIPES = (*OWN, *POSTS, *SMALL_MACHINES, *TRANSFERS, *SECOND_REPORT)

RATE_FACTORS: tuple[tuple[ModelSize, float], ...] = (
    ("paligemma-3b", 1.0),
    ("paligemma2-3b", 0.5),
    ("paligemma2-10b", 0.25),
    ("paligemma2-28b", 0.25),
)
"""Learning rates of PaliGemma 2 beside those of PaliGemma (arXiv 2412.03555, section 3).

Published for the pretraining. For transfers the report only says that larger models want smaller
rates, after a search from 3e-7 to 3e-5 for each task: these factors are where to begin one.
"""


@dataclass(frozen=True)
class RecipeOptions:
    """A recipe as the options of a run; what a user gives besides overrides them.

    Attributes:
        train, loss, lora: of the training; `lora` matters to the methods lora and qlora alone.
        generation: how its answers were generated for the published results.
    """

    train: TrainOptions
    loss: LossOptions
    lora: LoraOptions
    generation: GenerationOptions


def recipe_named(name: str) -> Recipe:
    """The recipe of that name; underscores stand for hyphens, as in big_vision's files.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    wanted = name.strip().lower().replace("_", "-")
    names = [recipe.name for recipe in RECIPES]
    if wanted in names:
        return RECIPES[names.index(wanted)]
    near = get_close_matches(wanted, names, n=1)
    advice = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"there is no recipe {name!r}: {advice}`palikit recipes` lists them")


def setting_of(recipe: Recipe, resolution: int | None = None) -> Setting:
    """The hyper-parameters at a resolution in pixels; None takes the smallest there is.

    Raises:
        InputError: nothing is trained in this recipe, or not at this resolution.
    """
    if not recipe.settings:
        raise InputError(f"recipe {recipe.name} trains nothing: {recipe.note}")
    for setting in recipe.settings:
        if resolution in (None, setting.resolution):
            return setting
    known = ", ".join(map(str, recipe.resolutions))
    raise InputError(
        f"recipe {recipe.name} has no setting for pictures of {resolution} pixels: there is one "
        f"for {known}; take a model of such a size, or set another picture size"
    )


def recipe_options(
    name: str, resolution: int | None = None, size: ModelSize | None = None
) -> RecipeOptions:
    """The options that a recipe stands for.

    Args:
        name: of a recipe.
        resolution: picture side in pixels; None takes the smallest of the recipe.
        size: of the model; None for the one the recipe was published for. For another one rate
            and decay are scaled by `RATE_FACTORS`, as a beginning; those of our own are not.

    Raises:
        InputError: no such recipe or setting.
    """
    recipe = recipe_named(name)
    setting = setting_of(recipe, resolution)
    train = recipe.train
    if setting.learning_rate is not None:
        factors = dict(RATE_FACTORS)
        factor = 1.0 if recipe in OWN else factors[size or recipe.model] / factors[recipe.model]
        train = replace(
            train,
            learning_rate=_rounded(setting.learning_rate * factor),
            weight_decay=_rounded(setting.weight_decay * factor),
        )
    train = replace(
        train,
        epochs=setting.epochs or train.epochs,
        steps=setting.steps,
        batch_size=setting.batch_size or train.batch_size,
        dropout=setting.dropout,
        freeze_image_tower=setting.freeze_image or train.freeze_image_tower,
        freeze_projector=setting.freeze_image or train.freeze_projector,
    )
    smoothing = setting.label_smoothing or recipe.loss.label_smoothing
    return RecipeOptions(
        train,
        replace(recipe.loss, label_smoothing=smoothing),
        recipe.lora,
        GenerationOptions(
            max_new_tokens=recipe.text_length or train.max_text_tokens, num_beams=recipe.beams
        ),
    )


def model_name(size: ModelSize, resolution: int) -> str:
    """The pretrained checkpoint on the Hub that a transfer begins with."""
    family, _, parameters = size.rpartition("-")
    return f"google/{family}-{parameters}-pt-{resolution}"


def finetune_command(
    name: str, resolution: int | None = None, size: ModelSize | None = None
) -> str:
    """The command that a recipe stands for, every option spelled out that is no default.

    Raises:
        InputError: as of `recipe_options`.
    """
    recipe = recipe_named(name)
    options = recipe_options(name, resolution, size)
    setting = setting_of(recipe, resolution)
    model = model_name(size or recipe.model, setting.resolution)
    groups: list[object] = [options.train, options.loss]
    if options.train.method in ("lora", "qlora"):
        groups.append(options.lora)
    flags = [flag for group in groups for flag in _flags(group)]
    return " ".join([f"palikit finetune --model {model} --data DATA --output RUN", *flags])


def _flags(options: object) -> list[str]:
    """Fields that are not at their default, as the command line writes them."""
    flags = []
    for field in fields(options):  # type: ignore[arg-type]  # options classes are dataclasses
        value = getattr(options, field.name)
        name = "--" + field.name.replace("_", "-")
        # Without a recipe the limit of text is the model's, whatever the default here.
        if value == field.default and field.name != "max_text_tokens":
            continue
        if isinstance(value, bool):
            flags.append(name if value else f"--no-{name[2:]}")
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            flags.append(f"{name} {quote(text)}")
    return flags


def _rounded(rate: float) -> float:
    """Without the last digits that a product of floats has."""
    return float(f"{rate:.6g}")
