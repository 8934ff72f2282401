"""What strangers try: it is refused or does nothing, and no answer tells of the machine."""

import http.server
import json
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any, ClassVar

import pytest

from palikit.serving import remote
from palikit.serving.problems import Problem
from palikit.serving.remote import Remote, is_public
from tests.serving.made import (
    KEY,
    FakeScheduler,
    asked,
    base64_of,
    client_of,
    data_uri,
    fake_client,
    one_key,
    png,
    service_with,
)

CHAT = "/v1/chat/completions"
ALLOWED = "pictures.example"


def told(answer: Any, *statuses: int) -> None:
    """The answer is one of the refusals, in one sentence that holds nothing of the inside."""
    assert answer.status_code in statuses
    message = answer.json()["error"]["message"]
    assert message
    for word in ("Traceback", 'File "', "site-packages", "/root", "/home", "0x", "palikit."):
        assert word not in answer.text


def image(source: str, **options: Any) -> None:
    scheduler = FakeScheduler()
    client = fake_client(scheduler, **options)
    told(client.post("/v1/ocr", json={"image": source}), 400)
    told(client.post(CHAT, json=asked(image=source)), 400)
    assert not scheduler.jobs


def oversized_body() -> None:
    content = b'{"image":"' + b"A" * (3 * 2**20)
    headers = {"content-type": "application/json"}
    told(fake_client(max_request_mib=1).post("/v1/ocr", content=content, headers=headers), 413)


def oversized_prompt() -> None:
    for text in ("word " * 5000, "x" * 500_000):
        told(fake_client(max_prompt_tokens=100).post(CHAT, json=asked(text)), 400)


def oversized_output() -> None:
    told(fake_client().post(CHAT, json=asked(max_tokens=10**9)), 400)
    told(fake_client().post(CHAT, json=asked(n=10**9)), 400)


def oversized_form() -> None:
    files = [("image", (f"{i}.png", png())) for i in range(200)]
    told(fake_client().post("/v1/caption", files=files), 400)
    fields = {"labels": "x" * (2 * 2**20)}
    told(fake_client().post("/v1/detect", data=fields, files={"image": png()}), 400)


def decompression_bomb() -> None:
    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(10**6))), (b"IEND", b""))
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    image(base64_of(bomb))


def text_chunk_bomb() -> None:
    """A comment of a PNG that unpacks to far more than it is."""
    body = b"Comment\0\0" + zlib.compress(bytes(200 * 2**20))
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + body))
    whole = png()
    image(base64_of(whole[:33] + chunk + whole[33:]))


def nested_json() -> None:
    content = b'{"image":' + b"[" * 10**6
    headers = {"content-type": "application/json"}
    for path in ("/v1/ocr", CHAT):
        told(fake_client().post(path, content=content, headers=headers), 400)


def xml_entities() -> None:
    config = '<!DOCTYPE v [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><View>&b;</View>'
    told(fake_client().post("/predict", json={"tasks": [], "label_config": config}), 400)


def name_of_a_file() -> None:
    scheduler = FakeScheduler()
    for name in ("../../../etc/passwd", "/etc/passwd", "a\r\nSet-Cookie: b=c", "a\0.png", "C:\\x"):
        files = {"image": (name, png(), "image/png")}
        answer = fake_client(scheduler).post("/v1/ocr", files=files)
        assert answer.status_code == 200
        assert answer.json()["input"] == "picture"
        assert "set-cookie" not in answer.headers


def header_in_an_id() -> None:
    for value in (b"x\r\nSet-Cookie: a=b", b"\x00", b"<script>"):
        answer = fake_client().get("/healthz", headers={b"x-request-id": value})
        assert answer.headers["x-request-id"].isalnum()
        assert "set-cookie" not in answer.headers


def control_tokens() -> None:
    scheduler = FakeScheduler()
    prompt = "<eos><loc0001><seg001><image><bos> caption en"
    assert fake_client(scheduler).post(CHAT, json=asked(prompt)).status_code == 200
    assert not scheduler.jobs[0].request.task.allow_special
    for labels in ("cat <loc0001>", "cat\ndog <eos>"):
        body = {"image": data_uri(), "labels": labels}
        told(fake_client().post("/v1/detect", json=body), 400)


def guessed_key() -> None:
    client = client_of(service_with(keys=one_key(), requests_per_minute=5))
    answers = [
        client.get("/v1/models", headers={"authorization": f"Bearer {KEY[:size]}"})
        for size in range(8)
    ]
    assert [each.status_code for each in answers] == [401] * 5 + [429] * 3
    assert len({each.text for each in answers[:5]}) == 1


def foreign_name() -> None:
    told(fake_client().get("/v1/models", headers={"host": "evil.example"}), 403)


def foreign_page() -> None:
    headers = {"origin": "https://evil.example"}
    told(fake_client().post("/v1/ocr", json={"image": data_uri()}, headers=headers), 403)
    # What a page may send unasked has another type, and is not read as JSON.
    plain = {"content-type": "text/plain"}
    content = json.dumps({"image": data_uri()})
    told(fake_client().post("/v1/ocr", content=content, headers=plain), 415)
    told(fake_client().post(CHAT, content=content, headers=plain), 415)


def half_a_character() -> None:
    content = json.dumps(asked("caption \ud800"))
    headers = {"content-type": "application/json"}
    answer = fake_client().post(CHAT, content=content, headers=headers)
    # A tokenizer refuses it; the fake one does not, and the answer is JSON all the same.
    assert answer.json()["choices"][0]["message"]["palikit"]["prompt"] == "caption \ud800"


def another_users_error() -> None:
    client = fake_client()
    client.post(CHAT, json=asked("my secret", temperature=-1))
    assert "secret" not in client.post(CHAT, json=asked(temperature=-1)).text
    assert "secret" not in client.get("/metrics").text


ATTACKS: dict[str, Callable[[], None]] = {
    "address of a cloud's metadata": lambda: image("http://169.254.169.254/latest/meta-data/"),
    "address in this machine": lambda: image("http://localhost:8000/metrics"),
    "address in IPv6": lambda: image("http://[::1]:8000/"),
    "address as one number": lambda: image("http://2130706433/", allow_url_hosts=ALLOWED),
    "allowed host as a user name": lambda: image(
        f"http://{ALLOWED}@127.0.0.1/a.png", allow_url_hosts=ALLOWED
    ),
    "allowed host at another port": lambda: image(
        f"http://{ALLOWED}:22/a.png", allow_url_hosts=ALLOWED
    ),
    "allowed host with a line break": lambda: image(
        f"http://{ALLOWED}/a\r\nHost: x", allow_url_hosts=ALLOWED
    ),
    "file: address": lambda: image("file:///etc/passwd", allow_url_hosts=ALLOWED),
    "ftp: and gopher: addresses": lambda: (
        [image(f"{scheme}://{ALLOWED}/a", allow_url_hosts=ALLOWED) for scheme in ("ftp", "gopher")]
        and None
    ),
    "path of a file": lambda: [image(p) for p in ("/etc/passwd", "../../etc/passwd")] and None,
    "path in the name of an upload": name_of_a_file,
    "header in a request id": header_in_an_id,
    "oversized body": oversized_body,
    "oversized prompt": oversized_prompt,
    "oversized output": oversized_output,
    "oversized form": oversized_form,
    "too many pictures": lambda: told(
        fake_client().post("/v1/caption", json={"image": [data_uri()] * 100}), 400
    ),
    "decompression bomb": decompression_bomb,
    "bomb in a comment": text_chunk_bomb,
    "nested JSON": nested_json,
    "XML entities": xml_entities,
    "control tokens": control_tokens,
    "half a character": half_a_character,
    "guessing a key": guessed_key,
    "another name for this machine": foreign_name,
    "another site's page": foreign_page,
    "another user's prompt in an error": another_users_error,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_comes_to_nothing(attack: Callable[[], None]) -> None:
    attack()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:0001::",
        "2002:c0a8:0101::1",
        "2001:0:7f00:1::",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2001:db8::1",
    ],
)
def test_addresses_of_private_networks_are_never_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_of_the_open_network_are_public(address: str) -> None:
    assert is_public(ip_address(address)) or address.startswith("::ffff")


def test_an_allowed_host_with_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_addresses", lambda *_: ["8.8.8.8", "192.168.0.7"])
    with pytest.raises(Problem, match="private"):
        Remote(frozenset({ALLOWED})).fetch(f"https://{ALLOWED}/a.png")


class Site(http.server.BaseHTTPRequestHandler):
    """A host of pictures, with redirects to wherever a stranger likes."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(f"{self.headers['Host']}{self.path}")
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        if self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                threading.Event().wait(0.1)
            return
        self.send_response(200 if self.path in ("/a.png", "/large") else 404)
        self.end_headers()
        if self.path in ("/a.png", "/large"):
            self.wfile.write(png() if self.path == "/a.png" else bytes(100_000))

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """`pictures.example`, which answers here; only its own address passes for public."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Site.seen = []
    genuine = socket.create_connection

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        assert address == ("203.0.113.5", 80)  # as it was looked up and checked, not by name
        return genuine(server.server_address[:2], timeout)

    def addresses(host: str, _port: int) -> list[str]:
        return ["203.0.113.5"] if host == ALLOWED else ["127.0.0.1"]

    monkeypatch.setattr(remote.socket, "create_connection", connect)
    monkeypatch.setattr(remote, "_addresses", addresses)
    monkeypatch.setattr(remote, "is_public", lambda address: str(address) == "203.0.113.5")
    yield Remote(frozenset({ALLOWED, "other.example"}), max_bytes=50_000, timeout=0.8)
    server.shutdown()
    server.server_close()


def test_an_allowed_host_is_asked_by_its_name_at_the_checked_address(site: Remote) -> None:
    assert site.fetch(f"http://{ALLOWED}/a.png") == png()
    assert Site.seen == [f"{ALLOWED}/a.png"]


def test_a_redirect_within_what_is_allowed_is_followed(site: Remote) -> None:
    assert site.fetch(f"http://{ALLOWED}/to//a.png") == png()


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1/a.png",
        "http://169.254.169.254/latest",
        "http://other.example/a.png",
        "http://elsewhere.example/a.png",
        "file:///etc/passwd",
        "http://[::1]/a.png",
    ],
)
def test_a_redirect_to_anywhere_else_is_refused(site: Remote, target: str) -> None:
    with pytest.raises(Problem) as told:
        site.fetch(f"http://{ALLOWED}/to/{target}")
    assert told.value.status == 400
    assert len(Site.seen) == 1


def test_redirects_in_a_circle_end(site: Remote) -> None:
    with pytest.raises(Problem, match="too often"):
        site.fetch(f"http://{ALLOWED}/to/" + "/to/" * 20 + "a.png")


@pytest.mark.parametrize(
    ("path", "said"), [("large", "more than"), ("slow", "in time"), ("x", "answer")]
)
def test_a_host_that_sends_too_much_or_too_slowly_is_given_up(
    site: Remote, path: str, said: str
) -> None:
    with pytest.raises(Problem, match=said):
        site.fetch(f"http://{ALLOWED}/{path}")
