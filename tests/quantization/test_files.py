"""Quantised checkpoints: what is written, read back, and refused."""

import errno
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import palikit
from palikit import CheckpointError, InputError, quantize_checkpoint
from palikit.adapters import save_adapter
from palikit.checkpoints import save_checkpoint
from palikit.checkpoints.stored_form import stored_form
from palikit.model.mask_codec import MaskCodec, save_mask_codec
from palikit.options import QuantizedForm
from palikit.published import BUILT_IN_FOLDER
from palikit.quantization import files, load_quantized
from tests import tiny
from tests.adapters.trained import trained
from tests.parity.oracle import save_tiny
from tests.quantization import made
from tests.quantization.made import CPU, FORMS, OWN_FORMS, logits

Q_PROJ = "language_model.model.layers.0.self_attn.q_proj"
QKV = "language_model.model.layers.0.self_attn.qkv_proj"


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.save(tmp_path_factory.mktemp("floats") / "model")


@pytest.fixture(scope="module")
def folders(floats: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model in every form, not to be changed."""
    pytest.importorskip("bitsandbytes")
    place = tmp_path_factory.mktemp("forms")
    return {form: quantize_checkpoint(floats, form, place / form) for form in FORMS}


# What is written is what is quantised while loading


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["paligemma", "paligemma2"])
@pytest.mark.parametrize("form", FORMS)
def test_a_folder_computes_what_quantising_while_loading_does(
    form: QuantizedForm, family: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    if form == "nf4":
        pytest.importorskip("bitsandbytes")
    source = made.save(tmp_path / "model", family, dtype)
    quantize_checkpoint(source, form, tmp_path / "held")
    direct, read = palikit.load(source, quantize=form), palikit.load(tmp_path / "held")
    assert direct.model.dtype == read.model.dtype
    assert direct.stored_dtype == read.stored_dtype == dtype
    assert torch.equal(logits(direct.model), logits(read.model))
    ours, theirs = direct.model.state_dict(), read.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("form", FORMS)
def test_another_picture_side_gives_the_same_both_ways(form: QuantizedForm, tmp_path: Path) -> None:
    """Of stored bfloat16, whose position table is rounded before and not after it grows."""
    if form == "nf4":
        pytest.importorskip("bitsandbytes")
    source = made.save(tmp_path / "model", dtype=torch.bfloat16)
    quantize_checkpoint(source, form, tmp_path / "held")
    pictures = torch.rand(2, 3, 56, 56) * 2 - 1
    direct = palikit.load(source, quantize=form, image_size=56).model
    read = palikit.load(tmp_path / "held", image_size=56).model
    assert read.config == direct.config
    with torch.no_grad():
        assert torch.equal(direct.encode_images(pictures), read.encode_images(pictures))


@pytest.mark.parametrize("form", OWN_FORMS)
def test_shards_hold_what_one_file_does(
    form: QuantizedForm, floats: Path, folders: dict[str, Path], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(files, "MAX_SHARD_BYTES", 100_000)
    folder = quantize_checkpoint(floats, form, tmp_path / "held")
    shards = sorted(file.name for file in folder.glob("*.safetensors"))
    assert len(shards) > 3
    assert shards[0] == f"model-00001-of-{len(shards):05d}.safetensors"
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == set(shards)
    got, expected = palikit.load(folder).model, palikit.load(folders[form]).model
    assert torch.equal(logits(got), logits(expected))


def test_the_float_model_is_left_as_it_is_and_not_read_at_once(floats: Path) -> None:
    model = palikit.load(floats).model
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    names = [name for name, _ in files._quantized(model, list(files.sites(model)), "int8")]
    assert len(names) == len(set(names))
    assert all(torch.equal(before[name], weight) for name, weight in model.named_parameters())


def test_a_folder_says_how_it_is_held_and_has_what_stood_beside(
    floats: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    assert stored_form(floats) is None
    for form, folder in folders.items():
        assert stored_form(folder) == form
        assert stored_form(folder / "model.safetensors") == form
        assert (folder / "tokenizer.json").read_bytes() == (floats / "tokenizer.json").read_bytes()
    beside = tmp_path / "model"
    shutil.copytree(floats, beside)
    save_mask_codec(MaskCodec(), beside / "vae-oid.npz")
    assert (quantize_checkpoint(beside, "int8", tmp_path / "held") / "vae-oid.npz").is_file()


def test_products_stand_in_the_file_as_they_are_computed(folders: dict[str, Path]) -> None:
    stored = load_file(folders["int8"] / "model.safetensors")
    text = made.config().text_config
    rows = text.head_dim * (text.num_attention_heads + 2 * text.num_key_value_heads)
    assert stored[f"{QKV}.weight"].shape == (rows, text.hidden_size)
    assert stored[f"{QKV}.weight"].dtype == torch.int8
    assert stored[f"{QKV}.weight_scale"].dtype == torch.float32
    assert f"{Q_PROJ}.weight" not in stored
    half = load_file(folders["int4"] / "model.safetensors")[f"{QKV}.weight"]
    assert (half.dtype, half.shape) == (torch.uint8, (rows, text.hidden_size // 2))
    with safe_open(folders["int8"] / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_forms_take_the_room_they_say(floats: Path, folders: dict[str, Path]) -> None:
    sizes = {
        form: (folder / "model.safetensors").stat().st_size for form, folder in folders.items()
    }
    whole = (floats / "model.safetensors").stat().st_size
    assert sizes["int8"] < 0.35 * whole
    assert sizes["fp8"] < 0.35 * whole
    assert sizes["int4"] < 0.75 * sizes["int8"]
    assert sizes["nf4"] < 0.75 * whole  # its table is float


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("form", ["int8", "fp8"])
def test_weights_stay_mapped_to_their_file(form: QuantizedForm, folders: dict[str, Path]) -> None:
    model = palikit.load(folders[form]).model
    places = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        area, *_, name = line.split()
        if name.endswith(f"{form}/model.safetensors"):
            places.append(tuple(int(end, 16) for end in area.split("-")))
    large = [t for name, t in model.named_buffers() if name.endswith(".weight")]
    assert len(large) > 10
    assert all(any(a <= each.data_ptr() < b for a, b in places) for each in large)
    assert all(each.data_ptr() % each.element_size() == 0 for each in large)


# Adapters


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A float model and an adapter of it."""
    place = tmp_path_factory.mktemp("adapted")
    base = save_tiny(place / "base", tiny.model())
    save_adapter(trained(), place / "adapter", base=str(base))
    return base, place / "adapter"


@pytest.mark.parametrize("form", ["int8", "nf4"])
def test_an_adapter_is_merged_before_its_model_is_quantised(
    form: QuantizedForm, adapted: tuple[Path, Path], tmp_path: Path
) -> None:
    if form == "nf4":
        pytest.importorskip("bitsandbytes")
    base, adapter = adapted
    merged = palikit.load(base, adapter=str(adapter))
    save_checkpoint(merged.model, tmp_path / "merged", tokenizer_file=base / "tokenizer.json")
    expected = logits(palikit.load(tmp_path / "merged", quantize=form).model)
    direct = palikit.load(base, adapter=str(adapter), quantize=form).model
    written = quantize_checkpoint(base, form, tmp_path / "held", adapter=str(adapter))
    assert torch.equal(logits(direct), expected)
    assert torch.equal(logits(palikit.load(written).model), expected)
    alone = quantize_checkpoint(adapter, form, tmp_path / "alone")  # names its base itself
    assert torch.equal(logits(palikit.load(alone).model), expected)


def test_an_adapter_does_not_go_with_a_quantised_model(
    adapted: tuple[Path, Path], tmp_path: Path
) -> None:
    base, adapter = adapted
    held = quantize_checkpoint(base, "int8", tmp_path / "held")
    with pytest.raises(CheckpointError, match=r"held in int8.*palikit merge"):
        palikit.load(held, adapter=str(adapter))


def test_an_adapter_of_another_model_is_told_of(adapted: tuple[Path, Path], tmp_path: Path) -> None:
    base, adapter = adapted
    shutil.copytree(base, tmp_path / "renamed")
    with pytest.warns(UserWarning, match="was trained on"):
        quantize_checkpoint(tmp_path / "renamed", "int8", tmp_path / "h", adapter=str(adapter))


# What is refused


@pytest.mark.parametrize("form", FORMS)
def test_another_form_than_the_folders_is_refused(
    form: QuantizedForm, folders: dict[str, Path]
) -> None:
    other: QuantizedForm = "int8" if form != "int8" else "fp8"
    with pytest.raises(InputError, match=f"is held in {form} and {other} was asked for"):
        palikit.load(folders[form], quantize=other)
    assert palikit.load(folders[form], quantize=form).model is not None


def test_a_quantised_model_is_not_quantised_again(folders: dict[str, Path], tmp_path: Path) -> None:
    for form in ("int8", "nf4"):
        with pytest.raises(CheckpointError, match=f"is held in {form} already: begin with its"):
            quantize_checkpoint(folders[form], "int4", tmp_path / "again")
    assert not list(tmp_path.iterdir())


def test_an_unknown_form_is_refused(floats: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"to is 'int3': .*int8, int4, nf4, fp8"):
        quantize_checkpoint(floats, "int3", tmp_path / "held")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="quantize is 'int3'"):
        palikit.load(floats, quantize="int3")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "method"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq"),
        ({"quant_method": "awq"}, "awq"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, r"bitsandbytes \(int8\)"),
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "fp4"},
            r"bitsandbytes \(fp4\)",
        ),
        ({"quant_method": "palikit", "form": "int2"}, r"palikit \(int2\)"),
        ({"quant_method": ["int8"]}, "int8"),
        ({"form": {}}, "a method that is not named"),
        ("int8", "'int8'"),
    ],
)
def test_a_model_quantised_by_others_is_refused_in_a_sentence(
    floats: Path, tmp_path: Path, found: object, method: str
) -> None:
    folder = shutil.copytree(floats, tmp_path / "model")
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, "quantization_config": found}))
    for use in (palikit.load, lambda path: quantize_checkpoint(path, "int8", tmp_path / "held")):
        with pytest.raises(CheckpointError, match=f"is quantised by .*{method}.* does not read"):
            use(folder)


def damaged(folder: Path, place: Path, change: str) -> Path:
    """A copy of an int8 folder with something wrong in it."""
    copy = shutil.copytree(folder, place)
    file = copy / "model.safetensors"
    stored = load_file(file)
    if change == "a lost tensor":
        del stored[f"{QKV}.weight_scale"]
    elif change == "a tensor too many":
        stored["language_model.model.experts.weight"] = torch.ones(3)
    elif change == "another shape":
        stored[f"{QKV}.weight"] = stored[f"{QKV}.weight"][:-1].contiguous()
    elif change == "another dtype":
        stored[f"{QKV}.weight"] = stored[f"{QKV}.weight"].float()
    elif change == "a float that is none":
        name = "language_model.model.norm.weight"
        stored[name] = stored[name].to(torch.int8)
    save_file(stored, file, {"format": "pt"})
    if change == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif change == "no header":
        file.write_bytes(b"no header at all")
    return copy


DAMAGES = {
    "a lost tensor": r"1 missing: .*qkv_proj\.weight_scale",
    "a tensor too many": r"1 unexpected: .*experts",
    "another shape": r"1 of another shape: .*qkv_proj\.weight \[\d+, 128\] for",
    "another dtype": r"qkv_proj\.weight is stored as F32",
    "a float that is none": r"norm\.weight is stored as I8",
    "cut": r"model\.safetensors is cut short",
    "no header": r"not a safetensors file|damaged header",
}


@pytest.mark.parametrize("change", DAMAGES)
def test_damage_is_told_in_a_sentence(
    change: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = damaged(folders["int8"], tmp_path / "held", change)
    with pytest.raises(CheckpointError, match=DAMAGES[change]) as error:
        palikit.load(folder)
    assert "quantise the float model again" in str(error.value)
    assert len(str(error.value)) < 2000


@pytest.mark.parametrize("name", ["model-00002-of-", "config.json", "tokenizer.json"])
def test_a_missing_file_is_named(
    name: str, floats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_SHARD_BYTES", 200_000)
    folder = quantize_checkpoint(floats, "int8", tmp_path / "held")
    (file,) = (file for file in folder.iterdir() if file.name.startswith(name))
    file.unlink()
    with pytest.raises(CheckpointError, match=rf"{name}.* missing|has no {name}"):
        palikit.load(folder)


@pytest.mark.parametrize("part", ["absmax", "quant_map", "quant_state.bitsandbytes__nf4"])
def test_4_bits_without_their_parts_are_refused(
    part: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders["nf4"], tmp_path / "held")
    stored = load_file(folder / "model.safetensors")
    del stored[f"{Q_PROJ}.weight.{part}"]
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"q_proj\.weight has no {part} beside it"):
        palikit.load(folder)


def test_4_bits_in_several_files_are_read(folders: dict[str, Path], tmp_path: Path) -> None:
    """As transformers writes large ones, parts of one weight in the same file or not."""
    folder = shutil.copytree(folders["nf4"], tmp_path / "held")
    stored = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(stored)
    for number, half in enumerate((names[::2], names[1::2]), 1):
        save_file({n: stored[n] for n in half}, folder / f"model-0000{number}-of-00002.safetensors")
    expected = palikit.load(folders["nf4"]).model
    assert torch.equal(logits(palikit.load(folder).model), logits(expected))


def test_4_bits_are_computed_in_the_dtype_that_was_chosen(folders: dict[str, Path]) -> None:
    form: QuantizedForm = "nf4"
    model = load_quantized(folders[form], form, dtype=torch.bfloat16, device=CPU).model
    layer = model.language_model.layers[0].mlp.up_proj
    assert layer.compute_dtype == model.dtype == torch.bfloat16


# Disks


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_is_told_beforehand(
    form: QuantizedForm, floats: Path, folders: dict[str, Path], tmp_path: Path, monkeypatch
) -> None:
    """For a form as large as it will be: a little less is too little."""
    written = (folders[form] / "model.safetensors").stat().st_size
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=int(0.7 * written)))
    with pytest.raises(CheckpointError, match="make room or choose another place"):
        quantize_checkpoint(floats, form, tmp_path / "held")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_write_that_fails_halfway_leaves_what_was_there(
    form: QuantizedForm, floats: Path, tmp_path: Path, monkeypatch, overwrite: bool
) -> None:
    folder = tmp_path / "held"
    if overwrite:
        quantize_checkpoint(floats, "int8", folder)
        (folder / "notes.txt").write_text("mine")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(files, "write_side_files", full)
    with pytest.raises(CheckpointError, match="No space left"):
        quantize_checkpoint(floats, form, folder, overwrite=overwrite)
    assert [file.name for file in tmp_path.iterdir()] == (["held"] if overwrite else [])
    if overwrite:
        assert (folder / "notes.txt").read_text() == "mine"
        assert stored_form(folder) == "int8"


def test_what_is_there_is_replaced_only_when_asked_to(floats: Path, tmp_path: Path) -> None:
    folder = quantize_checkpoint(floats, "int8", tmp_path / "held")
    with pytest.raises(CheckpointError, match="is not empty"):
        quantize_checkpoint(floats, "fp8", folder)
    (folder / "notes.txt").write_text("mine")
    quantize_checkpoint(floats, "fp8", folder, overwrite=True)
    assert stored_form(folder) == "fp8"
    assert (folder / "notes.txt").read_text() == "mine"
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("1")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        quantize_checkpoint(floats, "int8", tmp_path / "thesis", overwrite=True)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "does not exist"),
        (b"\x89PNG\r\n", "is not a tokenizer.json that can be read"),
        (b"{}", "not a PaliGemma tokenizer"),
        ((BUILT_IN_FOLDER / "tokenizer.json").read_bytes(), "of another model than the weights"),
    ],
    ids=["none", "a picture", "empty", "of another model"],
)
def test_a_tokenizer_that_does_not_fit_is_told_before_anything_is_written(
    content: bytes | None, told: str, floats: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "given.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=told):
        quantize_checkpoint(floats, "int8", tmp_path / "held", tokenizer=tmp_path / "given.json")
    assert not (tmp_path / "held").exists()


def test_an_empty_name_of_a_folder_is_not_the_folder_one_is_in(
    floats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(InputError, match="the output is empty"):
            quantize_checkpoint(floats, "int8", "", overwrite=overwrite)
    assert not list(tmp_path.iterdir())
