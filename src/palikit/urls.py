"""What an address holds: http, https and data, bounded in time, in size and in redirects.

Nothing here looks at the content. Addresses of the local network are not told apart from those of
the open one, so a program that takes addresses from strangers has to refuse those itself.
"""

import base64
import http.client
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from importlib import metadata
from queue import Empty, SimpleQueue

from palikit.errors import InputError

TIMEOUT_S = 20.0
"""Seconds one download may take by default, from the name look-up to the last byte."""

MAX_BYTES = 64 * 2**20
"""Largest download by default: above any photograph, below what would hurt a small machine."""

MAX_REDIRECTS = 5
"""Addresses one download may be led through; a shortener and a sign-in page need two or three."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK_BYTES = 64 * 2**10

# Two letters at least before "://", so that no Windows drive is taken for a scheme. A data address
# has a type, with a slash, and parameters before its comma, or neither, and no blank (RFC 2397).
_ADDRESS = re.compile(
    r"data:([\w.+-]+/[\w.+-]+)?(;[^\s;,]+)*,|[a-z][a-z0-9+.-]+://", re.IGNORECASE | re.ASCII
)


def is_url(source: object) -> bool:
    """Whether a value is an address rather than a path: `scheme://...` or `data:[type],...`."""
    return isinstance(source, str) and _ADDRESS.match(source) is not None


def short_url(url: str) -> str:
    """An address as messages and records show it: a data address without its data."""
    head, _, body = url.partition(",")
    return f"{head},... ({len(body)} characters)" if _scheme(url) == "data" else url


def fetch_url(url: str, *, timeout_s: float = TIMEOUT_S, max_bytes: int = MAX_BYTES) -> bytes:
    """Downloads an http or https address, or decodes a data address (RFC 2397).

    Args:
        url: the address.
        timeout_s: seconds for everything together, however slowly the bytes come.
        max_bytes: largest body accepted; reading stops there.

    Raises:
        InputError: another scheme, no answer in time, too large, cut short, an HTTP status other
            than success, a redirect to another scheme, or too many redirects.
    """
    if _scheme(url) == "data":
        return _decoded(url, max_bytes)
    # A socket's own timeout starts again at every byte and does not cover the name look-up, so the
    # whole download runs beside a clock. It is a daemon: a stuck one never holds up the exit.
    outcome: SimpleQueue[bytes | InputError] = SimpleQueue()
    work = threading.Thread(
        target=lambda: outcome.put(_outcome(url, timeout_s, max_bytes)), daemon=True
    )
    work.start()
    try:
        result = outcome.get(timeout=timeout_s)
    except Empty:
        raise _too_slow(url, timeout_s) from None
    if isinstance(result, InputError):
        raise result
    return result


def _outcome(url: str, timeout_s: float, max_bytes: int) -> bytes | InputError:
    """The body, or the error to raise in the thread that waits for it."""
    try:
        return _download(url, timeout_s, max_bytes)
    except InputError as error:
        return error
    except TimeoutError:
        return _too_slow(url, timeout_s)
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return _too_slow(url, timeout_s)
        return InputError(f"{url} cannot be fetched: {error.reason}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return InputError(f"{url} cannot be fetched: {str(error) or type(error).__name__}")


def _download(url: str, timeout_s: float, max_bytes: int) -> bytes:
    deadline = time.monotonic() + timeout_s
    opener, target = _opener(), url
    for _ in range(MAX_REDIRECTS + 1):
        request = urllib.request.Request(_ascii(target), headers={"User-Agent": _user_agent()})  # noqa: S310 (_ascii lets http and https through only)
        try:
            with opener.open(request, timeout=max(deadline - time.monotonic(), 1e-3)) as response:
                return _body(response, url, deadline, max_bytes)
        except urllib.error.HTTPError as error:
            # Followed here and not by urllib, which reads the body of a redirect without a bound.
            error.close()
            target = _next_address(url, target, error)
    raise InputError(f"{url} was redirected more than {MAX_REDIRECTS} times: give the last address")


def _opener() -> urllib.request.OpenerDirector:
    """Speaks http and https, through the environment's proxies, and nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _body(response: http.client.HTTPResponse, url: str, deadline: float, max_bytes: int) -> bytes:
    declared = response.length
    if declared is not None and declared > max_bytes:
        raise _too_large(url, max_bytes)
    body = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(url, max_bytes)
        if time.monotonic() > deadline:
            raise TimeoutError
    if declared is not None and len(body) < declared:
        raise InputError(f"{url} ended after {len(body)} of {declared} bytes: fetch it again")
    return bytes(body)


def _next_address(url: str, target: str, error: urllib.error.HTTPError) -> str:
    """Where a redirect leads; any other status is an error."""
    location = error.headers.get("Location") if error.headers else None
    if error.code not in _REDIRECTS or not location:
        raise InputError(f"{url} answered {error.code} {error.reason}: check the address")
    return urllib.parse.urljoin(target, location)


def _ascii(url: str) -> str:
    """An address as it goes over the wire: spaces and other scripts percent-encoded."""
    if _scheme(url) not in {"http", "https"}:
        raise InputError(f"{url} cannot be fetched: expected an http, https or data address")
    parts = urllib.parse.urlsplit(url)
    keep = "%/:;=@&+$,!~*'()"
    return parts._replace(
        path=urllib.parse.quote(parts.path, safe=keep),
        query=urllib.parse.quote(parts.query, safe=keep + "?[]"),
        fragment="",
    ).geturl()


def _decoded(url: str, max_bytes: int) -> bytes:
    head, comma, body = url.partition(",")
    if not comma:
        raise InputError(f"{url} is not a data address: expected data:image/png;base64,...")
    # Before it is decoded: base64 writes 4 characters for 3 bytes, percent-encoding 3 for one.
    if len(body) > 4 * max_bytes:
        raise _too_large(short_url(url), max_bytes)
    data = urllib.parse.unquote_to_bytes(body)
    if head.lower().endswith(";base64"):
        try:
            data = base64.b64decode(data, validate=True)
        except ValueError as error:
            raise InputError(f"{short_url(url)} is not valid base64: {error}") from error
    if len(data) > max_bytes:
        raise _too_large(short_url(url), max_bytes)
    return data


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _user_agent() -> str:
    try:
        return f"palikit/{metadata.version('palikit')}"
    except metadata.PackageNotFoundError:  # run from a source tree
        return "palikit"


def _too_slow(url: str, timeout_s: float) -> InputError:
    return InputError(f"{url} took longer than {timeout_s:g} s: try again, or fetch it yourself")


def _too_large(url: str, max_bytes: int) -> InputError:
    return InputError(f"{url} is larger than {max_bytes:,} bytes: give a smaller file")
