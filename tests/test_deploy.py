"""What puts a server under Docker or systemd: the files are sound, and their commands exist."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from palikit.cli import main

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
UNIT = (DEPLOY / "palikit.service").read_text(encoding="utf-8")


def entry_point() -> list[str]:
    (words,) = re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, flags=re.MULTILINE)
    found: list[str] = json.loads(words)
    return found


def started() -> list[str]:
    (line,) = re.findall(r"^ExecStart=(.*)$", UNIT, flags=re.MULTILINE)
    return shlex.split(line.replace("%d", "/run/credentials"))


@pytest.mark.parametrize("command", [entry_point(), started()], ids=["Docker", "systemd"])
def test_a_server_is_started_with_options_that_exist(command: list[str]) -> None:
    program, verb, *rest = command
    assert Path(program).name == "palikit"
    main.commands[verb].make_context(verb, rest)


def test_what_the_image_copies_is_there_and_sent_to_the_builder() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (.*) \S+$", DOCKERFILE, flags=re.MULTILINE)
    for name in " ".join(copied).split():
        assert (DEPLOY.parent / name).exists(), name
        assert f"!{name}" in ignored


def test_the_image_asks_where_the_server_is() -> None:
    port = entry_point()[entry_point().index("--port") + 1]
    assert f"127.0.0.1:{port}/readyz" in DOCKERFILE


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_the_dockerfile_is_clean() -> None:
    done = subprocess.run(
        ["hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_the_unit_is_clean(tmp_path: Path) -> None:
    unit = tmp_path / "palikit.service"
    unit.write_text(UNIT.replace("/opt/palikit/bin/palikit", sys.executable), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert "palikit.service" not in done.stderr, done.stderr
