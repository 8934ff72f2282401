"""The checkpoints that are measured: random weights at real dimensions, and their quantised forms.

They are made once and kept, each by a process of its own, whose memory ends with it.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.cases import Case, Form

from palikit.checkpoints.layout import find_files
from palikit.config import PaliGemmaConfig, parameter_count
from palikit.config_json import config_from_json
from palikit.published import config_for

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = ROOT.parent / "shared" / "tokenizer" / "tokenizer.json"

SPARE = 1.2
"""Room on the disk beyond the files themselves."""

_BYTES: dict[Form, float] = {"float32": 4, "bfloat16": 2, "int8": 1, "int4": 1, "nf4": 1, "fp8": 1}


class PreparationError(Exception):
    """A checkpoint cannot be made."""


@dataclass(frozen=True)
class Checkpoints:
    """A folder of checkpoints.

    Attributes:
        folder: where they are made.
        tokenizer: the released tokenizer.json.
        given: a float checkpoint to measure in the place of random ones.
    """

    folder: Path
    tokenizer: Path = TOKENIZER
    given: Path | None = None

    def float_one(self, case: Case) -> Path:
        """The checkpoint as it is released, in bfloat16 if it is a random one.

        Raises:
            PreparationError: no tokenizer, no room, or the script failed.
        """
        if self.given is not None:
            return self.given
        name = f"{case.family}-{case.size}-{case.image_size}".replace(" ", "").lower()
        path = self.folder / name
        if not path.is_dir():
            if not self.tokenizer.is_file():
                raise PreparationError(f"{self.tokenizer}: no such file; give --tokenizer")
            count = parameter_count(config_for(case.family, case.size, case.image_size))
            self._make_room(2 * count)
            script = str(ROOT / "benchmarks" / "random_checkpoint.py")
            wanted = ["--family", case.family, "--size", case.size]
            wanted += ["--image-size", str(case.image_size), "--tokenizer", str(self.tokenizer)]
            _run([sys.executable, script, str(path), *wanted])
        return path

    def quantised(self, case: Case, form: Form) -> Path:
        """The same in another form, written by `palikit quantize`.

        Raises:
            PreparationError: as above, or PaliKit cannot quantise it.
        """
        source = self.float_one(case)
        name = source.name if self.given is None else f"{source.name}-{_print_of(source)}"
        path = self.folder / f"{name}-{form}"
        if not path.is_dir():
            self._make_room(int(parameter_count(config_of(source)) * _BYTES[form]))
            command = [sys.executable, "-m", "palikit", "quantize", str(source)]
            _run([*command, "--to", form, "--output", str(path)])
        return path

    def _make_room(self, nbytes: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < SPARE * nbytes:
            raise PreparationError(
                f"{self.folder} has {free / 1e9:.1f} GB free and the checkpoint takes "
                f"{nbytes / 1e9:.1f} GB: give another folder as --checkpoints"
            )


def config_of(checkpoint: Path) -> PaliGemmaConfig:
    """What a float checkpoint says it is."""
    return config_from_json(json.loads((checkpoint / "config.json").read_text(encoding="utf-8")))


def read_once(checkpoint: Path) -> None:
    """Read all weights, so that every load finds its files in the same place: in memory."""
    buffer = memoryview(bytearray(2**24))
    for file in find_files(checkpoint).weights:
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def _print_of(checkpoint: Path) -> str:
    """Tells a checkpoint from another one, or a later one, of the same name."""
    facts = [(str(file.resolve()), file.stat().st_mtime_ns) for file in checkpoint.iterdir()]
    return hashlib.sha256(repr(sorted(facts)).encode()).hexdigest()[:8]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise PreparationError(f"{' '.join(command[1:4])}: {said[-1]}")
