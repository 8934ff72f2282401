"""LoRA layers in our modules: which, how many, and that they add what they say."""

import sys
from dataclasses import replace

import pytest
import torch

from palikit.adapters import (
    adapter_of,
    add_lora,
    load_adapter,
    merge,
    merge_adapter,
    trainable_parameters,
)
from palikit.config import PaliGemmaConfig
from palikit.errors import CheckpointError, InputError, MissingExtraError
from palikit.model.paligemma import PaliGemma
from palikit.train_options import LoraOptions, TrainOptions
from palikit.training.freezing import choose_weights
from tests import tiny
from tests.adapters.trained import EVERYTHING, RELEASE, learn, trained
from tests.tiny import random_inputs

INPUTS = random_inputs([9, 6], [5, 4])


def paligemma_3b() -> PaliGemma:
    """The first release, with as many rows as it was trained with, and no memory."""
    with torch.device("meta"):
        return PaliGemma(PaliGemmaConfig().with_vocab_size(257152))


def test_the_recipe_of_the_release_post_trains_as_many_numbers_as_it_says() -> None:
    model = paligemma_3b()
    add_lora(model, RELEASE)
    counted = trainable_parameters(model)
    assert (counted.trainable, counted.total) == (11_298_816, 2_934_634_224)
    by_tower = {tower.tower: tower.trainable for tower in counted.towers}
    assert by_tower == {
        "image_tower": 1_492_992,
        "projector": 0,
        "embeddings": 0,
        "decoder": 9_805_824,
    }
    assert all(tower.adapters == tower.trainable for tower in counted.towers)


def test_the_attention_only_recipe_trains_as_many_numbers_as_published() -> None:
    model = paligemma_3b()
    choose_weights(model, TrainOptions(method="attention"))
    counted = trainable_parameters(model)
    assert counted.trainable == 169_869_312
    assert counted.total == 2_923_335_408
    assert [tower.tower for tower in counted.towers if tower.trainable] == ["decoder"]


@pytest.mark.parametrize("frozen", ["freeze_image_tower", "freeze_projector"])
def test_image_tower_and_projector_are_frozen_each_by_its_own_switch(frozen: str) -> None:
    model = paligemma_3b()
    choose_weights(model, TrainOptions(**{frozen: True}))
    still = [tower.tower for tower in trainable_parameters(model).towers if not tower.trainable]
    assert still == [frozen.removeprefix("freeze_")]


@torch.no_grad()
@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_at_the_start_lora_changes_not_a_bit(family: str, dtype: torch.dtype) -> None:
    model = tiny.model(family).to(dtype)
    before = model(INPUTS)
    add_lora(model, replace(EVERYTHING, lora_projector="lora"))
    assert torch.equal(model(INPUTS), before)


@torch.no_grad()
@pytest.mark.parametrize("options", [RELEASE, EVERYTHING], ids=["release", "everything"])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_merged_model_computes_what_the_adapted_one_does(
    family: str, options: LoraOptions
) -> None:
    model = trained(family, options)
    adapter, adapted, before = adapter_of(model), model(INPUTS), tiny.model(family)(INPUTS)
    assert (adapted - before).abs().max() > 0.1
    merge(model)
    assert set(model.state_dict()) == set(tiny.model(family).state_dict())
    base = tiny.model(family)
    merge_adapter(base, adapter)
    for merged in (model, base):
        assert (merged(INPUTS) - adapted).abs().max() <= 1e-5 * adapted.abs().max()


@torch.no_grad()
def test_hidden_states_of_a_merged_model_are_within_one_hundred_thousandth() -> None:
    model = trained()
    adapted = model.hidden_states(INPUTS)
    merge(model)
    scale = adapted.abs().max()
    assert ((model.hidden_states(INPUTS) - adapted) / scale).abs().max() <= 1e-5


@torch.no_grad()
def test_merging_into_bfloat16_rounds_once() -> None:
    adapter = adapter_of(trained())
    wide, narrow = tiny.model(), tiny.model().to(torch.bfloat16)
    wide.load_state_dict(narrow.state_dict())
    for model in (wide, narrow):
        merge_adapter(model, adapter)
    for name, weight in narrow.named_parameters():
        assert torch.equal(weight, wide.get_parameter(name).to(torch.bfloat16)), name


def test_merging_replaces_weights_and_writes_into_none() -> None:
    model = tiny.model()
    kept = {name: (weight, weight.clone()) for name, weight in model.named_parameters()}
    merge_adapter(model, adapter_of(trained()))
    assert all(torch.equal(weight, copy) for weight, copy in kept.values())


def test_towers_are_chosen_apart() -> None:
    for options, towers in (
        (LoraOptions(), {"decoder"}),
        (LoraOptions(lora_decoder="none", lora_image_tower="q,k"), {"image_tower"}),
        (LoraOptions(lora_decoder="none", lora_projector="lora"), {"projector"}),
        (LoraOptions(lora_decoder="q_proj, v", lora_projector="full"), {"decoder", "projector"}),
    ):
        model = tiny.model()
        add_lora(model, options)
        counted = trainable_parameters(model).towers
        assert {tower.tower for tower in counted if tower.trainable} == towers
    assert not hasattr(model.language_model.layers[0].self_attn.k_proj, "lora_A")
    assert hasattr(model.language_model.layers[0].self_attn.v_proj, "lora_A")


def test_only_what_is_chosen_gets_a_gradient() -> None:
    model = trained(options=replace(RELEASE, lora_projector="full")).train()
    model(INPUTS).sum().backward()
    got = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert got == {
        name
        for name, _ in model.named_parameters()
        if "lora_" in name or name.startswith("multi_modal_projector")
    }


def test_the_seed_decides_the_first_weights_and_leaves_other_chance_alone() -> None:
    models = [tiny.model() for _ in range(3)]
    state = torch.random.get_rng_state()
    for model, seed in zip(models, (1, 1, 2), strict=True):
        add_lora(model, RELEASE, seed=seed)
    assert torch.equal(torch.random.get_rng_state(), state)
    first, same, other = (adapter_of(model).layers[0].a for model in models)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_lora_weights_are_float32_on_a_base_of_bfloat16() -> None:
    model = tiny.model().to(torch.bfloat16)
    add_lora(model, RELEASE)
    dtypes = {w.dtype for w in model.parameters() if w.requires_grad}
    assert dtypes == {torch.float32}


@torch.no_grad()
@pytest.mark.parametrize("options", [RELEASE, EVERYTHING], ids=["release", "everything"])
def test_a_loaded_adapter_learns_on_from_where_it_was(options: LoraOptions) -> None:
    model, again = trained(options=options), tiny.model()
    load_adapter(again, adapter_of(model))
    assert torch.equal(again(INPUTS), model(INPUTS))
    trains = [
        {name for name, weight in each.named_parameters() if weight.requires_grad}
        for each in (model, again)
    ]
    assert trains[0] == trains[1]
    learn(again, 2)
    assert not torch.equal(again(INPUTS), model(INPUTS))


def test_dropout_acts_in_training_alone() -> None:
    model = trained(options=replace(RELEASE, lora_dropout=0.5))
    with torch.no_grad():
        assert torch.equal(model(INPUTS), model(INPUTS))
        model.train()
        assert not torch.equal(model(INPUTS), model(INPUTS))
    assert adapter_of(model).dropout == 0.5


def test_lora_is_put_in_once() -> None:
    model = trained()
    with pytest.raises(InputError, match="has LoRA layers already: merge them first"):
        add_lora(model, RELEASE)
    merge(model)
    add_lora(model, RELEASE)


def test_options_that_name_no_layer_are_refused() -> None:
    with pytest.raises(InputError, match="name no layer to adapt"):
        add_lora(tiny.model(), LoraOptions(lora_decoder="none"))
    with pytest.raises(CheckpointError, match="no LoRA layers"):
        merge(tiny.model())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lora_rank": 0}, "lora_rank is 0"),
        ({"lora_rank": True}, "lora_rank is True"),
        ({"lora_alpha": 0}, "lora_alpha is 0"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan"),
        ({"lora_dropout": 1.0}, "lora_dropout is 1.0"),
        ({"lora_decoder": "q,fc1"}, "'fc1' is no layer there; choose of q,k,v,o,gate,up,down"),
        ({"lora_image_tower": "o"}, "'o' is no layer there; choose of q,k,v,out,fc1,fc2"),
        ({"lora_projector": "some"}, "lora_projector is 'some'"),
    ],
)
def test_options_out_of_range_are_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LoraOptions(**change)


def test_an_embedding_table_that_learns_too_is_not_saved_as_an_adapter() -> None:
    model = trained()
    model.language_model.embed_tokens.weight.requires_grad_()
    with pytest.raises(CheckpointError, match="embedding table learns too"):
        adapter_of(model)


def test_without_peft_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'palikit\[train\]'"):
        add_lora(tiny.model(), RELEASE)
