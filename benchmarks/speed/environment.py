"""What a result needs to say about where it was made, and nothing about whose machine it is."""

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
_PACKAGES = ("torch", "transformers", "bitsandbytes", "tokenizers", "safetensors", "pillow")


@dataclass(frozen=True)
class Environment:
    """A machine and what runs on it.

    Attributes:
        flags: instructions that decide the speed of matrix products.
        versions: of Python and the libraries; None for one that is not installed.
        commit: of PaliKit, with "+" where files differ from it.
    """

    system: str
    processor: str
    cores: int
    flags: list[str]
    memory_bytes: int
    gpu: str | None
    versions: dict[str, str | None]
    commit: str


def environment(device: str) -> Environment:
    """This machine, now."""
    lines = _lines(Path("/proc/cpuinfo"))
    names = [_value(line) for line in lines if line.startswith("model name")]
    flags = next((_value(line) for line in lines if line.startswith("flags")), "").split()
    return Environment(
        system=f"{platform.system()} {platform.machine()}",
        processor=names[0] if names else platform.processor(),
        cores=physical_cores(),
        flags=[flag for flag in _FLAGS if flag in flags],
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpu=_gpu() if device == "cuda" else None,
        versions={"python": platform.python_version(), **{p: _version(p) for p in _PACKAGES}},
        commit=_commit(),
    )


def physical_cores() -> int:
    """Cores this process may use; two threads of one core count once."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores, package = set(), ""
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("physical id"):
            package = _value(line)
        elif line.startswith("core id"):
            cores.add((package, _value(line)))
    return min(allowed or 1, len(cores) or allowed or 1)


def _gpu() -> str:
    query = "import torch; print(torch.cuda.get_device_name())"
    done = subprocess.run([sys.executable, "-c", query], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    try:
        is_changed = bool(git("status", "--porcelain", "--untracked-files=no", "--", ":/src"))
        return git("rev-parse", "--short", "HEAD") + ("+" if is_changed else "")
    except FileNotFoundError:
        return ""


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _value(line: str) -> str:
    return line.partition(":")[2].strip()
