"""From files to a predictor, and what is said when the files do not fit."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import palikit
from palikit import CheckpointError, GenerationOptions, InputError
from palikit.checkpoints import convert_checkpoint
from palikit.model.mask_codec import MaskCodec, save_mask_codec
from tests import tiny
from tests.parity.oracle import save_tiny

SHORT = GenerationOptions(max_new_tokens=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("loading") / "model", tiny.model())


def test_a_saved_model_answers_as_the_one_in_memory(folder: Path) -> None:
    loaded, made = palikit.load(folder), tiny.predictor()
    assert loaded.name == str(folder)
    for seed in range(3):
        got, expected = (p.caption(tiny.picture(seed), options=SHORT) for p in (loaded, made))
        assert got.text == expected.text


def test_an_npz_answers_like_the_folder_it_was_made_from(folder: Path, tmp_path: Path) -> None:
    npz = tmp_path / "model.npz"
    convert_checkpoint(folder, npz, to="npz")
    loaded = palikit.load(npz, tokenizer=str(folder / "tokenizer.json"))
    expected = palikit.load(folder).caption(tiny.picture(), options=SHORT)
    assert loaded.caption(tiny.picture(), options=SHORT).text == expected.text


def test_dtype_and_picture_side_can_be_chosen(folder: Path) -> None:
    loaded = palikit.load(folder, dtype="bfloat16", image_size=42)
    assert loaded.model.dtype == torch.bfloat16
    assert loaded.processor.image_size == 42
    loaded.caption(tiny.picture(), options=SHORT)


def test_every_option_reaches_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def resolve(model: str, revision: str | None) -> Path:
        asked.append((model, revision))
        return folder

    monkeypatch.setattr("palikit.adapters.source.resolve", resolve)
    loaded = palikit.load(
        "owner/name",
        revision="bfloat16",
        resize="bilinear",
        coordinates="1024",
        mask_edges="truncate",
    )
    assert asked == [("owner/name", "bfloat16")]
    assert loaded.processor.resize == "bilinear"
    assert loaded.coordinates == loaded.engine.read.coordinates == "1024"
    assert loaded.engine.read.mask_edges == "truncate"


def test_a_mask_codec_beside_the_model_is_found(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "model"
    shutil.copytree(folder, copied)
    assert palikit.load(copied).mask_codec is None
    save_mask_codec(MaskCodec(), copied / "vae-oid.npz")
    assert palikit.load(copied).mask_codec is not None
    elsewhere = palikit.load(folder, mask_codec=str(copied / "vae-oid.npz"))
    assert elsewhere.mask_codec is not None


def test_an_unknown_device_is_refused(folder: Path) -> None:
    for device in ("tpu", "meta"):
        with pytest.raises(InputError, match=f"device '{device}' cannot be used here"):
            palikit.load(folder, device=device)


def test_a_checkpoint_without_tokenizer_says_where_to_put_one(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "model"
    shutil.copytree(folder, copied)
    (copied / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json beside its weights"):
        palikit.load(copied)
    palikit.load(copied, tokenizer=str(folder / "tokenizer.json"))


def test_a_tokenizer_of_another_vocabulary_is_refused(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "model"
    shutil.copytree(folder, copied)
    config = json.loads((copied / "config.json").read_text())
    config["image_token_index"] -= 5
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="tokenizer is of another model than the weights"):
        palikit.load(copied)


def test_what_holds_no_weights_is_told_before_a_tokenizer_is_missed(tmp_path: Path) -> None:
    tiny.picture().save(tmp_path / "photo.png")
    with pytest.raises(CheckpointError, match=r"photo\.png is not a checkpoint"):
        palikit.load(tmp_path / "photo.png")
    with pytest.raises(CheckpointError, match="holds no weights"):
        palikit.load(tmp_path)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(InputError, match="the name of the model is empty"):
        palikit.load("")
