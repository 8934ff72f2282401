"""Models by name, against a small server that answers as the Hub does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest

from palikit.checkpoints import resolve
from palikit.errors import CheckpointError, HubError

FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "tokenizer.json": b"{}",
    "pytorch_model.bin": b"pickle",
    "model.npz": b"zip",
}
COMMIT = "a" * 40
# Names of the repositories this server knows, with the error it gives: status and error code.
ERRORS = {
    "no-token": (401, "GatedRepo"),
    "no-licence": (403, "GatedRepo"),
    "absent": (404, "RepoNotFound"),
    "secret": (401, None),
    "paligemma-3b-pt-22": (404, "RepoNotFound"),
}


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        name = path.removeprefix("/api/models").split("/")[2]
        if path.startswith("/api/"):
            revision = path.rpartition("/revision/")[2]
            if name in ERRORS and ERRORS[name][1] != "GatedRepo":
                self.send(b"", with_body, *ERRORS[name])
            elif revision == "nowhere":
                self.send(b"", with_body, 404, "RevisionNotFound")
            elif "/tree/" in path:
                tree = [
                    {"type": "file", "path": file, "size": len(data), "oid": "0" * 40}
                    for file, data in FILES.items()
                ]
                self.send(json.dumps(tree).encode(), with_body)
            else:
                siblings = [{"rfilename": file} for file in FILES]
                info = {"id": f"google/{name}", "sha": COMMIT, "siblings": siblings}
                self.send(json.dumps(info).encode(), with_body)
        elif name in ERRORS:
            # As on the Hub, a gated model's list of files is public and its files are not.
            self.send(b"", with_body, *ERRORS[name])
        else:
            self.send(FILES[path.rpartition("/")[2]], with_body)

    def send(
        self, body: bytes, with_body: bool, status: int = 200, error: str | None = None
    ) -> None:
        self.send_response(status)
        if error:
            self.send_header("X-Error-Code", error)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hash(body) & 0xFFFFFF:x}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests are silent."""


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[str]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_a_local_path_wins_over_the_hub(tmp_path) -> None:
    assert resolve(str(tmp_path)) == tmp_path
    (tmp_path / "m.npz").write_bytes(b"")
    assert resolve(str(tmp_path / "m.npz")) == tmp_path / "m.npz"


@pytest.mark.parametrize(
    "model", ["./nothing", "/no/thing", "~/no-such-thing", "a/b/c", "folder/m.npz", "m.safetensors"]
)
def test_what_looks_like_a_path_is_never_looked_up(model) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder") as error:
        resolve(model)
    assert not isinstance(error.value, HubError)


def test_a_name_without_owner_gets_a_suggestion() -> None:
    with pytest.raises(HubError, match=r"did you mean google/paligemma2-3b-mix-448\?"):
        resolve("paligemma2-3b-mix-448")


def test_weights_are_fetched_and_pickles_are_not(hub) -> None:
    folder = resolve("google/model", _endpoint=hub)
    assert names(folder) == {"config.json", "model.safetensors", "tokenizer.json"}
    assert (folder / "model.safetensors").read_bytes() == b"weights"


def test_jax_repositories_bring_their_npz(hub) -> None:
    assert "model.npz" in names(resolve("google/model-jax", _endpoint=hub))


def test_a_fetched_model_is_found_again_without_a_network(hub, monkeypatch) -> None:
    folder = resolve("google/model@bfloat16", _endpoint=hub)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert resolve("google/model", "bfloat16", _endpoint=hub) == folder
    with pytest.raises(HubError, match=r"never fetched.*HF_HUB_OFFLINE"):
        resolve("google/other", _endpoint=hub)


def test_without_a_token_the_way_to_log_in_is_told(hub) -> None:
    with pytest.raises(HubError, match=r"no token.*\(401\).*hf auth login.*HF_TOKEN") as error:
        resolve("google/no-token", _endpoint=hub)
    assert "https://huggingface.co/google/no-token" in str(error.value)


def test_without_the_licence_its_page_is_told(hub) -> None:
    with pytest.raises(HubError, match=r"no access yet \(403\): accept the licence") as error:
        resolve("google/no-licence", _endpoint=hub)
    assert "https://huggingface.co/google/no-licence" in str(error.value)


def test_a_model_that_does_not_exist_or_hides_is_told_as_both(hub) -> None:
    with pytest.raises(HubError, match=r"no model .* or it is private"):
        resolve("google/absent", _endpoint=hub)


def test_a_token_that_is_not_valid_is_told_as_such(hub) -> None:
    with pytest.raises(HubError, match=r"private and you sent no token, or one .* not valid \(401"):
        resolve("google/secret", _endpoint=hub)


def test_a_slip_in_a_released_name_gets_a_suggestion(hub) -> None:
    with pytest.raises(HubError, match=r"did you mean google/paligemma-3b-pt-224\?"):
        resolve("google/paligemma-3b-pt-22", _endpoint=hub)


def test_a_missing_revision_is_named(hub) -> None:
    with pytest.raises(HubError, match='no revision "nowhere"'):
        resolve("google/model@nowhere", _endpoint=hub)


def test_no_network_and_no_copy_is_one_sentence(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(HubError, match="could not be fetched and no whole copy") as error:
        resolve("google/model", _endpoint="http://127.0.0.1:9")
    assert "\n" not in str(error.value)
