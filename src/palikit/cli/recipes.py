"""The table of recipes: `palikit recipes`, and one of them as the command it stands for."""

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import click

from palikit.cli.command import Command
from palikit.cli.tables import SIZES, in_one_line, print_table
from palikit.errors import InputError

if TYPE_CHECKING:
    from palikit.recipes import ModelSize, Recipe, Setting

_UNKNOWN = "not published"


@click.command(
    cls=Command,
    epilog="""\
palikit recipes
palikit recipes refcoco-seg
palikit recipes refcoco-seg --resolution 448 --size paligemma2-3b
palikit recipes own-detect --format json""",
)
@click.argument("name", required=False)
@click.option("--resolution", type=int, help="Picture side in pixels; by default the smallest.")
@click.option(
    "--size",
    type=click.Choice(SIZES),
    help="The model it is for; by default the one it was published for. Rates of others are "
    "scaled, as a beginning.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="A table, or JSON.",
)
def recipes(
    name: str | None, resolution: int | None, size: "ModelSize | None", output_format: str
) -> None:
    """List ways to fine-tune, or show one.

    Without NAME all are listed; with it, what the recipe is, its settings, where they are
    published, and the command it stands for.
    """
    from palikit.recipes import RECIPES, recipe_named, setting_of

    if name is None:
        if resolution is not None or size is not None:
            raise InputError("--resolution and --size choose a setting of one recipe: name it")
        _list(RECIPES, output_format)
        return
    recipe = recipe_named(name)
    if recipe.settings:
        setting_of(recipe, resolution)  # a size that there is none for is told before all else
    if output_format == "json":
        click.echo(json.dumps(_record(recipe, resolution, size), indent=2, ensure_ascii=False))
        return
    print_table(("", ""), _rows(recipe))
    if recipe.settings:
        _show_setting(recipe, resolution, size)


def _list(shown: "tuple[Recipe, ...]", output_format: str) -> None:
    if output_format == "json":
        records = [asdict(each) for each in shown]
        click.echo(json.dumps(records, indent=2, ensure_ascii=False))
        return
    header = ("name", "task", "resolution", "method", "what", "source")
    print_table(header, [_line(each) for each in shown])


def _line(recipe: "Recipe") -> tuple[str, ...]:
    resolutions = "/".join(map(str, recipe.resolutions)) or "-"
    return (
        recipe.name,
        recipe.task,
        resolutions,
        _method(recipe),
        recipe.what,
        recipe.source,
    )


def _method(recipe: "Recipe") -> str:
    if not recipe.settings:
        return "none"
    frozen = [setting.freeze_image for setting in recipe.settings]
    some = "frozen image" if all(frozen) else "full or frozen image"
    return some if any(frozen) else recipe.train.method.replace("_", " ")


def _rows(recipe: "Recipe") -> list[tuple[str, ...]]:
    decoding = "greedy" if recipe.beams == 1 else f"{recipe.beams} beams"
    length = recipe.text_length
    rows = [
        ("recipe", f"{recipe.name}: {recipe.what}"),
        ("task", recipe.task),
        ("data", recipe.data),
        ("prefix", in_one_line(recipe.prefix)),
        ("suffix", recipe.suffix),
        ("pictures", str(recipe.pictures) if recipe.pictures > 1 else ""),
        ("text", _UNKNOWN if length is None else f"{length} tokens, prompt and answer"),
        ("decoding", decoding),
        ("metric", recipe.metric),
        ("made for", recipe.model),
        ("source", recipe.source),
        ("note", recipe.note),
    ]
    return [(title, value) for title, value in rows if value]


def _show_setting(recipe: "Recipe", resolution: int | None, size: "ModelSize | None") -> None:
    """All settings as a table, then the command of the one that is asked for."""
    from palikit.recipes import finetune_command, setting_of

    chosen = setting_of(recipe, resolution)
    click.echo()
    header = (
        "resolution", "epochs", "steps", "batch", "rate", "decay", "smoothing", "dropout", "image",
        "result",
    )  # fmt: skip
    print_table(header, [_setting(each) for each in recipe.settings])
    model = f", for {size}" if size and size != recipe.model else ""
    click.echo(f"\nAt {chosen.resolution} px{model}:\n")
    click.echo(f"  {finetune_command(recipe.name, chosen.resolution, size)}")


def _setting(setting: "Setting") -> tuple[str, ...]:
    return (
        str(setting.resolution),
        _number(setting.epochs) if setting.steps is None else "-",
        "-" if setting.steps is None else str(setting.steps),
        _number(setting.batch_size),
        _number(setting.learning_rate),
        f"{setting.weight_decay:g}",
        f"{setting.label_smoothing:g}",
        f"{setting.dropout:g}",
        "frozen" if setting.freeze_image else "",
        setting.result,
    )


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:g}"


def _record(recipe: "Recipe", resolution: int | None, size: "ModelSize | None") -> dict[str, Any]:
    """The recipe, and the options and the command it stands for."""
    from palikit.recipes import finetune_command, recipe_options

    record = asdict(recipe)
    if recipe.settings:
        options = recipe_options(recipe.name, resolution, size)
        record["options"] = {
            field.name: asdict(getattr(options, field.name)) for field in fields(options)
        }
        record["command"] = finetune_command(recipe.name, resolution, size)
    return record
