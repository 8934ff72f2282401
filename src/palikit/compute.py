"""What a processor computes well in: the dtype of weights and activations that is chosen for it.

Half precision without instructions for it is many times slower on a CPU than float32, which the
checkpoints of PaliGemma 2, stored in bfloat16, would fall into.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


def compute_dtype(stored: torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype to run a checkpoint in: its own, but float32 where a CPU cannot do with that.

    Args:
        stored: of most weights in the files, in half or single precision.
        device: where it will run.
    """
    if device.type != "cpu" or stored in cpu_dtypes():
        return stored
    return torch.float32


def cpu_dtypes() -> tuple[torch.dtype, ...]:
    """What this processor has instructions for, float32 first."""
    found = [torch.float32]
    has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if has_bf16 or _arm_has_bf16():
        found.append(torch.bfloat16)
    if torch.cpu._is_amx_fp16_supported():
        found.append(torch.float16)
    return tuple(found)


def has_integer_products() -> bool:
    """Whether this processor multiplies 8-bit numbers into 32-bit sums (VNNI).

    Without, kernels add pairs of products in 16 bits, which overflow.
    """
    return bool(torch.cpu._is_vnni_supported())


@contextmanager
def half_of_the_threads() -> Iterator[None]:
    """PyTorch computes with half of them inside the block, for this thread; one at least."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // 2))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _arm_has_bf16() -> bool:
    if platform.machine().lower() not in ("aarch64", "arm64"):
        return False
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return False
    return any("bf16" in line.split() for line in text.splitlines() if line.startswith("Features"))
