"""Files of weights are told apart without reading all of them."""

from pathlib import Path

import pytest

from palikit.fingerprint import files_fingerprint, weights_here


@pytest.mark.parametrize("size", [1, 4096, 300_000])
def test_a_byte_at_either_end_and_the_size_count(tmp_path: Path, size: int) -> None:
    file, found = tmp_path / "a.safetensors", set()
    for content in (
        bytes(size),
        b"x" + bytes(size - 1),
        bytes(size - 1) + b"y",
        bytes(size + 1),
    ):
        file.write_bytes(content)
        found.add(files_fingerprint([file]))
    assert len(found) == 4


def test_names_do_not_count(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"the same")
    assert files_fingerprint([tmp_path / "a"]) == files_fingerprint([tmp_path / "b"])


def test_weights_are_those_of_models_and_adapters_that_are_paths(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "one.npz").write_bytes(b"weights")
    found = weights_here(str(tmp_path / "model"), None)
    assert found == weights_here(str(tmp_path / "one.npz"), "owner/adapter")
    (tmp_path / "model" / "config.json").write_text("{ }")
    assert weights_here(str(tmp_path / "model")) == found
    (tmp_path / "model" / "model.safetensors").write_bytes(b"trained")
    assert weights_here(str(tmp_path / "model")) != found


def test_names_on_the_hub_have_none() -> None:
    assert weights_here("google/paligemma2-3b-mix-448", None) is None
