"""The folder that a benchmark's data lie in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from palikit.errors import InputError
from palikit.evaluation.benchmarks.layouts.entry import Entry

Official: TypeAlias = Callable[["Source"], Iterator[Entry]]
"""Reads the layout that the distributor ships."""


@dataclass(frozen=True)
class Source:
    """A folder, and what is looked for in it.

    Attributes:
        folder: given by the user; nothing outside it is ever named by data, though links that
            the user put there are followed.
        split: which part of the benchmark.
        title: of the benchmark.
        layout: what belongs into the folder, for the message where it does not.
    """

    folder: Path
    split: str
    title: str
    layout: str

    def find(self, *names: str) -> Path | None:
        """The first of these files that is there, right in the folder or one or two levels down."""
        for name in names:
            for pattern in (name, f"*/{name}", f"*/*/{name}"):
                found = sorted(self.folder.glob(pattern))
                if files := [path for path in found if path.is_file()]:
                    return files[0]
        return None

    def need(self, *names: str) -> Path:
        """As `find`.

        Raises:
            InputError: none of them is there; the message says what to fetch.
        """
        path = self.find(*names)
        if path is None:
            raise self.missing(" or ".join(names))
        return path

    def all(self, *patterns: str) -> list[Path]:
        """Every file of the first pattern that any is of, in the order of their names.

        Raises:
            InputError: there is none; the message says what to fetch.
        """
        for pattern in patterns:
            if found := sorted(path for path in self.folder.glob(pattern) if path.is_file()):
                return found
        raise self.missing(" or ".join(patterns))

    def missing(self, what: str) -> InputError:
        """The one message of data that are not there."""
        state = "holds no" if self.folder.is_dir() else "is no folder; it should hold"
        return InputError(
            f"{self.folder} {state} {what}, needed for {self.title} ({self.split}). {self.layout}"
        )

    def file(self, name: str, where: str, *folders: str) -> Path:
        """A file that an entry names: in one of these folders, or right in the source's.

        The name's last part alone is tried too, since archives are unpacked at different depths.

        Raises:
            InputError: it is not there, or the name leads out of the folder.
        """
        path = self.file_if_there(name, where, *folders)
        if path is not None:
            return path
        places = " or ".join(str(self.folder / each) for each in (folders or ("",)))
        raise InputError(f"{where}: there is no file {name} in {places}: fetch it. {self.layout}")

    def file_if_there(self, name: str, where: str, *folders: str) -> Path | None:
        """As `file`; None where it is not there.

        Raises:
            InputError: the name leads out of the folder.
        """
        spelled = name.replace("\\", "/")
        inner = PurePosixPath(spelled)
        if inner.is_absolute() or ".." in inner.parts or ":" in spelled[:2] or "\0" in name:
            raise InputError(
                f"{where}: the name {name!r} leads out of {self.folder}: expected one inside it"
            )
        for tried in dict.fromkeys((spelled, inner.name)):
            for folder in (*folders, ""):
                path = self.folder / folder / tried
                if tried and _is_file(path):
                    return path
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # longer than a name can be
        return False
