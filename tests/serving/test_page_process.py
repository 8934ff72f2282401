"""`palikit serve --ui` as people run it: the routes and the page, in one process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner

from palikit.cli import main
from palikit.published import BUILT_IN_FOLDER
from tests.serving.test_process import KEY, SCENE, Running, start

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    pytest.importorskip("gradio", reason="the page needs palikit[ui]")
    if not BUILT_IN_FOLDER.is_dir():
        pytest.skip("the built-in model is not there")
    running = start(tmp_path_factory.mktemp("server"), "--ui", "--requests-per-minute", "8")
    yield running
    assert running.stop() == 0


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, auth=("anyone", KEY), timeout=60) as made:
        yield made


def test_page_and_routes_stand_on_one_server(server: Running, client: httpx.Client) -> None:
    assert client.get("/").headers["location"] == "/ui/"
    page = client.get("/ui/")
    assert page.status_code == 200
    assert "content-security-policy" in page.headers
    found = client.post("/v1/detect", files={"image": SCENE.read_bytes()}, data={"labels": "star"})
    assert found.json()["model"] == "nano"
    log = server.log.read_text()
    assert f"serving nano at {server.address}" in log
    assert f"the page is at {server.address}/ui/" in log


def test_opening_the_page_uses_up_no_rate(client: httpx.Client) -> None:
    read = {client.get("/ui/").status_code for _ in range(20)}
    assert read == {200}
    form = {"image": SCENE.read_bytes()}
    told = [client.post("/v1/ocr", files=form, data={"x": "1"}).status_code for _ in range(9)]
    assert told[0] == 400
    assert told[-1] == 429


def test_without_a_key_there_is_no_page(server: Running) -> None:
    assert httpx.get(f"{server.address}/ui/", timeout=60).status_code == 401


def test_the_page_is_not_served_over_ray() -> None:
    told = CliRunner().invoke(main, ["serve", "--ui", "--ray"], prog_name="palikit")
    assert told.exit_code == 2
    assert "--ui and --ray do not go together" in told.output


@pytest.mark.parametrize(
    ("command", "lacking", "extra"),
    [
        (["serve"], "uvicorn", "serve"),
        (["serve", "--ui"], "gradio", "ui"),
        (["ui"], "gradio", "ui"),
        (["ui"], "fastapi", "ui"),
    ],
)
def test_a_package_that_is_lacking_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, command: list[str], lacking: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, lacking, None)
    told = CliRunner().invoke(main, [*command, "--port", "0"], prog_name="palikit")
    assert told.exit_code == 2
    assert told.output.count("\n") == 1
    assert f"{lacking} is needed to" in told.output
    assert f"'palikit[{extra}]'" in told.output


def test_the_help_of_a_server_loads_no_page() -> None:
    program = (
        "import json, sys\nfrom palikit.cli import main\n"
        "try: main(['serve', '--help'])\nexcept SystemExit: pass\n"
        "print(json.dumps(sorted({'torch', 'gradio', 'uvicorn'} & sys.modules.keys())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=True,
    )
    assert "--ui" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == []
