"""The page's tables are those of the benchmarks."""

import importlib.util
from pathlib import Path
from types import ModuleType

from palikit.evaluation.benchmarks import BENCHMARKS

ROOT = Path(__file__).resolve().parents[3]


def script() -> ModuleType:
    file = ROOT / "benchmarks" / "benchmark_table.py"
    spec = importlib.util.spec_from_file_location("benchmark_table", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_tables_that_its_script_writes() -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert page == script().with_section(page), "run benchmarks/benchmark_table.py --write"


def test_every_benchmark_has_its_rows() -> None:
    text = script().section()
    for benchmark in BENCHMARKS:
        assert text.count(f"| `{benchmark.name}` |") >= 2
