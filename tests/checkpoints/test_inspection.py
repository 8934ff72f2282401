"""What a checkpoint tells about itself without being loaded."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from palikit.checkpoints import inspect_checkpoint, memory_bytes, save_checkpoint, save_npz
from palikit.checkpoints.inspection import _release
from palikit.config import parameter_count
from palikit.errors import CheckpointError
from palikit.published import config_for
from tests.checkpoints.conftest import ROWS


@pytest.fixture
def folder(second, tmp_path) -> Path:
    (tmp_path / "tokenizer.json").write_text("{}")
    save_checkpoint(
        second,
        tmp_path / "m",
        tokenizer_file=tmp_path / "tokenizer.json",
        dtype=torch.bfloat16,
        max_shard_bytes=20_000,
    )
    return tmp_path / "m"


def test_a_whole_checkpoint_is_described_from_its_headers(second, folder) -> None:
    found = inspect_checkpoint(folder)
    assert found.complete
    assert found.problems == ()
    assert (found.format, found.family, found.image_size) == ("transformers", "PaliGemma 2", 42)
    assert found.dtypes == ("bfloat16",)
    assert found.vocab_rows == ROWS
    assert found.parameter_count == sum(weight.numel() for weight in second.parameters())
    assert found.nbytes == sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    assert found.config.vision_config == second.config.vision_config
    assert found.size == f"{round(found.parameter_count / 1000)}K"
    assert found.memory_bytes > found.parameter_count * 2


def test_an_npz_is_described_too(second, tmp_path) -> None:
    save_npz(second, tmp_path / "m.npz", dtype=torch.float16)
    found = inspect_checkpoint(tmp_path / "m.npz")
    assert (found.format, found.dtypes, found.size) == ("npz", ("float16",), found.size)
    assert [file.name for file in found.files] == ["m.npz"]
    assert not found.complete
    assert "tokenizer.json" in found.problems[0]


def test_the_variant_follows_from_a_released_name_that_fits(tmp_path) -> None:
    config = config_for("PaliGemma", "3B", 224)
    cached = tmp_path / "models--google--paligemma-3b-mix-224" / "snapshots" / "0a1b"
    release = _release(cached, config)
    assert release is not None
    assert release.variant == "mix"
    assert _release(tmp_path / "paligemma-3b-pt-224.f16.npz", config) is not None
    assert _release(tmp_path / "paligemma-3b-pt-448", config) is None
    assert _release(tmp_path / "my-model", config) is None


def test_problems_are_listed_not_raised(folder) -> None:
    shards = sorted(folder.glob("*.safetensors"))
    data = shards[1].read_bytes()
    shards[1].write_bytes(data[:-10])
    shards[2].unlink()
    (folder / "tokenizer.json").unlink()
    found = inspect_checkpoint(folder)
    assert not found.complete
    text = " | ".join(found.problems)
    assert f"{shards[2].name} is missing" in text
    assert f"{shards[1].name} is cut short: {len(data) - 10:,} of {len(data):,} bytes" in text
    assert "missing: " in text
    assert "tokenizer.json" in text


def test_weights_of_another_model_are_a_problem(folder) -> None:
    data = json.loads((folder / "config.json").read_text())
    data["text_config"]["intermediate_size"] = 57
    (folder / "config.json").write_text(json.dumps(data))
    assert "6 of another shape" in inspect_checkpoint(folder).problems[0]


def test_no_weight_is_read(folder) -> None:
    for shard in folder.glob("*.safetensors"):
        data = shard.read_bytes()
        header = 8 + int.from_bytes(data[:8], "little")
        shard.write_bytes(data[:header] + bytes(len(data) - header))
    assert inspect_checkpoint(folder).complete


def test_an_npz_of_another_model_is_refused(tmp_path) -> None:
    np.savez(tmp_path / "m.npz", weights=np.zeros(3, np.float32))
    with pytest.raises(CheckpointError, match="is not a PaliGemma"):
        inspect_checkpoint(tmp_path / "m.npz")


@pytest.mark.parametrize("side", [224, 448, 896])
def test_memory_is_dominated_by_the_weights_of_large_models(side) -> None:
    config = config_for("PaliGemma 2", "3B", side)
    needed, weights = memory_bytes(config, 2), parameter_count(config) * 2
    assert weights < needed < 1.5 * weights
