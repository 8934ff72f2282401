"""Where a model came from: what the finished one needs of it."""

from pathlib import Path

import pytest

from palikit.adapters import read_adapter
from palikit.errors import InputError
from palikit.loading import load
from palikit.model.mask_codec import MaskCodec, save_mask_codec
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


def test_a_home_is_not_named_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_tiny(tmp_path / "model", tiny.model())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert origin_of("~/model").name == str(folder)


@pytest.mark.parametrize(("name", "given"), [("owner/tiny", "v2"), ("owner/tiny@v2", None)])
def test_the_revision_of_a_base_is_in_its_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, given: str | None
) -> None:
    folder = save_tiny(tmp_path / "model", tiny.model())
    monkeypatch.setattr("palikit.checkpoints.hub._snapshot", lambda *_, **__: folder)
    found = origin_of(name, given)
    assert (found.name, found.revision) == ("owner/tiny", "v2")
    result = train(tmp_path / "run", with_options(method="lora"), origin=found)
    assert result.best is not None
    adapter = read_adapter(result.best)
    assert (adapter.base, adapter.revision) == ("owner/tiny", "v2")


def test_an_adapter_without_an_origin_names_no_base(tmp_path: Path) -> None:
    result = train(tmp_path / "run", with_options(method="lora"))
    assert result.best is not None
    assert read_adapter(result.best).base is None


def test_a_finished_adapter_loads_after_its_run_was_moved(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", tiny.model())
    origin = origin_of(str(folder))
    train(tmp_path / "run", with_options(method="lora"), origin=origin)
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "run").rename(tmp_path / "elsewhere" / "run")
    assert load(moved / "best").caption(tiny.picture()).finish_reason
    assert train(moved, with_options(method="lora"), origin=origin, resume=True).step == 6


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


def test_a_finished_adapter_brings_what_its_base_comes_without(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", tiny.model())
    tokenizer = (folder / "tokenizer.json").rename(tmp_path / "given.json")
    save_mask_codec(MaskCodec(), tmp_path / "given.npz")
    given = {"tokenizer": str(tokenizer), "mask_codec": str(tmp_path / "given.npz")}
    for method in ("lora", "full"):
        origin = origin_of(str(folder), **given)
        best = train(tmp_path / method, with_options(method=method), origin=origin).best
        assert best is not None
        loaded = load(best)
        assert loaded.caption(tiny.picture()).finish_reason
        assert loaded.mask_codec is not None
        found = origin_of(str(best))
        assert found.tokenizer_file == best / "tokenizer.json"
        assert found.mask_codec_file == best / "mask_codec.npz"


def test_an_adapter_is_not_trained_on_an_adapter(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", tiny.model())
    first = train(tmp_path / "run", with_options(method="lora"), origin=origin_of(str(folder)))
    again = origin_of(str(first.best))
    assert again.is_adapter
    with pytest.raises(InputError, match=r"is an adapter, .*`palikit merge` it into one first"):
        train(tmp_path / "again", with_options(method="lora"), origin=again)
    assert not (tmp_path / "again").exists()
