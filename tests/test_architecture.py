"""Who may import whom: the house of docs/architecture.md, held by reading the imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import palikit

PACKAGE = Path(palikit.__file__).parent

ROWS: dict[str, int] = {
    # 0: standard library and NumPy
    "errors": 0,
    "vocab": 0,
    "masks": 0,
    "results": 0,
    "scores": 0,
    "ahead": 0,
    "allocation": 0,
    "fingerprint": 0,
    # 1: row 0 and Pillow, no torch
    "config": 1,
    "published": 1,
    "model_card": 1,
    "options": 1,
    "train_options": 1,
    "recipes": 1,
    "tasks": 1,
    "data": 1,
    "drawing": 1,
    "html_page": 1,
    "prediction": 1,
    "pictures": 1,
    "video": 1,
    # 2: text, or tensors; never both
    "compute": 2,
    "tokenizer": 2,
    "model": 2,
    # 3
    "processor": 3,
    "checkpoints": 3,
    "adapters": 3,
    "quantization": 3,
    "publishing": 3,
    # 4: token ids only
    "grammar": 4,
    "choosing": 4,
    "generation": 4,
    "running_batch": 4,
    "beam_search": 4,
    # 5
    "request": 5,
    "answers": 5,
    "engine": 5,
    "predictor": 5,
    "loading": 5,
    "quantizing": 5,
    # 6
    "evaluation": 6,
    "training": 6,
    # 7
    "batch": 7,
    "nano": 7,
    "serving": 7,
    # 8
    "cli": 8,
}
"""Parts by row; a part imports only from its own row and those above."""

WITHIN: dict[str, str] = {
    "config_json": "config",
    "fonts": "drawing",
    "pieces": "tokenizer",
    "pixels": "pictures",
    "records": "prediction",
    "sentencepiece_model": "tokenizer",
    "tasks_parsing": "tasks",
    "urls": "pictures",
}
"""Files that are one half of a part split in two."""

HEAVY: dict[str, int] = {
    "PIL": 1,
    "av": 1,
    "torch": 2,
    "safetensors": 2,
    "tokenizers": 2,
    "huggingface_hub": 3,
    "peft": 3,
    "bitsandbytes": 3,
    "fastapi": 7,
    "gradio": 7,
    "prometheus_client": 7,
    "pyarrow": 7,
    "pydantic": 7,
    "ray": 7,
    "starlette": 7,
    "uvicorn": 7,
    "click": 8,
    "rich": 8,
}
"""Libraries and the first row that may import them."""

FORBIDDEN = {"pickle", "transformers", "marshal", "shelve"}


def part_of(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return WITHIN.get(first, first)


def imports_of(file: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "palikit":
            yield from ((f"palikit.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno


def files() -> list[Path]:
    return sorted(file for file in PACKAGE.rglob("*.py"))


def modules() -> list[Path]:
    return [
        file
        for file in files()
        if file.name not in {"__init__.py", "__main__.py"} or file.parent != PACKAGE
    ]


def test_every_module_has_a_row() -> None:
    assert {part_of(file) for file in modules()} <= set(ROWS)


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_row_and_above(file: Path) -> None:
    own = ROWS[part_of(file)]
    for name, line in imports_of(file):
        top, *rest = name.split(".")
        if top == "palikit":
            target = WITHIN.get(rest[0], rest[0]) if rest else "cli"
            assert ROWS.get(target, 99) <= own, f"{file.name}:{line} imports {name}"
        assert HEAVY.get(top, 0) <= own, f"{file.name}:{line} imports {name}"
        assert top not in FORBIDDEN, f"{file.name}:{line} imports {name}"


def test_the_model_sees_no_text() -> None:
    for file in (PACKAGE / "model").glob("*.py"):
        names = {name for name, _ in imports_of(file)}
        assert not names & {"palikit.tokenizer", "palikit.tasks"}, file.name


def test_files_stay_small() -> None:
    long = {
        file.name: lines
        for file in files()
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long
