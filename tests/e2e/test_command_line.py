"""The installed command, as a user runs it, on a tiny checkpoint with random weights."""

import json
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from palikit.options import GenerationOptions
from tests import tiny
from tests.parity.oracle import save_tiny

pytestmark = pytest.mark.e2e


def palikit(*arguments: object, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "palikit", *map(str, arguments)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PALIKIT_MODEL", None)
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=environment, check=False
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("e2e") / "model", tiny.model())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(5):
        tiny.picture(seed).save(folder / f"{seed}.png")
    return folder


def test_a_caption_is_printed(model: Path, photos: Path) -> None:
    done = palikit("caption", photos / "0.png", "--model", model, "--max-new-tokens", 6)
    options = GenerationOptions(max_new_tokens=6)
    expected = tiny.predictor().caption(tiny.picture(0), options=options).text
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected + "\n"


def test_detections_are_the_predictors(model: Path, photos: Path, tmp_path: Path) -> None:
    picture, drawn = photos / "1.png", tmp_path / "drawn.png"
    arguments = ["detect", picture, "cat ; dog", "--model", model, "--format", "json"]
    done = palikit(*arguments, "--save", drawn)
    assert done.returncode == 0, done.stderr
    expected = tiny.predictor().detect(picture, "cat ; dog").to_dict()
    got = json.loads(done.stdout)
    assert got["result"] == expected["result"]
    assert got["text"] == expected["text"]
    with Image.open(drawn) as picture_drawn:
        assert picture_drawn.size == (40, 30)


def test_a_folder_gives_a_record_a_picture_and_goes_past_a_bad_one(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(photos, folder)
    (folder / "2b.png").write_bytes(b"not a picture")
    done = palikit("ocr", folder, "--model", model, "--format", "jsonl", "--max-new-tokens", 4)
    assert done.returncode == 1
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(r["input"]).name for r in records] == [f"{n}.png" for n in range(5)]
    assert "2b.png" in done.stderr


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """What a shell starts in the background ignores the signal, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_an_interrupted_folder_run_keeps_what_is_finished_and_goes_on(
    model: Path, tmp_path: Path
) -> None:
    folder, output = tmp_path / "many", tmp_path / "texts.jsonl"
    folder.mkdir()
    for seed in range(400):
        tiny.picture(seed).save(folder / f"{seed:03d}.png")
    arguments = ["caption", folder, "--model", model, "--output", output, "--max-new-tokens", "40"]
    command = [sys.executable, "-m", "palikit", *map(str, arguments)]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as running:
        wait_until(lambda: output.exists() and output.read_text().count("\n") >= 10)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "Traceback" not in errors
    finished = [json.loads(line) for line in output.read_text().splitlines()]
    assert 10 <= len(finished) < 400
    done = palikit(*arguments)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in output.read_text().splitlines()]
    assert records[: len(finished)] == finished
    assert len({record["input"] for record in records}) == len(records) == 400


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


# What goes wrong


def broken(model: Path, tmp_path: Path, change: Callable[[Path], object]) -> Path:
    copied = tmp_path / "broken"
    shutil.copytree(model, copied)
    change(copied)
    return copied


def sharded(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    half = len(names) // 2
    shards = {"model-00001-of-00002.safetensors": names[:half]}
    shards["model-00002-of-00002.safetensors"] = names[half:]
    for file, part in shards.items():
        save_file({name: weights[name] for name in part}, folder / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {n: f for f, part in shards.items() for n in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def without_a_shard(folder: Path) -> None:
    sharded(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def with_a_short_shard(folder: Path) -> None:
    sharded(folder)
    file = folder / "model-00001-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def with_a_wrong_shape(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = "language_model.model.layers.0.mlp.up_proj.weight"
    weights[name] = weights[name].T.contiguous()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def of_another_model(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "llava", "text_config": {}}))


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))


def with_another_tokenizer(folder: Path) -> None:
    other = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    other["added_tokens"] = [e for e in other["added_tokens"] if "<loc" not in e["content"]]
    (folder / "tokenizer.json").write_text(json.dumps(other), encoding="utf-8")


BROKEN_MODELS = {
    without_a_shard: "model-00002-of-00002.safetensors is missing",
    with_a_short_shard: "model-00001-of-00002.safetensors is cut short",
    with_a_wrong_shape: "language_model.layers.0.mlp.up_proj.weight",
    of_another_model: "llava",
    pickled: "pickled",
    with_another_tokenizer: "tokenizer of another model",
}


@pytest.mark.parametrize("change", BROKEN_MODELS, ids=lambda change: change.__name__)
def test_a_broken_model_is_one_clear_sentence(
    model: Path, photos: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    done = palikit("caption", photos / "0.png", "--model", broken(model, tmp_path, change))
    assert_refused(done, BROKEN_MODELS[change])


def huge_png() -> bytes:
    """A header that promises 50,000 x 50,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def truncated_jpeg(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-800])


def test_bad_pictures_are_one_clear_sentence_each(model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "huge.png").write_bytes(huge_png())
    truncated_jpeg(tmp_path / "cut.jpg")
    for name, words in {
        "absent.png": "no such file",
        "text.jpg": "text.jpg",
        "cut.jpg": "cut.jpg",
        "huge.png": "50000 x 50000",
    }.items():
        done = palikit("caption", tmp_path / name, "--model", model)
        assert_refused(done, words)


def test_bad_arguments_are_one_clear_sentence_each(model: Path, photos: Path) -> None:
    picture = photos / "0.png"
    assert_refused(palikit("answer", picture, "", "--model", model), "question")
    assert_refused(palikit("detect", picture, "--model", model), "detect")
    assert_refused(palikit("detect", picture, " ; ", "--model", model), "label")
    assert_refused(palikit("caption", picture, "--model", ""), "--model is empty")
    assert_refused(palikit("caption", picture, "--model", "./absent"), "absent")
    assert_refused(
        palikit("caption", picture, "--model", model, "--max-new-tokens", 0),
        "--max-new-tokens is 0",
    )
    assert_refused(palikit("answer", picture, "what \udcff is", "--model", model), "not text")
    assert_refused(palikit("caption", picture, "--max-new-token", 5), "--max-new-tokens")
    assert_refused(palikit("captoin", picture), "caption")


def assert_refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


# Checkpoints


def test_inspect_and_convert_round_trip(model: Path, photos: Path, tmp_path: Path) -> None:
    inspected = palikit("inspect", model)
    assert inspected.returncode == 0, inspected.stderr
    assert "PaliGemma 2" in inspected.stdout
    npz, back = tmp_path / "model.npz", tmp_path / "back"
    assert palikit("convert", model, npz, "--to", "npz").returncode == 0
    tokenizer = model / "tokenizer.json"
    done = palikit("convert", npz, back, "--to", "transformers", "--tokenizer", tokenizer)
    assert done.returncode == 0, done.stderr
    texts = [
        palikit("caption", photos / "0.png", "--model", each, "--max-new-tokens", 6).stdout
        for each in (model, back)
    ]
    assert texts[0] == texts[1] != ""


def test_a_conversion_without_tokenizer_says_so(model: Path, tmp_path: Path) -> None:
    npz = tmp_path / "npz" / "model.npz"
    npz.parent.mkdir()
    done = palikit("convert", model, npz)
    assert (done.returncode, done.stdout) == (0, f"wrote {npz}\n")
    assert "no tokenizer beside" in done.stderr
    assert "--tokenizer to every verb" in done.stderr
    done = palikit("convert", npz, tmp_path / "bare")
    assert "convert with --tokenizer" in done.stderr
    tokenizer = model / "tokenizer.json"
    done = palikit("convert", npz, tmp_path / "whole", "--tokenizer", tokenizer)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys; sys.argv = ['palikit', '--help']\n"
        "from palikit.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'PIL', 'rich', 'tokenizers', 'huggingface_hub'}"
        "\nprint(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.strip() == "[]"
    assert "caption" in done.stdout
