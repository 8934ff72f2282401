"""Pictures by address, for servers that allow it: named hosts only, and never private addresses.

A host's address is looked up once, checked, and connected to as it was checked, so that a name
cannot point elsewhere between the two (DNS rebinding). Every redirect passes the same checks. The
environment's proxies are not used: they would look the name up again.
"""

import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NoReturn
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from palikit.serving.problems import Problem
from palikit.urls import MAX_REDIRECTS

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK_BYTES = 64 * 2**10
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Trusted:
    """A server of the operator's own, which may be private.

    Attributes:
        url: its root, such as "http://localhost:8080".
        token: sent to it, and to nobody else, as Label Studio expects it.
    """

    url: str
    token: str | None = None

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port."""
        return _origin(urlsplit(self.url))


@dataclass(frozen=True)
class Remote:
    """What may be fetched.

    Attributes:
        hosts: names, in lower case; empty for none.
        trusted: a server beside them.
        max_bytes: of a body.
        timeout: seconds for everything together.
    """

    hosts: frozenset[str] = frozenset()
    trusted: Trusted | None = None
    max_bytes: int = 32 * 2**20
    timeout: float = 20.0

    def fetch(self, url: str) -> bytes:
        """What an address holds; blocks.

        Raises:
            Problem: an address that is not allowed, that does not answer in time and success, or
                that holds too much. The message says nothing of what was found there.
        """
        deadline = time.monotonic() + self.timeout
        for _ in range(MAX_REDIRECTS + 1):
            parts = _split(url)
            headers, address = self._admitted(parts)
            try:
                found = _get(parts, address, headers, deadline, self.max_bytes)
            except (OSError, http.client.HTTPException, ValueError):
                _refuse("the address did not answer in time, or not with a picture")
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise _refusal("the address was redirected too often")

    def _admitted(self, parts: SplitResult) -> tuple[dict[str, str], str]:
        """The headers to send and the checked IP address to connect to."""
        scheme, host, port = _origin(parts)
        headers = {"Host": parts.netloc.rpartition("@")[2], "User-Agent": "palikit"}
        if self.trusted is not None and (scheme, host, port) == self.trusted.origin:
            if self.trusted.token is not None:
                headers["Authorization"] = f"Token {self.trusted.token}"
            return headers, _addresses(host, port)[0]
        if host not in self.hosts or port != _PORTS[scheme]:
            _refuse(
                "pictures are not fetched from there: send a data: URI or upload the file, or ask "
                "who runs this server to allow the host (--allow-url-hosts)"
            )
        addresses = _addresses(host, port)
        if not all(is_public(ip_address(each)) for each in addresses):
            _refuse("the host has a private address")
        return headers, addresses[0]


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is of the open network.

    IPv6 can carry an IPv4 address inside (mapped, 6to4, Teredo, NAT64); what is inside counts too.
    """
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return True
    inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address.packed[:12] == _NAT64:
        inside.append(IPv4Address(address.packed[12:]))
    return all(is_public(each) for each in inside if each is not None)


_NAT64 = bytes.fromhex("0064ff9b0000000000000000")
"""64:ff9b::/96 (RFC 6052)."""


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in _PORTS and parts.hostname and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or parts.username or parts.password or not url.isprintable():
        _refuse("that is no address of a picture: expected https://host/path")
    return parts


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    host = (parts.hostname or "").lower().rstrip(".")
    return parts.scheme, host, parts.port or _PORTS[parts.scheme]


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        _refuse("the host is not known")
    return [str(each[4][0]).partition("%")[0] for each in found]


def _get(
    parts: SplitResult, address: str, headers: dict[str, str], deadline: float, max_bytes: int
) -> bytes | str:
    """The body, or where a redirect leads."""
    _, host, port = _origin(parts)
    link = socket.create_connection((address, port), timeout=_left(deadline))
    with link:
        if parts.scheme == "https":
            link = ssl.create_default_context().wrap_socket(link, server_hostname=host)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = link
        path = quote(parts.path or "/", safe="%/:;=@&+$,!~*'()")
        query = quote(parts.query, safe="%/:;=@&+$,!~*'()?[]")
        connection.putrequest("GET", path + (f"?{query}" if query else ""), skip_host=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        location = response.getheader("Location")
        if response.status in _REDIRECTS and location:
            return location
        if response.status != 200:
            _refuse("the address did not answer with a picture")
        return _body(response, link, deadline, max_bytes)


def _body(
    response: http.client.HTTPResponse, link: socket.socket, deadline: float, max_bytes: int
) -> bytes:
    body = bytearray()
    while True:
        link.settimeout(_left(deadline))
        if not (chunk := response.read1(_CHUNK_BYTES)):
            return bytes(body)
        body += chunk
        if len(body) > max_bytes:
            _refuse(f"the address holds more than {max_bytes:,} bytes")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _refuse(message: str) -> NoReturn:
    raise _refusal(message)


def _refusal(message: str) -> Problem:
    return Problem(400, "address_refused", message, param="image")
