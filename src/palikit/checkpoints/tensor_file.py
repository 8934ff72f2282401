"""Tensors in one safetensors file that whoever may read its folder can read."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def write_tensors(
    file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors of any dtype to `file`, with the permissions that a new file has here.

    Safetensors 0.8 puts a file of its own in the place of the one named, which nobody but its
    owner can read whatever the umask says.

    Args:
        file: replaced where it exists.
        tensors: of any strides; none share memory.
        metadata: texts of the header.

    Raises:
        OSError: or safetensors' SafetensorError, where the file cannot be written.
    """
    file.touch()
    mode = file.stat().st_mode & 0o777
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file, metadata)  # type: ignore[arg-type]
    file.chmod(mode)
