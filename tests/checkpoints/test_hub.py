"""Models by name, against a small server that answers as the Hub does."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest

from palikit.checkpoints import (
    inspect_checkpoint,
    inspect_model,
    resolve,
    save_checkpoint,
)
from palikit.checkpoints.layout import OnlyAnAdapterError
from palikit.errors import CheckpointError, HubError, InputError
from palikit.quantizing import quantize_checkpoint
from tests.checkpoints.conftest import tiny_config, tiny_model

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


class Server(ThreadingHTTPServer):
    """A Hub with the same files in every repository.

    Attributes:
        files: what is in them.
        sent: bytes of each file that were sent.
        cut: names of files whose connection is closed halfway.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.files = dict(FILES)
        self.sent: Counter[str] = Counter()
        self.cut: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Hub(BaseHTTPRequestHandler):
    server: Server

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
                    for file, data in self.server.files.items()
                ]
                self.send(json.dumps(tree).encode(), with_body)
            else:
                siblings = [
                    {"rfilename": file, "size": len(data)}
                    for file, data in self.server.files.items()
                ]
                info = {"id": f"google/{name}", "sha": COMMIT, "siblings": siblings}
                self.send(json.dumps(info).encode(), with_body)
        elif name in ERRORS:
            # As on the Hub, a gated model's list of files is public and its files are not.
            self.send(b"", with_body, *ERRORS[name])
        else:
            self.send_file(path.rpartition("/")[2], with_body)

    def send_file(self, name: str, with_body: bool) -> None:
        body, status = self.server.files[name], 200
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            body, status = body[int(wanted[1]) : int(wanted[2]) + 1], 206
        if with_body:
            self.server.sent[name] += len(body)
        if with_body and name in self.server.cut:
            self.close_connection = True
        else:
            self.send(body, with_body, status)

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


@pytest.fixture(autouse=True)
def own_environment(tmp_path, monkeypatch) -> None:
    """Nothing of the machine's own cache and settings."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between attempts at a broken connection


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hub(server) -> str:
    return server.url


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


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("nanno", "nano"),
        ("Nano", "nano"),
        ("paligemma2-3b-mix-44", "google/paligemma2-3b-mix-448"),
        ("paligemma2-3b-mix448", "google/paligemma2-3b-mix-448"),
    ],
)
def test_a_slip_in_a_name_without_owner_gets_a_suggestion(slip, meant) -> None:
    with pytest.raises(HubError, match=rf"did you mean {meant}\?$"):
        resolve(slip)


def test_a_name_that_resembles_none_gets_the_way_to_all() -> None:
    with pytest.raises(HubError, match="`palikit models` lists the names"):
        resolve("gone")


def test_the_built_in_model_is_told_where_it_is_not_installed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("palikit.checkpoints.hub.BUILT_IN_FOLDER", tmp_path / "gone")
    with pytest.raises(CheckpointError, match=r"weights of nano, .* not in this installation"):
        resolve("nano")
    monkeypatch.setattr("palikit.checkpoints.hub.BUILT_IN_FOLDER", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert resolve("nano") == tmp_path
    with pytest.raises(InputError, match="nano is in the package and has no revision"):
        resolve("nano", "main")


@pytest.mark.parametrize("codec", ["vae-oid.npz", "mask_codec.npz", "mask_codec.safetensors"])
def test_a_mask_codec_is_fetched_with_its_model(server, codec) -> None:
    server.files = dict(FILES) | {codec: b"codec"}
    folder = resolve("google/model", _endpoint=server.url)
    assert (folder / codec).read_bytes() == b"codec"
    assert "model.npz" not in names(folder)


def test_a_fetched_adapter_is_told_from_a_model_without_a_network(server, monkeypatch) -> None:
    server.files = {"adapter_config.json": b"{}", "adapter_model.safetensors": b""}
    resolve("me/adapter", _endpoint=server.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OnlyAnAdapterError):
        inspect_model("me/adapter", _endpoint=server.url)


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
    with pytest.raises(HubError, match=r"did you mean google/paligemma-3b-pt-224\?"):
        resolve("google/paligemma-3b-pt-22x", _endpoint=hub)


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


def test_no_network_and_no_copy_is_one_sentence() -> None:
    with pytest.raises(HubError, match="could not be fetched and no whole copy") as error:
        resolve("google/model", _endpoint="http://127.0.0.1:9")
    assert "\n" not in str(error.value)


def test_a_connection_that_is_cut_during_a_download_is_one_sentence(server) -> None:
    server.cut = {"model.safetensors"}
    with pytest.raises(HubError, match="could not be fetched and no whole copy") as error:
        resolve("google/model", _endpoint=server.url)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "model", ["~nobodyhere/x", "google/" + "m" * 5000, "m" * 5000, "/" + "m" * 5000]
)
def test_a_name_that_cannot_be_a_path_here_is_one_short_sentence(model) -> None:
    with pytest.raises(CheckpointError) as error:
        resolve(model)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_an_empty_name_is_not_the_folder_one_stands_in() -> None:
    with pytest.raises(HubError, match='"" is neither a file or folder'):
        resolve("")


def test_a_revision_is_of_the_hub_and_not_of_a_path(tmp_path) -> None:
    with pytest.raises(InputError, match=r"is a file or folder here .* revision \"bfloat16\""):
        resolve(str(tmp_path), "bfloat16")


def test_two_revisions_that_differ_are_refused(hub) -> None:
    with pytest.raises(InputError, match=r'"bfloat16" .* "float16": give one'):
        resolve("google/model@bfloat16", "float16", _endpoint=hub)
    assert resolve("google/model@bfloat16", "bfloat16", _endpoint=hub).is_dir()


@pytest.fixture
def released(server, tmp_path) -> Path:
    """A model in shards of over 200 KB, on the server and in a folder."""
    (tmp_path / "tokenizer.json").write_text("{}")
    folder = tmp_path / "released"
    save_checkpoint(
        tiny_model(tiny_config(rows=9000)),
        folder,
        tokenizer_file=tmp_path / "tokenizer.json",
        max_shard_bytes=300_000,
    )
    server.files = {file.name: file.read_bytes() for file in folder.iterdir()}
    return folder


@pytest.mark.parametrize("sharded", [True, False])
def test_a_model_on_the_hub_is_inspected_from_its_headers(server, released, sharded) -> None:
    if not sharded:
        save_checkpoint(
            tiny_model(tiny_config(rows=9000)), released, tokenizer_file=None, overwrite=True
        )
        (released / "tokenizer.json").write_text("{}")
        server.files = {file.name: file.read_bytes() for file in released.iterdir()}
    found, local = inspect_model("me/tiny", _endpoint=server.url), inspect_checkpoint(released)
    assert found == replace(local, path=Path("me/tiny"), is_local=False)
    assert (found.complete, local.is_local) == (True, True)
    weights = [name for name in server.files if name.endswith(".safetensors")]
    assert max(len(server.files[name]) for name in weights) > 1_000_000
    assert all(server.sent[name] <= 100_001 for name in weights)
    assert server.sent["tokenizer.json"] == 0


def test_a_quantised_model_on_the_hub_is_inspected_from_its_headers(
    server, released, tmp_path
) -> None:
    (released / "tokenizer.json").unlink()  # a stand-in, which quantising would refuse
    folder = quantize_checkpoint(released, "int8", tmp_path / "held")
    (folder / "tokenizer.json").write_text("{}")
    server.files = {file.name: file.read_bytes() for file in folder.iterdir()}
    found, local = inspect_model("me/tiny", _endpoint=server.url), inspect_checkpoint(folder)
    assert found == replace(local, path=Path("me/tiny"), is_local=False)
    assert (found.complete, found.form, found.dtypes[0]) == (True, "int8", "int8")
    assert server.sent["model.safetensors"] <= 100_001
    server.files["config.json"] = server.files["config.json"].replace(b'"int8"', b'"int7"')
    with pytest.raises(CheckpointError, match=r"^me/tiny is quantised by palikit \(int7\)"):
        inspect_model("me/tiny", _endpoint=server.url)


def test_inspecting_a_model_on_the_hub_leaves_nothing_in_the_cache(
    hub, released, tmp_path, monkeypatch
) -> None:
    assert not inspect_model("me/tiny", _endpoint=hub).is_local
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match=r"never fetched.*HF_HUB_OFFLINE"):
        inspect_model("me/tiny", _endpoint=hub)


def test_a_fetched_model_is_inspected_where_it_lies(server, released, monkeypatch) -> None:
    folder = resolve("me/tiny@bfloat16", _endpoint=server.url)
    server.sent.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    found = inspect_model("me/tiny", "bfloat16", _endpoint=server.url)
    assert (found.path, found.is_local, found.complete) == (folder, True, True)
    assert not server.sent
    assert inspect_model(str(folder)) == found


def test_a_half_fetched_model_is_inspected_on_the_hub(server, released) -> None:
    folder = resolve("me/tiny", _endpoint=server.url)
    next(folder.glob("*.safetensors")).unlink()
    assert not inspect_model("me/tiny", _endpoint=server.url).is_local


def test_what_is_wrong_with_a_model_on_the_hub_is_told(server, released) -> None:
    shards = sorted(name for name in server.files if name.endswith(".safetensors"))
    del server.files[shards[0]], server.files["tokenizer.json"]
    server.files[shards[1]] = b"no header at all"
    found = inspect_model("me/tiny", _endpoint=server.url)
    text = " | ".join(found.problems)
    assert f"{shards[0]} is missing" in text
    assert f"{shards[1]} has a damaged header" in text
    assert "tokenizer.json" in text


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"m.npz": b"x"}, r"me/tiny is an \.npz.*hf download me/tiny"),
        ({"pytorch_model.bin": b"x"}, r"^me/tiny/pytorch_model\.bin holds pickled"),
        ({"adapter_config.json": b"{}", "adapter_model.safetensors": b""}, "me/tiny holds a LoRA"),
        ({"model.safetensors": b"x"}, r"me/tiny has no config\.json"),
        ({"model.safetensors": b"x", "config.json": b"["}, r"config\.json is not JSON"),
        ({}, "me/tiny holds no weights"),
    ],
)
def test_what_cannot_be_inspected_on_the_hub_is_one_sentence(server, files, message) -> None:
    server.files = files
    with pytest.raises(CheckpointError, match=message) as error:
        inspect_model("me/tiny", _endpoint=server.url)
    assert "/tmp" not in str(error.value)


def test_errors_of_the_hub_are_told_while_inspecting_too(server) -> None:
    with pytest.raises(HubError, match=r"no model .* or it is private"):
        inspect_model("google/absent", _endpoint=server.url)
    with pytest.raises(HubError, match=r"no access yet \(403\)"):
        inspect_model("google/no-licence", _endpoint=server.url)
    with pytest.raises(HubError, match='no revision "nowhere"'):
        inspect_model("google/model@nowhere", _endpoint=server.url)
    server.cut = {"config.json"}
    with pytest.raises(HubError, match="could not be fetched"):
        inspect_model("google/model", _endpoint=server.url)
    with pytest.raises(InputError, match="is a file or folder here"):
        inspect_model(".", "bfloat16")
