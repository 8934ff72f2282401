"""What the README shows works: its commands parse, its Python runs, its links lead somewhere."""

import re
import shlex
from pathlib import Path

import click
import pytest

import palikit
from tests import tiny

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> list[list[str]]:
    lines = re.findall(r"^(?:\$ .*?&& |\$ |    )(palikit .*)$", README, flags=re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]


def test_the_readme_shows_commands() -> None:
    assert len(commands()) > 10


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_a_command_of_the_readme_has_only_options_that_exist(arguments: list[str]) -> None:
    from palikit.cli import main

    verb, *rest = arguments
    command = main.get_command(click.Context(main), verb)
    assert command is not None
    command.make_context(verb, rest, resilient_parsing=False)


def test_the_python_of_the_readme_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(palikit, "load", lambda name: tiny.predictor())
    for seed, name in enumerate(("photo.jpg", "a.jpg", "b.jpg", "c.jpg")):
        tiny.picture(seed).save(tmp_path / name)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "boxes.png").exists()
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
