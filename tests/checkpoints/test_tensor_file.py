"""Tensors in a file: what is written, and who may read it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import palikit
from palikit.checkpoints.tensor_file import write_tensors


@pytest.fixture
def readable_by_the_group() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    tensors = {"turned": torch.arange(6).view(2, 3).T, "packed": torch.ones(3, dtype=torch.uint8)}
    write_tensors(tmp_path / "a.safetensors", tensors, {"format": "pt"})
    with safe_open(tmp_path / "a.safetensors", framework="pt") as stored:
        assert stored.metadata() == {"format": "pt"}
        assert set(stored.keys()) == set(tensors)
        for name, tensor in tensors.items():
            assert stored.get_tensor(name).equal(tensor)


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
@pytest.mark.usefixtures("readable_by_the_group")
def test_a_file_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    for value in (0.0, 1.0):  # a new file, and one that is there
        write_tensors(file, {"a": torch.full((2,), value)})
        assert file.stat().st_mode & 0o777 == 0o640


def test_no_other_part_writes_such_files_by_itself() -> None:
    sources = Path(palikit.__file__).parent.rglob("*.py")
    writers = [path.name for path in sources if re.search(r"\bsave_file\b", path.read_text())]
    assert writers == ["tensor_file.py"]
