"""What tells files of weights from others without reading all of them.

Models that people mix up are told apart; it is no proof against one who wants to be mistaken.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

_SAMPLES, _BYTES = 64, 4096
"""Stretches of each file that are read, and their length."""

_SHOWN = 12
"""Digits of a digest that a person is told."""

_WEIGHTS = (".safetensors", ".npz")


def files_fingerprint(files: Iterable[Path]) -> str:
    """A digest of the sizes of files and of evenly spaced bytes in them, not of their names.

    Raises:
        OSError: one cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{size} ".encode())
        with file.open("rb") as stream:
            for place in range(_SAMPLES):
                stream.seek(max(0, size - _BYTES) * place // (_SAMPLES - 1))
                digest.update(stream.read(_BYTES))
    return digest.hexdigest()


def weights_here(*names: str | None) -> str | None:
    """The same, shortened, of what models and adapters hold; None where none of them is a path.

    Args:
        names: paths, or names of other kinds and None, which are passed over: what a name on the
            Hub stands for does not change from one minute to the next.
    """
    files = [file for name in names if name is not None for file in _weights(Path(name))]
    try:
        return files_fingerprint(files)[:_SHOWN] if files else None
    except OSError:  # whoever loads them says so
        return None


def _weights(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from sorted(each for each in path.iterdir() if each.suffix in _WEIGHTS)
