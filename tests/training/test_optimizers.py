"""Learning rates, decay and what learns."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from palikit.config import PaliGemmaConfig
from palikit.errors import InputError
from palikit.model.paligemma import PaliGemma
from palikit.train_options import LoraOptions, TrainOptions
from palikit.training.freezing import choose_weights, learning
from palikit.training.optimizers import build_optimizer, set_rate
from palikit.training.schedules import schedule_factor
from palikit.training.setup import number_of_steps
from tests import tiny
from tests.training.toy import train, with_options


def by_name(model: PaliGemma, options: TrainOptions) -> dict[str, dict]:
    choose_weights(model, options)
    weights = learning(model)
    optimizer = build_optimizer(weights, options)
    names = {id(weight): name for name, weight in weights.items()}
    return {
        names[id(weight)]: {k: v for k, v in group.items() if k != "params"}
        for group in optimizer.param_groups
        for weight in group["params"]
    }


def test_cosine_follows_its_formula() -> None:
    # big_vision: progress over what is left after the warm-up, times the warm-up's own factor.
    got = [schedule_factor("cosine", step, 100, 0.05) for step in (0, 1, 5, 52, 100)]
    assert got[0] == 0
    assert got[1] == pytest.approx(0.2)
    assert got[2] == 1
    assert got[3] == pytest.approx(0.5, abs=0.01)
    assert got[4] == pytest.approx(0)


def test_linear_and_constant_follow_theirs() -> None:
    assert [schedule_factor("linear", s, 10, 0.0) for s in (0, 5, 10)] == [1, 0.5, 0]
    assert [schedule_factor("constant", s, 10, 0.2) for s in (0, 1, 2, 9)] == [0, 0.5, 1, 1]


def test_decay_reaches_the_matrices_that_big_vision_names_kernels() -> None:
    groups = by_name(tiny.model(), TrainOptions(weight_decay=1e-6))
    decaying = {name for name, group in groups.items() if group["weight_decay"]}
    assert decaying == {
        name
        for name in groups
        if name.endswith(".weight")
        and re.match(r"vision_tower\.(patch_embedding|layers)|multi_modal_projector", name)
        and "norm" not in name
    }
    assert "vision_tower.patch_embedding.weight" in decaying
    assert "multi_modal_projector.weight" in decaying


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_decay_that_reaches_nothing_is_told(tmp_path: Path, optimizer: str) -> None:
    options = with_options(method="lora", weight_decay=1e-5, optimizer=optimizer, steps=1)
    reaching = replace(options, weight_decay_on="lora")
    for name, given, count in (("silent", options, 1), ("told", reaching, 0)):
        told: list[str] = []
        train(tmp_path / name, given, on_remark=told.append)
        assert sum("no weight that learns decays" in line for line in told) == count


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adamw8bit"])
@pytest.mark.parametrize("multiplier", [None, "vision_tower=0.1"])
def test_decay_does_not_depend_on_the_learning_rate(optimizer: str, multiplier: str | None) -> None:
    options = TrainOptions(
        optimizer=optimizer, learning_rate=1e-1, weight_decay=1e-2, rate_multipliers=multiplier
    )
    weight = torch.nn.Parameter(torch.full((32, 32), 3.0))
    made = build_optimizer({"vision_tower.layers.0.mlp.fc1.weight": weight}, options)
    weight.grad = torch.zeros_like(weight)
    set_rate(made, 0.5 * options.learning_rate)
    made.step()
    torch.testing.assert_close(weight.detach(), torch.full((32, 32), 3.0 * (1 - 0.5e-2)))


def test_multipliers_reach_the_weights_they_name() -> None:
    options = TrainOptions(rate_multipliers="vision_tower.*bias=0.5, vision_tower=0.1")
    groups = by_name(tiny.model(), options)
    for name, group in groups.items():
        tower, bias = name.startswith("vision_tower"), name.endswith("bias")
        assert group["rate_multiplier"] == ((0.5 if bias else 0.1) if tower else 1.0)


def test_a_multiplier_that_names_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="'projektor', which is found in the name of no weight"):
        by_name(tiny.model(), TrainOptions(rate_multipliers="projektor=0.1"))


def meta_model() -> PaliGemma:
    with torch.device("meta"):
        return PaliGemma(PaliGemmaConfig())


def trainable(options: TrainOptions) -> int:
    model = meta_model()
    choose_weights(model, options)
    return sum(weight.numel() for weight in learning(model).values())


def test_the_attention_recipe_has_the_published_number_of_weights() -> None:
    assert trainable(TrainOptions(method="attention")) == 169_869_312


def test_tower_and_projector_are_frozen_by_switches_of_their_own() -> None:
    whole = trainable(TrainOptions())
    projector = 1152 * 2048 + 2048
    without_tower = trainable(TrainOptions(method="frozen_tower"))
    assert trainable(TrainOptions(freeze_image_tower=True)) == without_tower
    assert whole - trainable(TrainOptions(freeze_projector=True)) == projector
    both = TrainOptions(freeze_image_tower=True, freeze_projector=True)
    assert without_tower - trainable(both) == projector
    embeddings = 257216 * 2048
    assert whole - trainable(TrainOptions(freeze_embeddings=True)) == embeddings
    assert trainable(TrainOptions(freeze_decoder=True)) == whole - (
        trainable(TrainOptions(freeze_image_tower=True, freeze_projector=True)) - embeddings
    )


def test_expressions_choose_weights_by_name() -> None:
    groups = by_name(tiny.model(), TrainOptions(train=r"mlp\.", freeze=r"layers\.0\."))
    assert groups
    assert all(".mlp." in name and ".layers.0." not in name for name in groups)


def test_nothing_left_to_learn_is_refused() -> None:
    with pytest.raises(InputError, match="nothing learns"):
        choose_weights(tiny.model(), TrainOptions(train="nonesuch"))


def test_switches_reach_adapters_too() -> None:
    from palikit.training.setup import choose_learning

    model = tiny.model()
    lora = LoraOptions(lora_image_tower="q")
    choose_learning(model, TrainOptions(method="lora", freeze_image_tower=True), lora)
    assert not any("vision_tower" in name for name in learning(model))
    assert any("lora_A" in name for name in learning(model))


def test_epochs_become_steps_as_big_vision_rounds_them() -> None:
    assert number_of_steps(100, TrainOptions(epochs=1.5, batch_size=32)) == 5
    assert number_of_steps(3, TrainOptions(epochs=1, batch_size=32)) == 1
    assert number_of_steps(2**40, TrainOptions(steps=7)) == 7
    with pytest.raises(InputError, match="give steps"):
        number_of_steps(2**40, TrainOptions())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"method": "half"}, "method is 'half'"),
        ({"steps": 0}, "steps is 0"),
        ({"batch_size": 8, "accumulation": 3}, "batch_size is 8: it must be a multiple of 3"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"warmup": 1.0}, "warmup is 1.0"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"freeze": "("}, "freeze is '\\('"),
        ({"rate_multipliers": "a=0"}, "with a factor above 0"),
        ({"rate_multipliers": "a"}, "expected such as"),
        ({"weight_decay": 0.01}, "PyTorch's 0.01 is 1e-07 here"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        TrainOptions(**wrong)


def test_muon_moves_matrices_of_layers_by_orthogonal_steps_and_the_rest_as_adamw() -> None:
    torch.manual_seed(0)
    matrix, table = (torch.nn.Parameter(torch.zeros(16, 16)) for _ in range(2))
    weights = {"language_model.layers.0.mlp.up_proj.weight": matrix, "embed_tokens.weight": table}
    made = build_optimizer(weights, TrainOptions(optimizer="muon", learning_rate=0.1))
    set_rate(made, 0.1)
    for weight in weights.values():
        weight.grad = torch.randn(16, 16)
    made.step()
    singular = torch.linalg.svdvals(matrix.detach())
    assert singular.max() / singular.min() < 2
    torch.testing.assert_close(table.detach().abs(), torch.full((16, 16), 0.1))
    assert set(made.state) == {matrix, table}
    made.zero_grad()
    assert matrix.grad is None
