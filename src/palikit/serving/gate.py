"""What every request passes before it reaches a route, and every answer before it leaves.

In: who calls and by which name, the API key, the rate, the whole body within its bounds of size
and time. Out: the request id, one shape for all errors, one line in the log. Between: a client that
goes away takes its handler, and with it its jobs, along.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from palikit.allocation import return_freed_memory
from palikit.options import ServeOptions
from palikit.serving.exchange import Exchange, begin_exchange, header
from palikit.serving.keys import ApiKeys
from palikit.serving.limits import Budget, RateLimiter
from palikit.serving.logs import log_fault, log_request
from palikit.serving.metrics import Metrics
from palikit.serving.problems import Problem, problem_of

_OPEN = frozenset({"/healthz", "/readyz"})
"""Needs no key: what a load balancer asks."""

_DOCUMENT = "/openapi.json"
_READING = frozenset({"GET", "HEAD"})
_QUESTIONS = "/v1/"
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)
_TRIM_SECONDS = 1.0
"""After the last large request, when nobody holds its pictures any more."""

_TRIM_EVERY = 250
"""Requests. What was freed is kept for the next ones, and the most that some rare company of them
needed would be kept for good.
"""

_GONE = 499
"""The client hung up; nginx's number for it, which only the log sees."""


class Gate:
    """ASGI middleware around the whole app.

    Args:
        app: what it guards.
        options: bounds.
        keys: who may ask; empty for everybody.
        budget: of memory.
        metrics: counted into.
        expect: told of a question before anything is decoded; raises where none can be taken.
    """

    def __init__(
        self,
        app: ASGIApp,
        options: ServeOptions,
        keys: ApiKeys,
        budget: Budget,
        metrics: Metrics,
        expect: Callable[[Exchange], None],
    ) -> None:
        self._app = app
        self._options = options
        self._keys = keys
        self._budget = budget
        self._metrics = metrics
        self._expect = expect
        self._rate = RateLimiter(options.requests_per_minute)
        self._names = _names(options)
        self._handled = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        else:
            await self._exchange(scope, receive, send)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = begin_exchange(scope, self._budget)
        reply = _Reply(send, exchange, self._options.upload_timeout)
        try:
            self._admit(scope, exchange)
            body = await self._body(scope, receive, exchange)
            if scope["method"] == "POST" and scope["path"].startswith(_QUESTIONS):
                self._expect(exchange)
            await _unless_gone(self._app(scope, _replay(body), reply.send), receive)
        except _ClientGoneError:
            exchange.line.status, exchange.line.kind = _GONE, "client_gone"
        except Exception as error:
            await self._tell(error, exchange, reply)
        finally:
            exchange.let_go()
            self._handled += 1
            if self._budget.has_been_large() or self._handled % _TRIM_EVERY == 0:
                asyncio.get_running_loop().call_later(_TRIM_SECONDS, _trim)
            self._close(scope, exchange)

    def _admit(self, scope: Scope, exchange: Exchange) -> None:
        """Raises Problem for whoever may not ask."""
        host = header(scope, b"host").decode("latin-1")
        if self._names is not None and _name_in(host) not in self._names:
            raise Problem(
                403, "unknown_host", "this server is not called by that name (--allowed-hosts)"
            )
        origin = header(scope, b"origin").decode("latin-1")
        if origin and _host_of(origin) != host.lower():
            raise Problem(403, "cross_origin", "pages of other sites may not ask this server")
        if scope["path"] in _OPEN:
            return
        caller = (scope.get("client") or ("unknown", 0))[0]
        if self._keys:
            name = self._keys.name_of(header(scope, b"authorization").decode("latin-1"))
            if name is None:
                self._rate.admit(f"address {caller}")  # or guessing keys would cost nothing
                raise Problem(
                    401,
                    "invalid_api_key",
                    "no API key, or an unknown one: send Authorization: Bearer KEY",
                )
            exchange.line.key = caller = name
        if scope["method"] not in _READING:  # the model has no part in what is only read
            self._rate.admit(caller)

    async def _body(self, scope: Scope, receive: Receive, exchange: Exchange) -> bytes:
        """The whole body; raises Problem where it is too large or too slow."""
        limit = self._options.max_request_mib * 2**20
        declared = header(scope, b"content-length")
        if declared.isdigit() and int(declared[:20]) > limit:
            raise _too_large(limit)
        try:
            async with asyncio.timeout(self._options.upload_timeout):
                body = await _read(receive, exchange, limit)
        except TimeoutError:
            raise Problem(
                408,
                "slow_upload",
                f"the body took longer than {self._options.upload_timeout:g} s to arrive",
                closes=True,
            ) from None
        except Problem as problem:  # the rest of the body is still on its way
            problem.closes = True
            raise
        exchange.line.bytes_in = len(body)
        exchange.received = time.monotonic()
        return body

    async def _tell(self, error: Exception, exchange: Exchange, reply: "_Reply") -> None:
        """Answers with a problem, where nothing has been answered yet."""
        problem = problem_of(error)
        exchange.line.kind = problem.kind
        if problem.status == 500:
            log_fault(exchange.id, error)
        if reply.has_begun:
            return
        await reply.send(
            {"type": "http.response.start", "status": problem.status, "headers": problem.headers()}
        )
        await reply.send({"type": "http.response.body", "body": problem.body()})

    def _close(self, scope: Scope, exchange: Exchange) -> None:
        line = exchange.line
        seconds = time.monotonic() - exchange.began
        line.ms = round(1000 * seconds, 1)
        line.route = getattr(scope.get("route"), "path", line.route)
        if scope["path"] == _DOCUMENT and line.status < 400:  # a route of FastAPI's own, unnamed
            line.route = _DOCUMENT
        if scope["path"] in _OPEN and line.status == 503:
            line.kind = None  # a probe that is told to come again has got what it asked for
        self._metrics.count_request(line, seconds)
        if scope["path"] not in _OPEN or line.status == 500:
            log_request(line)


class _Reply:
    """Sends an answer: with the headers that all have, and not for ever."""

    def __init__(self, send: Send, exchange: Exchange, timeout: float) -> None:
        self._send = send
        self._exchange = exchange
        self._timeout = timeout
        self.has_begun = False

    async def send(self, message: Message) -> None:
        """One message; a client that takes no bytes for too long is given up."""
        if message["type"] == "http.response.start":
            self.has_begun = True
            self._exchange.line.status = message["status"]
            own = (b"x-request-id", self._exchange.id.encode())
            message["headers"] = [*message.get("headers", []), own, *_SAFE_HEADERS]
        try:
            async with asyncio.timeout(self._timeout):
                await self._send(message)
        except TimeoutError:
            raise _ClientGoneError from None


class _ClientGoneError(Exception):
    """Nobody is there to answer."""


async def _read(receive: Receive, exchange: Exchange, limit: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        chunk = message.get("body", b"")
        exchange.hold(len(chunk))
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes) -> Receive:
    """A body that is there already, and then silence: going away is watched for elsewhere."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await asyncio.Future()
        return messages.pop()

    return receive


async def _unless_gone(handler: Awaitable[None], receive: Receive) -> None:
    """Runs a handler; when the client hangs up the handler is cancelled."""
    work = asyncio.ensure_future(handler)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise _ClientGoneError
        await work
    finally:
        gone.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait({work})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _names(options: ServeOptions) -> frozenset[str] | None:
    """Names requests may call the server by; None for any.

    A page in a browser may bring its own name to point at this machine (DNS rebinding). Where only
    this machine can ask, no other name than its own is honest.
    """
    given = frozenset(
        name.strip().lower() for name in (options.allowed_hosts or "").split(",") if name.strip()
    )
    if given:
        return given | _LOCAL_NAMES
    return _LOCAL_NAMES | {options.host.lower()} if is_local(options.host) else None


def is_local(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host_of(origin: str) -> str:
    """The host of an Origin header, with its port; empty where it has none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name_in(host: str) -> str:
    """The name of a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _trim() -> None:
    """In a thread, for as long as it takes."""
    asyncio.get_running_loop().run_in_executor(None, return_freed_memory)


def _too_large(limit: int) -> Problem:
    return Problem(
        413, "too_large", f"the body has more than {limit:,} bytes: send less", closes=True
    )
