"""Adapters in both directions: ours in transformers + PEFT, theirs here, with equal logits."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from palikit.adapters import load_adapter, merge_adapter, read_adapter, save_adapter
from palikit.checkpoints import load_checkpoint
from palikit.model.paligemma import PaliGemma
from tests import tiny
from tests.adapters.trained import EVERYTHING, RELEASE, trained
from tests.parity.oracle import Oracle, load_oracle, relative_difference, save_tiny
from tests.tiny import random_inputs

pytestmark = pytest.mark.parity

TOLERANCE = 1e-4
"""Largest difference of float32 logits over their standard deviation, as without adapters."""

INPUTS = random_inputs([9], [5])
FAMILIES = ("paligemma", "paligemma2")
ERAS = ("5", "4.52", "4.41")


@pytest.fixture(scope="module", params=FAMILIES)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / request.param
    return save_tiny(folder, tiny.model(request.param))


def adapted_by_peft(base: Path, adapter: Path) -> Oracle:
    from peft import PeftModel

    return replace(
        load_oracle(base), model=PeftModel.from_pretrained(load_oracle(base).model, adapter)
    )


def ours(base: Path) -> PaliGemma:
    return load_checkpoint(base, dtype=None, device=torch.device("cpu")).model


@torch.no_grad()
def assert_equal(got: Tensor, expected: Tensor, base: Path) -> None:
    assert relative_difference(got, expected) < TOLERANCE
    assert relative_difference(ours(base)(INPUTS), expected) > 0.1  # the adapter does something


@torch.no_grad()
@pytest.mark.parametrize(
    ("era", "options"),
    # PEFT with transformers 5 does not find weights that were trained whole under 4.41's names.
    [("5", RELEASE), ("4.52", RELEASE), ("4.41", RELEASE), ("5", EVERYTHING), ("4.52", EVERYTHING)],
    ids=lambda value: value if isinstance(value, str) else f"rank {value.lora_rank}",
)
def test_our_adapters_answer_the_same_in_transformers_and_peft(
    base: Path, tmp_path: Path, era: str, options
) -> None:
    model = trained(base.name, options)
    save_adapter(model, tmp_path / "adapter", str(base), names=era)
    theirs = adapted_by_peft(base, tmp_path / "adapter")
    assert_equal(model(INPUTS), theirs.logits(INPUTS), base)


def test_peft_adapts_the_very_layers_we_did(base: Path, tmp_path: Path) -> None:
    save_adapter(trained(base.name), tmp_path / "adapter", str(base))
    theirs = adapted_by_peft(base, tmp_path / "adapter").model
    names = {name for name, _ in theirs.named_modules() if name.endswith(".lora_A.default")}
    stored = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert {f"{name}.weight".replace(".default", "") for name in names} == {
        name for name in stored if ".lora_A." in name
    }


@torch.no_grad()
def test_transformers_own_loader_takes_our_adapters(base: Path, tmp_path: Path) -> None:
    model = trained(base.name)
    save_adapter(model, tmp_path / "adapter", str(base))
    theirs = load_oracle(base)
    theirs.model.load_adapter(str(tmp_path / "adapter"))
    assert_equal(model(INPUTS), theirs.logits(INPUTS), base)


@torch.no_grad()
def test_peft_finds_the_base_of_our_adapters_by_itself(base: Path, tmp_path: Path) -> None:
    from peft import AutoPeftModel

    model = trained(base.name)
    save_adapter(model, tmp_path / "adapter", str(base))
    theirs = AutoPeftModel.from_pretrained(tmp_path / "adapter", dtype=torch.float32).eval()
    assert_equal(model(INPUTS), Oracle(theirs).logits(INPUTS), base)


def their_adapter(base: Path, folder: Path, **fields) -> Oracle:
    """An adapter that PEFT made on transformers' model, with random weights, and saved."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    theirs = get_peft_model(load_oracle(base).model, LoraConfig(task_type="CAUSAL_LM", **fields))
    with torch.no_grad():
        for weight in theirs.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.1)
    theirs.save_pretrained(folder)
    return Oracle(theirs.eval())


THEIRS = {
    "list of names, both towers": {"target_modules": ["q_proj", "k_proj", "v_proj"], "r": 4},
    "expression": {"target_modules": r".*language_model.*\.(q_proj|v_proj)", "r": 4},
    "all linear layers": {"target_modules": "all-linear", "r": 2, "lora_alpha": 3},
    "rslora": {"target_modules": ["o_proj", "fc1"], "use_rslora": True, "r": 9, "lora_alpha": 4},
    "modules to save": {
        "target_modules": ["down_proj"],
        "modules_to_save": ["multi_modal_projector", "post_layernorm"],
    },
    "patterns": {
        "target_modules": ["q_proj", "v_proj"],
        "r": 4,
        "lora_alpha": 6,
        "rank_pattern": {"q_proj": 2, r"language_model\.layers\.1\.self_attn\.v_proj": 3},
        "alpha_pattern": {r"vision_tower\..*\.v_proj": 11, "layers.0.self_attn.q_proj": 1},
    },
    "some layers": {"target_modules": ["up_proj"], "layers_to_transform": [0, 2]},
    "biases": {"target_modules": ["q_proj", "out_proj"], "bias": "lora_only"},
    "all biases": {"target_modules": ["q_proj"], "bias": "all"},
}


@torch.no_grad()
@pytest.mark.parametrize("fields", THEIRS.values(), ids=THEIRS)
def test_their_adapters_answer_the_same_here(base: Path, tmp_path: Path, fields: dict) -> None:
    theirs = their_adapter(base, tmp_path / "adapter", **fields)
    adapter = read_adapter(tmp_path / "adapter")
    merged, learning = ours(base), ours(base)
    merge_adapter(merged, adapter)
    load_adapter(learning, adapter)
    for model in (merged, learning):
        assert_equal(model(INPUTS), theirs.logits(INPUTS), base)


@torch.no_grad()
@pytest.mark.parametrize("era", ERAS)
def test_their_adapters_of_every_era_answer_the_same_here(
    base: Path, tmp_path: Path, era: str
) -> None:
    """Files as older versions of transformers wrote them differ in nothing but their names."""
    theirs = their_adapter(base, tmp_path / "adapter", target_modules="all-linear")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({_renamed(key, era): value for key, value in load_file(file).items()}, file)
    model = ours(base)
    merge_adapter(model, read_adapter(tmp_path / "adapter"))
    assert_equal(model(INPUTS), theirs.logits(INPUTS), base)


def _renamed(key: str, era: str) -> str:
    """Written apart from the code under test, from the module trees of the three eras."""
    if era == "5":
        return key
    key = re.sub(r"\.vision_tower\.encoder", ".vision_tower.vision_model.encoder", key)
    if era == "4.52":
        return key
    key = key.replace("base_model.model.model.", "base_model.model.", 1)
    return key.replace(".language_model.layers", ".language_model.model.layers", 1)


@torch.no_grad()
def test_an_adapter_survives_the_way_there_and_back(base: Path, tmp_path: Path) -> None:
    model = trained(base.name, EVERYTHING)
    save_adapter(model, tmp_path / "ours", str(base))
    adapted_by_peft(base, tmp_path / "ours").model.save_pretrained(tmp_path / "theirs")
    back = ours(base)
    load_adapter(back, read_adapter(tmp_path / "theirs"))
    assert torch.equal(back(INPUTS), model(INPUTS))
