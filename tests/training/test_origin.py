"""Where a model came from: what the finished one needs of it."""

from pathlib import Path

import pytest

from palikit.errors import InputError
from palikit.loading import load
from palikit.train_options import LoraOptions
from palikit.training import Origin, origin_of
from tests import tiny
from tests.parity.oracle import save_tiny
from tests.training.toy import train, with_options


def test_tokenizer_and_mask_codec_are_found_beside_the_model(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", tiny.model())
    (folder / "vae-oid.npz").write_bytes(b"")
    found = origin_of(str(folder))
    assert found == Origin(str(folder), folder / "tokenizer.json", folder / "vae-oid.npz")
    other = tmp_path / "tiny-tokenizer.json"
    assert origin_of(str(folder), tokenizer=str(other)).tokenizer_file == other


def test_a_finished_model_loads_by_itself(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", tiny.model())
    for method in ("full", "lora"):
        result = train(
            tmp_path / method,
            with_options(method=method),
            origin=origin_of(str(folder)),
            lora=LoraOptions() if method == "lora" else None,
        )
        assert result.best is not None
        assert load(result.best).caption(tiny.picture()).finish_reason


def test_an_adapter_is_not_trained_on_an_adapter(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", tiny.model())
    first = train(tmp_path / "run", with_options(method="lora"), origin=origin_of(str(folder)))
    again = origin_of(str(first.best))
    assert again.is_adapter
    with pytest.raises(InputError, match=r"is an adapter, .*`palikit merge` it into one first"):
        train(tmp_path / "again", with_options(method="lora"), origin=again)
    assert not (tmp_path / "again").exists()
