"""What the pages show works: commands parse, Python runs, links and tables are right."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

import palikit
from tests import tiny
from tests.parity.oracle import save_tiny

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FINE_TUNING = (ROOT / "docs" / "fine-tuning.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = re.compile(r"^(?:\$ .*?&& |\$ | {4,}(?:use it: )?)(palikit .*)$", re.MULTILINE)


def commands(text: str = README) -> list[list[str]]:
    lines = SHOWN.findall(text.replace("\\\n", " "))
    return [shlex.split(line, comments=True)[1:] for line in lines]


def commands_of_all_pages() -> list[list[str]]:
    texts = (page.read_text(encoding="utf-8") for page in PAGES)
    return [each for text in texts for each in commands(text)]


def python_of(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_the_pages_show_commands() -> None:
    assert len(commands()) > 15
    assert len(commands_of_all_pages()) > 35


@pytest.mark.parametrize("arguments", commands_of_all_pages(), ids=" ".join)
def test_a_command_that_is_shown_has_only_options_that_exist(arguments: list[str]) -> None:
    from palikit.cli import main

    group: click.Group = main
    verb, *rest = arguments
    while isinstance(command := group.get_command(click.Context(group), verb), click.Group):
        group, (verb, *rest) = command, rest
    assert command is not None
    command.make_context(verb, rest, resilient_parsing=False)


def test_the_readme_begins_with_what_works_without_an_account() -> None:
    first = commands()[0]
    assert "--model" not in first
    assert README.index("pip install . && palikit") < README.index(
        "pip install '.[test]' && pytest"
    )


@pytest.mark.e2e
def test_the_first_command_of_the_readme_finds_what_it_asks_for(tmp_path: Path) -> None:
    verb, picture, labels, *save = commands()[0]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PALIKIT_MODEL", None)
    done = subprocess.run(
        [sys.executable, "-m", "palikit", verb, str(ROOT / picture), labels, *save],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert all(label in done.stdout for label in labels.split(" ; "))
    assert "nano" in done.stderr
    assert (tmp_path / save[-1]).is_file()


def test_the_python_of_the_readme_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(palikit, "load", lambda name: tiny.predictor())
    for seed, name in enumerate(("photo.jpg", "a.jpg", "b.jpg", "c.jpg")):
        tiny.picture(seed).save(tmp_path / name)
    blocks = python_of(README)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "boxes.png").exists()
    assert capsys.readouterr().out


def test_the_python_of_fine_tuning_trains_a_model_that_can_be_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path / "google" / "paligemma2-3b-pt-448", tiny.model())
    (tmp_path / "cells").mkdir()
    for split, count in (("train", 4), ("val", 2)):
        rows = []
        for seed in range(count):
            tiny.picture(seed).save(tmp_path / "cells" / f"{split}{seed}.png")
            suffix = f"<loc0100><loc0100><loc{500 + seed:04d}><loc0900> cat"
            row = {"image": f"{split}{seed}.png", "prefix": "detect cat ; dog", "suffix": suffix}
            rows.append(json.dumps(row))
        (tmp_path / "cells" / f"{split}.jsonl").write_text("\n".join(rows))
    tiny.picture(1).save(tmp_path / "photo.jpg")
    (block,) = python_of(FINE_TUNING)
    exec(compile(block, "fine-tuning.md", "exec"), {})
    assert (tmp_path / "runs" / "cells" / "best" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "boxes.png").is_file()
    assert "'ap'" in capsys.readouterr().out


def memory_script() -> ModuleType:
    file = ROOT / "benchmarks" / "training_memory.py"
    spec = importlib.util.spec_from_file_location("training_memory", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_fine_tuning_are_those_of_their_script() -> None:
    """One cell of each row that is quick to compute; the script prints all."""
    script = memory_script()
    for name, options, lora in script.RUNS:
        (row,) = re.findall(rf"^\| {re.escape(name)} \| (\d+\.\d, .*) \|$", FINE_TUNING, re.M)
        if options.method == "lora":
            assert row.split(" | ")[0] == script.memory_cell(options, lora, 224), name
        if options.optimizer == "adamw":
            assert f"{script.count_row(name, options, lora)}\n" in FINE_TUNING


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_sections_lead_to_their_titles(page: Path) -> None:
    for name, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text("utf-8")):
        text = (page.parent / name if name else page).read_text(encoding="utf-8")
        titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles}
