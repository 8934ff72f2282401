"""The options of `palikit finetune`: recipe, model and command line together."""

from dataclasses import replace
from pathlib import Path

import pytest

from palikit.checkpoints.inspection import Contents, describe
from palikit.cli.data_model import DataModel, _released_size
from palikit.cli.finetune import finetune
from palikit.cli.finetune_data import weighted
from palikit.cli.finetune_end import loading_words
from palikit.cli.finetune_options import FinetuneOptions, finetune_options
from palikit.errors import InputError
from palikit.published import VARIANTS, config_for
from palikit.recipes import RATE_FACTORS, recipe_options
from palikit.train_options import TrainOptions
from tests import tiny

MODEL = DataModel(None, 448, 1024, 512, None, size="paligemma-3b")


def options(recipe: str, model: DataModel | None, *arguments: str) -> FinetuneOptions:
    words = ["--data", "d", "--output", "run", *arguments]
    with finetune.make_context("finetune", words) as ctx:
        return finetune_options(ctx, recipe, model)


def test_a_recipe_is_taken_at_the_models_own_resolution() -> None:
    for side in (224, 448):
        found = options("nlvr2", replace(MODEL, image_size=side))
        assert found.train == recipe_options("nlvr2", side).train
    assert recipe_options("nlvr2", 224) != recipe_options("nlvr2", 448)


def test_larger_models_get_their_factor() -> None:
    rates = [
        options("cococap", replace(MODEL, size=size)).train.learning_rate
        for size, _ in RATE_FACTORS
    ]
    assert [rate / rates[0] for rate in rates] == [factor for _, factor in RATE_FACTORS]


def test_a_resolution_without_a_setting_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"no setting for pictures of 896 pixels.*for 224, 448"):
        options("cococap", replace(MODEL, image_size=896))


def test_a_model_of_no_released_size_takes_the_recipe_as_it_is() -> None:
    nano = replace(MODEL, image_size=160, size=None)
    assert options("cococap", nano) == options("cococap", None)


def test_what_is_typed_goes_before_the_setting() -> None:
    found = options("cococap", MODEL, "--learning-rate", "1e-3", "--weight-decay", "0")
    assert (found.train.learning_rate, found.train.weight_decay) == (1e-3, 0)


@pytest.mark.parametrize("side", [224, 448, 896])
def test_released_sizes_are_known_by_their_shape(side: int) -> None:
    names = [_size(config_for(family, size, side)) for family, size, _ in VARIANTS]
    assert names == [size for size, _ in RATE_FACTORS]
    assert _size(tiny.config()) is None


def _size(config) -> str | None:
    contents = Contents(config, (), ())
    found = describe(Path("any"), "transformers", contents, files=(), has_tokenizer=True)
    return _released_size(found)


def test_pictures_that_are_turned_have_no_features_to_keep() -> None:
    with pytest.raises(InputError, match="augment is 'mirror' and cache_features is set"):
        TrainOptions(augment="mirror", cache_features=True)


def test_features_that_are_not_kept_have_no_folder() -> None:
    with pytest.raises(InputError, match="features is 'f' and cache_features is not set"):
        TrainOptions(features="f")


def test_adapters_are_for_the_methods_that_have_them() -> None:
    with pytest.raises(InputError, match="lora_rank is given and method is full"):
        options("cococap", MODEL, "--lora-rank", "4")
    found = options("cococap", MODEL, "--lora-rank", "4", "--method", "lora")
    assert (found.train.method, found.lora.lora_rank) == ("lora", 4)


def test_the_printed_command_says_what_the_model_does_not_know_by_itself() -> None:
    given = ["--data", "d", "--output", "run", "--image-size", "448", "--resize", "bilinear"]
    for method, shown in (("full", ""), ("lora", " --image-size 448")):
        with finetune.make_context("finetune", [*given, "--method", method]) as ctx:
            words = loading_words(finetune_options(ctx, None))
        assert words == f" --resize bilinear{shown}"


def test_a_data_set_is_named_without_its_weight() -> None:
    assert weighted("photos/=0.3") == ("photos/", 0.3)
    assert weighted("a=b") == ("a=b", None)


def test_texts_may_be_as_long_as_the_model_was_trained_with_unless_it_is_said_otherwise() -> None:
    model = replace(MODEL, text_tokens=256)
    words = ["--data", "d", "--output", "run"]
    with finetune.make_context("finetune", list(words)) as ctx:
        assert finetune_options(ctx, None, model).train.max_text_tokens == 256
    with finetune.make_context("finetune", [*words, "--max-text-tokens", "99"]) as ctx:
        assert finetune_options(ctx, None, model).train.max_text_tokens == 99
    recipe = options("own-detect", model).train.max_text_tokens
    assert recipe == recipe_options("own-detect", 448).train.max_text_tokens
