"""Files of the JAX layout that are damaged, hostile, or of another model."""

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from palikit.checkpoints import save_npz
from palikit.errors import CheckpointError, PaliKitError
from tests.checkpoints.test_npz import jax_arrays, load


def test_an_array_of_objects_is_refused_and_never_unpickled(second, tmp_path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return (Path.touch, (tmp_path / "opened",))

    arrays = {**jax_arrays(second), "llm/trap": np.array([Trap()], dtype=object)}
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(CheckpointError, match="could only be unpickled"):
        load(tmp_path / "m.npz")
    assert not (tmp_path / "opened").exists()


def test_whole_numbers_are_not_weights(second, tmp_path) -> None:
    arrays = {**jax_arrays(second), "img/head/bias": np.zeros(32, np.int32)}
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(CheckpointError, match="int32, not floating point"):
        load(tmp_path / "m.npz")


def test_a_position_table_that_is_no_square_is_refused(second, tmp_path) -> None:
    arrays = {**jax_arrays(second), "img/pos_embedding": np.zeros((1, 8, 24), np.float32)}
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(CheckpointError, match="8 rows"):
        load(tmp_path / "m.npz")


def test_fortran_order_is_refused(second, tmp_path) -> None:
    arrays = jax_arrays(second)
    arrays["img/head/kernel"] = np.asfortranarray(arrays["img/head/kernel"])
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(CheckpointError, match="Fortran order"):
        load(tmp_path / "m.npz")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_that_is_cut_short_is_one_clear_error(second, tmp_path, share) -> None:
    save_npz(second, tmp_path / "m.npz")
    data = (tmp_path / "m.npz").read_bytes()
    (tmp_path / "m.npz").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match="fetch it again"):
        load(tmp_path / "m.npz")


def test_a_flipped_bit_is_noticed(second, tmp_path) -> None:
    save_npz(second, tmp_path / "m.npz")
    with zipfile.ZipFile(tmp_path / "m.npz") as zipped:
        offset = zipped.getinfo("params/llm/layers/mlp/linear.npy").header_offset
    data = bytearray((tmp_path / "m.npz").read_bytes())
    data[offset + 400] ^= 1
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(CheckpointError, match="fetch it again"):
        load(tmp_path / "m.npz")


def test_a_header_that_lies_about_its_length_is_refused(second, tmp_path) -> None:
    np.savez(tmp_path / "m.npz", **jax_arrays(second))
    with zipfile.ZipFile(tmp_path / "m.npz", "a") as zipped:
        zipped.writestr("llm/huge.npy", header_only((10**9, 10**9)))
    with pytest.raises(CheckpointError, match="another length than its shape says"):
        load(tmp_path / "m.npz")


def header_only(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,",  # TokenError
        "  {'descr': '<f4'\n 'fortran_order'}",  # IndentationError
        "{'descr': '<f4', 'fortran_order': 0x, 'shape': (3,), }",  # SyntaxError
        "{'descr': [()], 'fortran_order': False, 'shape': (3,), }",  # IndexError
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -3), }",
        "-" * 9000 + "1",  # RecursionError, MemoryError
    ],
)
def test_a_damaged_header_of_an_array_is_one_clear_error(second, tmp_path, text) -> None:
    np.savez(tmp_path / "m.npz", **jax_arrays(second))
    raw = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(12)
    with zipfile.ZipFile(tmp_path / "m.npz", "a") as zipped:
        zipped.writestr("llm/odd.npy", raw)
    with pytest.raises(CheckpointError, match=r"llm/odd is not an array.*fetch the file again"):
        load(tmp_path / "m.npz")


@pytest.mark.filterwarnings("ignore")  # NumPy warns of headers that Python 2 might have written
def test_mutilated_files_are_refused_or_read_but_never_crash(second, tmp_path) -> None:
    save_npz(second, tmp_path / "m.npz")
    data, rng = (tmp_path / "m.npz").read_bytes(), random.Random(0)
    # Most bytes are weights, which a checksum guards: the changes go to headers and directory.
    with zipfile.ZipFile(tmp_path / "m.npz") as zipped:
        starts = [entry.header_offset for entry in zipped.infolist()]
        directory = zipped.start_dir
    for _ in range(300):
        cut = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            at = rng.choice(
                (rng.choice(starts) + rng.randrange(300), rng.randrange(directory, len(data)))
            )
            cut[min(at, len(cut) - 1)] = rng.randrange(256)
        (tmp_path / "m.npz").write_bytes(cut)
        try:
            load(tmp_path / "m.npz")
        except PaliKitError:
            continue


def test_a_small_file_that_states_gigabytes_is_refused(second, tmp_path) -> None:
    np.savez_compressed(tmp_path / "m.npz", **jax_arrays(second))
    data = bytearray((tmp_path / "m.npz").read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (2**30).to_bytes(4, "little")  # the length when unpacked
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"1,07\d,\d{3},\d{3} bytes of arrays in a file of"):
        load(tmp_path / "m.npz")


def test_an_encrypted_archive_is_refused(second, tmp_path) -> None:
    save_npz(second, tmp_path / "m.npz")
    data = bytearray((tmp_path / "m.npz").read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(CheckpointError, match="encrypted"):
        load(tmp_path / "m.npz")


def test_a_device_without_room_is_not_taken_for_a_damaged_file(
    second, tmp_path, monkeypatch
) -> None:
    save_npz(second, tmp_path / "m.npz")

    def full(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("palikit.checkpoints.npz_reader.to_model", full)
    with pytest.raises(torch.OutOfMemoryError):
        load(tmp_path / "m.npz")
