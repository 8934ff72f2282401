"""`palikit env`: what a bug report needs to say about a machine, and nothing about its owner."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import click

from palikit.cli.command import Command

_NEEDED = ("numpy", "pillow", "tokenizers", "safetensors", "huggingface_hub", "click", "rich")
_OPTIONAL = (
    "av",
    "sentencepiece",
    "peft",
    "bitsandbytes",
    "tensorboard",
    "transformers",
)
_ABSENT = "not installed"
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_USEFUL_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
)
"""What decides how fast a model runs on a processor, as Linux names it."""


@click.command(cls=Command, epilog="palikit env\npalikit env > environment.txt")
def env() -> None:
    """Describe this machine for a bug report.

    No paths, names or tokens of yours are in it.
    """
    rows = [
        ("PaliKit", palikit_version()),
        ("Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("platform", f"{platform.system()} {platform.release()} {platform.machine()}"),
        *_torch_rows(),
        ("processor", _processor()),
        ("instructions", ", ".join(_instructions()) or "unknown"),
        ("memory", _memory()),
        *((name, _version(name)) for name in (*_NEEDED, *_OPTIONAL)),
        *((name, "set" if os.environ.get(name) else "not set") for name in _OFFLINE),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


def palikit_version() -> str:
    """The installed version, or that PaliKit runs from its sources."""
    version = _version("palikit")
    return "not installed, run from its sources" if version == _ABSENT else version


def _torch_rows() -> Iterator[tuple[str, str]]:
    import torch

    yield "torch", f"{torch.__version__}, {torch.get_num_threads()} threads"
    yield "CUDA of torch", str(torch.version.cuda or "none")
    from palikit.compute import cpu_dtypes, has_integer_products

    yield "CPU kernels", torch.backends.cpu.get_cpu_capability()
    names = [str(dtype).removeprefix("torch.") for dtype in cpu_dtypes()]
    yield "CPU computes in", ", ".join([*names, *(["int8"] if has_integer_products() else [])])
    count = torch.cuda.device_count()
    for index in range(count):
        gpu = torch.cuda.get_device_properties(index)
        yield f"GPU {index}", f"{gpu.name}, {_gib(gpu.total_memory)}"
    if torch.backends.mps.is_available():
        yield "GPU mps", "available"
    elif not count:
        yield "GPU", "none"


def _processor() -> str:
    names = (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _instructions() -> list[str]:
    flags = next((line for line in _cpuinfo() if line.startswith(("flags", "Features"))), "")
    return [
        flag for flag in (*_USEFUL_FLAGS, "asimd", "bf16", "i8mm", "sve") if flag in flags.split()
    ]


def _cpuinfo() -> list[str]:
    """The kernel's description of the processors; empty where there is none."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _memory() -> str:
    try:
        return _gib(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # not a POSIX system
        return "unknown"


def _gib(nbytes: int) -> str:
    return f"{nbytes / 2**30:.1f} GiB"


def _version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return _ABSENT
