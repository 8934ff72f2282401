"""The base of QLoRA: really 4 bits, in memory and on disk, and still a model that learns."""

import logging
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from palikit.adapters import (
    adapter_of,
    add_lora,
    load_adapter,
    merge,
    merge_adapter,
    trainable_parameters,
)
from palikit.config import PaliGemmaConfig, TextConfig, VisionConfig
from palikit.errors import CheckpointError, MissingExtraError
from palikit.model.paligemma import PaliGemma
from palikit.quantization import (
    load_quantized_base,
    quantize_base_nf4,
    require_four_bit,
    save_quantized_base,
)
from tests import tiny
from tests.adapters.trained import RELEASE, learn, trained
from tests.tiny import random_inputs

pytest.importorskip("bitsandbytes")

INPUTS = random_inputs([9, 6], [5, 4])
CPU = torch.device("cpu")
NF4 = "quant_state.bitsandbytes__nf4"


def wide() -> PaliGemma:
    """Wide enough that scales and tables are small beside the weights, as in a real model."""
    text = TextConfig("gemma2", 300, 512, 1024, 2, 4, 2, 128)
    torch.manual_seed(0)
    return PaliGemma(PaliGemmaConfig(VisionConfig(24, 40, 1, 2), text, 299))


@torch.no_grad()
def dequantized(model: PaliGemma) -> PaliGemma:
    """A float model of the very numbers that the 4-bit one stands for."""
    import bitsandbytes

    plain = PaliGemma(model.config).eval()
    for name, weight in model.named_parameters():
        state = getattr(weight, "quant_state", None)
        value = weight if state is None else bitsandbytes.functional.dequantize_4bit(weight, state)
        plain.get_parameter(name).copy_(value)
    return plain


@pytest.mark.parametrize(("double_quant", "most"), [(False, 0.564), (True, 0.52)])
def test_the_base_takes_little_more_than_half_a_byte_a_number(
    double_quant: bool, most: float, tmp_path: Path
) -> None:
    model = wide()
    layers = [m for m in model.language_model.modules() if isinstance(m, torch.nn.Linear)]
    held = quantize_base_nf4(model, double_quant=double_quant)
    assert held.layers == len(layers) == 14
    assert held.numbers == sum(layer.weight.numel() for layer in layers)
    assert 0.5 < held.nbytes / held.numbers < most
    save_quantized_base(model, tmp_path / "base.safetensors")
    packed = {
        key: tensor.nbytes
        for key, tensor in load_file(tmp_path / "base.safetensors").items()
        if key.startswith("language_model.model.layers") and "_proj." in key
    }
    assert sum(packed.values()) == held.nbytes


def test_a_quantised_model_computes_with_the_numbers_it_stands_for() -> None:
    for double_quant in (False, True):
        model = tiny.model()
        quantize_base_nf4(model, towers=("decoder", "image_tower"), double_quant=double_quant)
        with torch.no_grad():
            expected, got = dequantized(model)(INPUTS), model(INPUTS)
        assert (got - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_only_the_linear_layers_of_the_chosen_towers_are_quantised() -> None:
    model = tiny.model()
    quantize_base_nf4(model)
    dtypes = {name: weight.dtype for name, weight in model.named_parameters()}
    packed = {name for name, dtype in dtypes.items() if dtype == torch.uint8}
    assert packed == {n for n in dtypes if n.startswith("language_model") and "_proj" in n}
    assert dtypes["language_model.embed_tokens.weight"] == torch.float32
    with pytest.raises(CheckpointError, match="is not held in 4 bits: 576 numbers take 2,304"):
        require_four_bit(model, ("image_tower",))
    quantize_base_nf4(model, towers=("image_tower", "projector"))
    assert require_four_bit(model, ("image_tower", "projector", "decoder")).layers == 34


def test_a_model_that_only_says_it_is_quantised_is_found_out() -> None:
    model = tiny.model()
    model.is_loaded_in_4bit = True
    with pytest.raises(CheckpointError, match="is not held in 4 bits"):
        require_four_bit(model)
    quantize_base_nf4(model)
    layer = model.language_model.layers[1].mlp.up_proj
    layer.weight = torch.nn.Parameter(torch.zeros(48, 32))
    with pytest.raises(CheckpointError, match=r"layers\.1\.mlp\.up_proj is not held in 4 bits"):
        require_four_bit(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("double_quant", [False, True])
def test_a_saved_base_is_loaded_bit_by_bit(
    tmp_path: Path, dtype: torch.dtype, double_quant: bool
) -> None:
    model, file = tiny.model().to(dtype), tmp_path / "base.safetensors"
    quantize_base_nf4(model, towers=("decoder", "image_tower"), double_quant=double_quant)
    save_quantized_base(model, file)
    with torch.device("meta"):
        again = PaliGemma(model.config).eval()
    load_quantized_base(again, file, CPU)
    require_four_bit(again, ("decoder", "image_tower"))
    ours, theirs = model.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    with torch.no_grad():
        assert torch.equal(again(INPUTS), model(INPUTS))
    with pytest.raises(CheckpointError, match="exists"):
        save_quantized_base(model, file)


def test_the_file_has_the_keys_of_bitsandbytes_under_the_released_names(tmp_path: Path) -> None:
    model = tiny.model()
    quantize_base_nf4(model)
    save_quantized_base(model, tmp_path / "base.safetensors")
    stored = load_file(tmp_path / "base.safetensors")
    layer = "language_model.model.layers.0.self_attn.q_proj"
    found = {key.removeprefix(layer): t.dtype for key, t in stored.items() if key.startswith(layer)}
    assert found == {
        ".weight": torch.uint8,
        ".weight.absmax": torch.float32,
        ".weight.quant_map": torch.float32,
        f".weight.{NF4}": torch.uint8,
    }
    assert stored[f"{layer}.weight"].shape == (2048 * 32 // 2, 1)
    assert stored["language_model.model.embed_tokens.weight"].dtype == torch.float32
    with safe_open(tmp_path / "base.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_a_base_is_saved_without_the_adapter_on_it(tmp_path: Path) -> None:
    model = tiny.model()
    quantize_base_nf4(model)
    save_quantized_base(model, tmp_path / "plain.safetensors")
    add_lora(model, RELEASE)
    save_quantized_base(model, tmp_path / "adapted.safetensors")
    plain, adapted = (load_file(tmp_path / f"{n}.safetensors") for n in ("plain", "adapted"))
    assert plain.keys() == adapted.keys()
    assert all(torch.equal(plain[key], adapted[key]) for key in plain)


@pytest.mark.parametrize("change", ["cut", "absmax", "shape", "unknown", "lost"])
def test_a_damaged_base_is_refused(tmp_path: Path, change: str) -> None:
    model, file = tiny.model(), tmp_path / "base.safetensors"
    quantize_base_nf4(model)
    save_quantized_base(model, file)
    layer = "language_model.model.layers.0.self_attn.q_proj.weight"
    tensors = load_file(file)
    if change == "absmax":
        del tensors[f"{layer}.absmax"]
    elif change == "shape":
        tensors[layer] = tensors[layer][:-1].contiguous()
    elif change == "unknown":
        tensors["language_model.model.experts.weight"] = torch.ones(3)
    elif change == "lost":
        del tensors["language_model.model.norm.weight"]
    save_file(tensors, file)
    if change == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    with torch.device("meta"):
        again = PaliGemma(model.config)
    with pytest.raises(CheckpointError, match=r"damaged|another model|cannot be read|has not"):
        load_quantized_base(again, file, CPU)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lora_on_a_4_bit_base_starts_equal_and_learns(dtype: torch.dtype) -> None:
    model = tiny.model().to(dtype)
    quantize_base_nf4(model)
    with torch.no_grad():
        before = model(INPUTS)
        add_lora(model, RELEASE)
        assert torch.equal(model(INPUTS), before)
    require_four_bit(model)
    counted = trainable_parameters(model)
    assert counted.total - counted.trainable == sum(w.numel() for w in tiny.model().parameters())
    model.train()
    model(INPUTS).sum().backward()
    for name, weight in model.named_parameters():
        assert (weight.grad is not None) == ("lora_" in name), name
    grads = [weight.grad.abs().sum() for n, weight in model.named_parameters() if "lora_B" in n]
    assert all(grad > 0 for grad in grads)


def test_gradients_through_a_4_bit_base_are_those_of_its_numbers() -> None:
    model = tiny.model()
    quantize_base_nf4(model)
    plain = dequantized(model)
    embeds = model.encode_images(INPUTS.pixel_values).detach()
    grads = []
    for each in (model, plain):
        given = embeds.clone().requires_grad_()
        each.hidden_states(INPUTS, given).square().sum().backward()
        grads.append(given.grad)
    assert (grads[0] - grads[1]).abs().max() <= 1e-3 * grads[1].abs().max()


def test_asking_a_model_changes_nothing_in_it() -> None:
    """On some CPUs bitsandbytes repacks a weight that is used without gradients, for good."""
    model = tiny.model().to(torch.bfloat16)
    quantize_base_nf4(model)
    add_lora(model, RELEASE)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    model.eval()
    with torch.inference_mode():
        model(INPUTS)
    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    model.train()
    model(INPUTS).sum().backward()
    assert adapter_of(model)


@torch.no_grad()
def test_an_adapter_of_a_float_model_runs_on_its_4_bit_base_and_back() -> None:
    adapter, model = adapter_of(trained()), tiny.model()
    quantize_base_nf4(model)
    plain = model(INPUTS)
    load_adapter(model, adapter)
    assert not torch.equal(model(INPUTS), plain)
    learn(model, 2)
    merge_adapter(merged := tiny.model(), adapter_of(model))
    assert merged(INPUTS).isfinite().all()


def test_adapters_are_not_merged_into_4_bits() -> None:
    model = tiny.model()
    quantize_base_nf4(model)
    with pytest.raises(CheckpointError, match="would be lost in its rounding"):
        merge_adapter(model, adapter_of(trained()))
    add_lora(model, RELEASE)
    with pytest.raises(CheckpointError, match="would be lost in its rounding"):
        merge(model)
    assert adapter_of(model).layers


def test_a_model_is_quantised_once_and_before_its_adapter() -> None:
    for model in (tiny.model(), trained()):
        if "lora" not in str(model):
            quantize_base_nf4(model)
        kinds = Counter(type(module) for module in model.modules())
        with pytest.raises(CheckpointError, match="is no plain float layer"):
            quantize_base_nf4(model)
        assert Counter(type(module) for module in model.modules()) == kinds


def test_layers_are_let_go_one_after_another() -> None:
    """The most that is held at once is the model and one layer of it."""
    from weakref import ref

    model = wide()
    layers = [m for m in model.language_model.modules() if isinstance(m, torch.nn.Linear)]
    watched = [ref(layer.weight) for layer in layers]
    del layers
    alive = []
    real = PaliGemma.set_submodule

    def count(self: PaliGemma, name: str, module: torch.nn.Module) -> None:
        real(self, name, module)
        alive.append(sum(each() is not None for each in watched))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PaliGemma, "set_submodule", count)
        quantize_base_nf4(model)
    assert alive == sorted(alive, reverse=True)
    assert alive[-1] <= 1


def test_without_bitsandbytes_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=r"bitsandbytes is needed .*'palikit\[train\]'"):
        quantize_base_nf4(tiny.model())


def test_bitsandbytes_gives_no_advice_on_other_packages() -> None:
    quantize_base_nf4(tiny.model())
    assert not logging.getLogger("bitsandbytes.backends.cpu.ops").isEnabledFor(logging.WARNING)
