"""Loading a quantised checkpoint costs no import that only compiling needs."""

import subprocess
import sys
from pathlib import Path

import palikit
from palikit.published import BUILT_IN_FOLDER

LOAD = "import sys, palikit; palikit.load(sys.argv[1]); assert 'torch._dynamo' not in sys.modules"


def test_a_quantised_checkpoint_loads_without_the_compiler(tmp_path: Path) -> None:
    folder = palikit.quantize_checkpoint(BUILT_IN_FOLDER, "int8", tmp_path / "int8")
    subprocess.run([sys.executable, "-c", LOAD, str(folder)], check=True)
