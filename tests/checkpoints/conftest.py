"""Very small models and the ways their weights are laid out in files."""

from pathlib import Path

import pytest
import torch

from palikit.config import PaliGemmaConfig, TextConfig, VisionConfig
from palikit.model.paligemma import PaliGemma

ROWS = 300
IMAGE_TOKEN = 296


def tiny_config(model_type: str = "gemma2", *, rows: int = ROWS) -> PaliGemmaConfig:
    """Two layers, 32 wide; every size differs from its neighbours so that mix-ups show."""
    is_second = model_type == "gemma2"
    return PaliGemmaConfig(
        vision_config=VisionConfig(
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=3,
            image_size=42,
            patch_size=14,
        ),
        text_config=TextConfig(
            model_type=model_type,
            vocab_size=rows,
            hidden_size=32,
            intermediate_size=56,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            query_pre_attn_scalar=8.0,
            attn_logit_softcapping=50.0 if is_second else None,
            final_logit_softcapping=30.0 if is_second else None,
        ),
        image_token_index=IMAGE_TOKEN,
    )


def tiny_model(config: PaliGemmaConfig, dtype: torch.dtype = torch.float32) -> PaliGemma:
    """Random weights, every one different, norms included."""
    model = PaliGemma(config)
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.data.normal_(generator=generator)
    return model.to(dtype).eval()


def assert_same_weights(got: PaliGemma, want: PaliGemma) -> None:
    """Bit for bit."""
    ours, theirs = dict(got.named_parameters()), dict(want.named_parameters())
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert weight.dtype == theirs[name].dtype, name
        assert torch.equal(weight, theirs[name]), name


def fail_at(
    monkeypatch: pytest.MonkeyPatch, step: int, error: type[BaseException], *, after: bool
) -> None:
    """Let the change of name number `step`, from 0, fail: before it is made, or just after."""
    done = 0
    real = Path.replace

    def replace(source: Path, target: Path) -> Path:
        nonlocal done
        done += 1
        if done - 1 == step and not after:
            raise error
        made = real(source, target)
        if done - 1 == step:
            raise error
        return made

    monkeypatch.setattr(Path, "replace", replace)


@pytest.fixture(params=["gemma", "gemma2"])
def model(request: pytest.FixtureRequest) -> PaliGemma:
    """A very small PaliGemma and PaliGemma 2."""
    return tiny_model(tiny_config(request.param))


@pytest.fixture
def second() -> PaliGemma:
    """A very small PaliGemma 2."""
    return tiny_model(tiny_config())
