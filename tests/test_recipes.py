"""The table of recipes: every published transfer is there, with the published values."""

import json
import shlex
from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

from palikit.cli.program import main
from palikit.errors import InputError
from palikit.recipes import (
    RATE_FACTORS,
    RECIPES,
    Recipe,
    finetune_command,
    model_name,
    recipe_named,
    recipe_options,
    setting_of,
)
from palikit.train_options import LoraOptions, LossOptions, TrainOptions

BIG_VISION = [
    "activitynet_cap",
    "activitynet_qa",
    "ai2d",
    "aokvqa_da",
    "aokvqa_mc",
    "chartqa",
    "coco35l",
    "cococap",
    "docvqa",
    "forkme",
    "gqa",
    "infovqa",
    "msrvtt_cap",
    "msrvtt_qa",
    "msvd_qa",
    "nlvr2",
    "ocrvqa",
    "okvqa",
    "pope",
    "refcoco_seg",
    "rsvqa_hr",
    "rsvqa_lr",
    "scicap",
    "science_qa",
    "screen2words",
    "stvqa",
    "tallyqa",
    "textcaps",
    "textvqa",
    "vatex_cap",
    "vertexai_l4",
    "vizwizvqa",
    "vqav2",
    "widgetcap",
]
"""The files of big_vision's transfers folder, without common.py."""

SECOND_REPORT = [
    "text-detection",
    "tables",
    "molecules",
    "music",
    "docci",
    "vsr",
    "mimic-cxr",
    "coco-detection",
    "doclaynet",
]


@pytest.mark.parametrize("file", BIG_VISION)
def test_every_published_transfer_has_a_recipe_that_names_its_file(file: str) -> None:
    assert f"transfers/{file}.py" in recipe_named(file).source


@pytest.mark.parametrize("name", [*SECOND_REPORT, "post-vqav2", "post-lora", "post-qlora", "colab"])
def test_later_reports_posts_and_notebooks_have_theirs(name: str) -> None:
    assert recipe_named(name).source


def test_names_are_unique() -> None:
    names = [recipe.name for recipe in RECIPES]
    assert len(set(names)) == len(names)


# epochs, batch, rate, decay, smoothing, dropout, image frozen, tokens
PUBLISHED = [
    ("cococap", 448, (5, 256, 1e-5, 1e-6, 0, 0, False, 32)),
    ("scicap", 224, (80, 256, 3e-5, 0, 0.1, 0.1, False, 96)),
    ("screen2words", 448, (10, 256, 1e-5, 0, 0.2, 0.3, False, 24)),
    ("widgetcap", 224, (4, 64, 3e-6, 3e-7, 0.1, 0.1, False, 32)),
    ("vqav2", 224, (10, 256, 1e-5, 1e-6, 0, 0, False, 32)),
    ("vqav2", 448, (10, 256, 1e-5, 0, 0, 0, False, 32)),
    ("gqa", 224, (1, 256, 1e-5, 0, 0, 0, False, 32)),
    ("gqa", 448, (1, 256, 1e-5, 0, 0, 0, True, 32)),
    ("nlvr2", 448, (10, 256, 3e-6, 3e-7, 0, 0, False, 64)),
    ("science-qa", 224, (20, 128, 1e-5, 0, 0, 0, True, 512)),
    ("chartqa", 448, (30, 256, 1e-5, 1e-6, 0.2, 0.1, False, 48)),
    ("tallyqa", 896, (2, 256, 7e-6, 7e-7, 0, 0, False, 32)),
    ("textvqa", 448, (10, 256, 3e-6, 3e-7, 0, 0, False, 32)),
    ("infovqa", 896, (3, 32, 3e-6, 3e-7, 0.4, 0, False, 48)),
    ("refcoco-seg", 224, (100, 256, 3e-5, 0, 0.3, 0.1, False, 48)),
    ("refcoco-seg", 896, (100, 64, 1e-5, 0, 0.3, 0, False, 48)),
    ("msrvtt-cap", 224, (20, 128, 1e-5, 0, 0, 0, True, 32)),
    ("forkme", 224, (15, 32, 1e-5, 3e-7, 0, 0, False, 128)),
]


@pytest.mark.parametrize(("name", "resolution", "expected"), PUBLISHED)
def test_options_are_the_published_ones(
    name: str, resolution: int, expected: tuple[float, ...]
) -> None:
    options = recipe_options(name, resolution)
    train = options.train
    assert train.freeze_image_tower == train.freeze_projector
    assert (
        train.epochs,
        train.batch_size,
        train.learning_rate,
        train.weight_decay,
        options.loss.label_smoothing,
        train.dropout,
        train.freeze_image_tower,
        train.max_text_tokens,
    ) == expected
    assert (train.optimizer, train.schedule, train.warmup) == ("adamw", "cosine", 0.05)


def test_decoding_is_that_of_the_published_results() -> None:
    assert recipe_options("cococap").generation.num_beams == 2
    assert recipe_options("textcaps").generation.num_beams == 3
    assert recipe_options("vqav2").generation.num_beams == 1
    assert recipe_options("scicap").generation.max_new_tokens == 96


def test_the_posts_low_rank_recipe_is_rank_eight_on_decoder_and_image_tower() -> None:
    options = recipe_options("post-lora")
    assert options.lora == LoraOptions(lora_image_tower="q,k,v")
    assert (options.lora.lora_rank, options.lora.lora_decoder) == (8, "q,k,v,o,gate,up,down")
    assert (options.train.batch_size, options.train.accumulation) == (64, 4)
    assert (options.train.learning_rate, options.train.schedule) == (2e-5, "linear")
    assert options.loss == LossOptions(mean="token", softcap=True, padding_rows=True)
    assert recipe_options("post-qlora").train.method == "qlora"
    assert recipe_options("post-qlora").train.optimizer == "adamw8bit"


def test_the_colab_trains_attention_by_plain_gradient_descent() -> None:
    train = recipe_options("colab").train
    assert (train.method, train.optimizer, train.steps) == ("attention", "sgd", 64)
    assert (train.learning_rate, train.warmup, train.clip_norm) == (0.03, 0.1, 0.0)


def test_larger_models_begin_with_smaller_rates() -> None:
    assert [factor for _, factor in RATE_FACTORS] == [1.0, 0.5, 0.25, 0.25]
    train = recipe_options("cococap", 224, "paligemma2-3b").train
    assert (train.learning_rate, train.weight_decay) == (5e-6, 5e-7)
    assert recipe_options("cococap", 224, "paligemma2-28b").train.learning_rate == 2.5e-6
    # Published for PaliGemma 2 already: nothing is scaled.
    assert recipe_options("mimic-cxr", 448, "paligemma2-3b").train.learning_rate == 5e-6


def test_what_was_not_published_stays_at_its_default() -> None:
    assert setting_of(recipe_named("docci")).learning_rate is None
    assert recipe_options("docci").train.learning_rate == TrainOptions().learning_rate


@pytest.mark.parametrize(
    ("name", "resolution", "message"),
    [
        ("refcoco-sge", None, "did you mean refcoco-seg"),
        ("cococap", 896, "for 224, 448"),
        ("pope", None, "trains nothing"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(
    name: str, resolution: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        recipe_options(name, resolution)


@pytest.mark.parametrize("recipe", [r for r in RECIPES if r.settings], ids=lambda r: r.name)
def test_the_command_spells_out_what_the_recipe_stands_for(recipe: Recipe) -> None:
    """Reading the flags of the command back gives the same options."""
    for resolution in recipe.resolutions:
        options = recipe_options(recipe.name, resolution)
        words = shlex.split(finetune_command(recipe.name, resolution))
        assert words[:4] == ["palikit", "finetune", "--model", model_name(recipe.model, resolution)]
        for part in (options.train, options.loss):
            for field in fields(part):
                value = getattr(part, field.name)
                flag = "--" + field.name.replace("_", "-")
                # Left out, the limit of text is the model's own.
                if value == field.default and field.name != "max_text_tokens":
                    assert flag not in words
                elif value is not True:
                    assert type(value)(words[words.index(flag) + 1]) == value


@pytest.mark.parametrize("recipe", [r for r in RECIPES if r.settings], ids=lambda r: r.name)
def test_the_command_is_one_that_the_command_line_takes(recipe: Recipe) -> None:
    finetune = main.get_command(click.Context(main), "finetune")
    assert finetune is not None
    for resolution in recipe.resolutions:
        words = shlex.split(finetune_command(recipe.name, resolution))
        finetune.make_context("finetune", words[2:])


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["recipes", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_list_has_a_line_for_each() -> None:
    lines = run().splitlines()
    assert len(lines) == 1 + len(RECIPES)
    assert lines[0].split()[:4] == ["name", "task", "resolution", "method"]
    assert len(json.loads(run("--format", "json"))) == len(RECIPES)


def test_a_setting_without_a_recipe_is_refused() -> None:
    result = CliRunner().invoke(main, ["recipes", "--size", "paligemma2-3b"])
    assert result.exit_code != 0
    assert "name it" in result.output


def test_one_recipe_is_shown_with_its_source_and_its_command() -> None:
    shown = run("refcoco-seg", "--resolution", "448", "--size", "paligemma2-3b")
    assert "transfers/refcoco_seg.py" in shown
    assert "--model google/paligemma2-3b-pt-448" in shown
    assert "--learning-rate 5e-06" in shown
    assert "75.6 / 69.8 / 70.2" in shown


def test_one_recipe_as_json_holds_the_options_it_stands_for() -> None:
    record = json.loads(run("own-detect", "--format", "json"))
    assert record["options"]["train"]["method"] == "lora"
    assert record["command"].startswith("palikit finetune")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_every_recipe_can_be_shown(recipe: Recipe) -> None:
    assert recipe.what in run(recipe.name)
    assert json.loads(run(recipe.name, "--format", "json"))["name"] == recipe.name
