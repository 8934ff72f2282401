"""Files of a mask codec that are damaged, hostile, or of another kind."""

import random
import zipfile
from pathlib import Path

import pytest
from safetensors.torch import save_file

from palikit.errors import CheckpointError
from palikit.model.mask_codec import load_mask_codec, save_mask_codec
from tests.test_mask_codec import SMALL, random_codec


def npz_with(name: str, member: bytes, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.npy", member)
    return path


def npy_header(text: str) -> bytes:
    padded = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"not an array",
        npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 100000)}"),
        npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + b"\x80\x04N.",
        npy_header("__import__('os').abort()"),
        npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,"),  # TokenError
        npy_header("  {'descr': '<f4'\n 'fortran_order'}"),  # IndentationError
        npy_header("{'descr': [()], 'fortran_order': False, 'shape': (3,)}"),  # IndexError
        npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1)}") + bytes(4),
    ],
)
def test_damaged_and_hostile_arrays_are_refused(member: bytes, tmp_path: Path) -> None:
    path = npz_with("codebook", member, tmp_path / "bad.npz")

    with pytest.raises(CheckpointError, match="cannot be read"):
        load_mask_codec(path)


@pytest.mark.filterwarnings("ignore")  # NumPy warns of headers that Python 2 might have written
@pytest.mark.parametrize("name", ["codec.npz", "codec.safetensors"])
def test_mutilated_files_are_refused_or_read_but_never_crash(name: str, tmp_path: Path) -> None:
    path, codec = tmp_path / name, random_codec(SMALL)
    if path.suffix == ".npz":
        save_mask_codec(codec, path)
    else:
        save_file(codec.state_dict(), path)
    data, rng = path.read_bytes(), random.Random(0)
    starts = [0]
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            starts = [entry.header_offset for entry in archive.infolist()] + [archive.start_dir]
    for _ in range(300):
        cut = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            at = rng.choice(starts) + rng.randrange(300)
            cut[min(at, len(cut) - 1)] = rng.randrange(256)
        path.write_bytes(cut)
        try:
            load_mask_codec(path)
        except CheckpointError:
            continue


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w") as member,
    ):
        for _ in range(257):
            member.write(bytes(2**20))

    with pytest.raises(CheckpointError, match="at most"):
        load_mask_codec(path)


@pytest.mark.parametrize("name", ["codec.npz", "codec.safetensors"])
def test_files_that_are_no_codec_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no mask codec at"):
        load_mask_codec(tmp_path / name)
    (tmp_path / name).write_bytes(b"\xff" * 100)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_mask_codec(tmp_path / name)
