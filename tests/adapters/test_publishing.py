"""Model cards, and the way to the Hub, against a small server that answers as the Hub does."""

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from palikit.adapters import save_adapter
from palikit.errors import HubError, InputError
from palikit.model_card import ModelCard, card_text
from palikit.publishing import check_access, check_publishable, publish, write_card
from tests.adapters.trained import trained

CARD = ModelCard(
    name="Blood cells",
    base_model="google/paligemma2-3b-pt-448",
    data="BCCD, 205 pictures with three classes of cells.",
    method="LoRA of rank 8",
    is_adapter=True,
    prompt="detect Platelets ; RBC ; WBC",
    options=(("learning_rate", "2e-5"), ("steps", "1000")),
    scores=(("mAP@.5", 0.61234), ("AP@.5 WBC", 0.9)),
    scored_on="the test split, 72 pictures",
)


class Server(ThreadingHTTPServer):
    """A Hub that keeps what is pushed.

    Attributes:
        asked: each request as (method, path, authorization).
        created: what the repository was asked to be.
        files: contents by path, of the one commit.
        status: of every answer.
        role: of the token that is sent.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.asked: list[tuple[str, str, str | None]] = []
        self.created: dict[str, object] = {}
        self.files: dict[str, bytes] = {}
        self.status = 200
        self.role = "write"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Hub(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.asked.append(("POST", self.path, self.headers.get("Authorization")))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status != 200:
            self.send({"error": "You don't have the rights"}, self.server.status)
        elif self.path == "/api/repos/create":
            self.server.created = json.loads(body)
            self.send({"url": f"{self.server.url}/{self.server.created['organization']}/cells"})
        elif self.path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            self.send(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for f in files
                    ]
                }
            )
        elif self.path.partition("?")[0].endswith("/commit/main"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.files[line["value"]["path"]] = content
            commit = f"{self.server.url}/owner/cells/commit/{'a' * 40}"
            self.send({"commitUrl": commit, "commitOid": "a" * 40, "success": True})
        else:
            self.send({"yaml": "", "repoType": "model", "errors": [], "warnings": []})

    def do_GET(self) -> None:
        self.server.asked.append(("GET", self.path, self.headers.get("Authorization")))
        if self.path == "/api/whoami-v2":
            token = {"accessToken": {"role": self.server.role}}
            self.send({"name": "me", "auth": token}, self.server.status)
            return
        self.send({"id": "owner/cells", "sha": "a" * 40, "siblings": []}, self.server.status)

    def send(self, content: object, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_adapter(trained(), tmp_path / "best", "google/paligemma2-3b-pt-448")
    write_card(tmp_path / "best", CARD)
    (tmp_path / "best" / "optimizer.safetensors").write_bytes(b"state")
    (tmp_path / "best" / "validation.html").write_text("pictures of people")
    return tmp_path / "best"


def test_an_adapter_is_pushed_with_its_card_and_nothing_else(hub: Server, folder: Path) -> None:
    page = publish(folder, "owner/cells", token="hf_secret", _endpoint=hub.url)
    assert page == f"{hub.url}/owner/cells"
    assert set(hub.files) == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    for name, content in hub.files.items():
        assert content == (folder / name).read_bytes()
    assert {authorization for *_, authorization in hub.asked} == {"Bearer hf_secret"}


@pytest.mark.parametrize("private", [True, False])
def test_a_repository_is_private_unless_asked_otherwise(
    hub: Server, folder: Path, private: bool
) -> None:
    given = {} if private else {"private": False}
    publish(folder, "owner/cells", token="t", _endpoint=hub.url, **given)
    asked = hub.created  # older versions of the library send `private`
    is_private = asked["visibility"] == "private" if "visibility" in asked else asked["private"]
    assert (is_private, asked["name"]) == (private, "cells")


def test_no_access_is_one_sentence_without_the_token(hub: Server, folder: Path) -> None:
    for status, advice in ((401, "log in"), (403, "may write"), (500, "push it again")):
        hub.status = status
        with pytest.raises(HubError) as raised:
            publish(folder, "owner/cells", token="hf_secret", _endpoint=hub.url)
        sentence = str(raised.value)
        assert "owner/cells" in sentence
        assert advice in sentence
        assert "\n" not in sentence
        assert "hf_secret" not in sentence
    assert hub.files == {}


def test_without_network_the_folder_stays_and_the_sentence_says_so(folder: Path) -> None:
    with pytest.raises(HubError, match=r"owner/cells could not be pushed .*check the network"):
        publish(folder, "owner/cells", token="t", _endpoint="http://127.0.0.1:9")
    assert (folder / "README.md").is_file()


def test_who_may_push_is_known_before_there_is_anything_to_push(
    hub: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_access("me/cells", token="hf_secret", _endpoint=hub.url)
    assert [path for _, path, _ in hub.asked] == ["/api/whoami-v2"]
    hub.role = "read"
    with pytest.raises(HubError, match="me/cells could not be pushed, for the token of me only re"):
        check_access("me/cells", token="hf_secret", _endpoint=hub.url)
    hub.status = 401
    with pytest.raises(HubError, match=r"not valid \(401\).*hf auth login") as told:
        check_access("me/cells", token="hf_secret", _endpoint=hub.url)
    assert "hf_secret" not in str(told.value)
    with pytest.raises(HubError, match="check the network"):
        check_access("me/cells", token="t", _endpoint="http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.utils._headers.get_token", lambda: None)
    monkeypatch.setattr("huggingface_hub.hf_api.get_token", lambda: None)
    with pytest.raises(HubError, match="nobody is logged in: hf auth login"):
        check_access("me/cells", _endpoint=hub.url)


def test_what_cannot_be_pushed_is_told_before_the_network_is_asked(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("cells", "a/b/c", "../x", "owner/", ""):
        with pytest.raises(InputError, match="is no name of a model on the Hub"):
            check_publishable(folder, name)
    with pytest.raises(InputError, match="holds neither a model nor an adapter"):
        check_publishable(tmp_path, "owner/cells")
    with pytest.raises(InputError, match="is no folder"):
        check_publishable(tmp_path / "gone", "owner/cells")
    (folder / "README.md").unlink()
    with pytest.raises(InputError, match=r"has no README\.md: write its card first"):
        publish(folder, "owner/cells")


def test_a_card_states_base_data_method_options_and_scores() -> None:
    text = card_text(CARD)
    for stated in (
        "# Blood cells",
        "A LoRA adapter for `google/paligemma2-3b-pt-448`, made by LoRA of rank 8",
        "BCCD, 205 pictures",
        "| `learning_rate` | 2e-5 |",
        "| mAP@.5 | 0.6123 |",
        "On the test split, 72 pictures",
        "Gemma terms of use",
        "palikit.load(",
        'PeftModel.from_pretrained(model, "',
        '"<image>" + "detect Platelets ; RBC ; WBC"',
    ):
        assert stated in text, stated


def test_the_head_of_a_card_is_what_the_hub_reads() -> None:
    from huggingface_hub import ModelCard as HubCard

    data = HubCard(card_text(CARD)).data.to_dict()
    assert data == {
        "license": "gemma",
        "library_name": "peft",
        "pipeline_tag": "image-text-to-text",
        "base_model": "google/paligemma2-3b-pt-448",
        "base_model_relation": "adapter",
        "tags": ["paligemma", "palikit", "lora"],
    }
    whole = HubCard(card_text(replace(CARD, is_adapter=False, base_model="./local"))).data.to_dict()
    assert whole["library_name"] == "transformers"
    assert "base_model" not in whole


def test_a_card_says_so_where_nothing_was_measured() -> None:
    assert "None were measured." in card_text(replace(CARD, scores=(), scored_on=""))


def test_no_value_breaks_out_of_its_place_in_the_card() -> None:
    from huggingface_hub import ModelCard as HubCard

    bad = 'x"\n---\nlicense: mit\n`| <b>'
    text = card_text(
        replace(CARD, name=bad, base_model=bad, method=bad, prompt=bad, options=((bad, bad),))
    )
    assert HubCard(text).data.to_dict()["license"] == "gemma"
    assert text.count("\n---\n") == 1
    options = text.partition("## Training")[2].partition("## Use")[0].strip().splitlines()
    assert len(options) == 3


def test_the_code_of_a_card_is_python() -> None:
    for card in (CARD, replace(CARD, is_adapter=False, prompt='a "b" \\')):
        for block in card_text(card).split("```python\n")[1:]:
            compile(block.partition("```")[0], "card", "exec")
