"""The app on a port: uvicorn, with an end to slow heads of requests and to SIGTERM.

The first SIGTERM or SIGINT: new requests are refused with 503, those taken are finished, the port
is closed, the process ends with 0. The second ends it at once.
"""

import asyncio
import socket
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from palikit.allocation import share_one_heap
from palikit.errors import InputError
from palikit.options import ServeOptions
from palikit.serving.service import Service

_HEAD_SECONDS = 10.0
"""For the request line and the headers; uvicorn waits for ever."""

_BACKLOG = 512


class _Protocol(H11Protocol):
    """Closes connections whose next request's head does not come in time."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        self._expect_head()

    def on_response_complete(self) -> None:
        """The next head may come."""
        super().on_response_complete()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = self.loop.call_later(_HEAD_SECONDS, self._close_if_waiting)

    def _close_if_waiting(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class _Server(uvicorn.Server):
    """Drains before it stops."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn; the signals need its loop."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: drain; the second time, stop."""
        if self._service.is_draining or self._loop is None:
            self.should_exit = self.force_exit = True
            return
        self._service.is_draining = True
        self._loop.call_soon_threadsafe(self._begin_draining)

    def _begin_draining(self) -> None:
        self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        await self._service.drain()
        self.should_exit = True


def bind(options: ServeOptions) -> socket.socket:
    """The port, before anything slow is done.

    Raises:
        InputError: it is taken, or not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        raise InputError(
            f"cannot listen on {options.host} port {options.port}: {error.strerror}; choose "
            "another with --host and --port"
        ) from None
    return opened


def address_of(opened: socket.socket) -> str:
    """The address of a bound port, as a browser takes it."""
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(app: FastAPI, service: Service) -> uvicorn.Server:
    """A server that runs until a signal comes; run it with the sockets of `bind`.

    To be called before there are threads, see `share_one_heap`.
    """
    share_one_heap()
    options = service.options
    settings: dict[str, Any] = {
        "http": _Protocol,
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # a client could claim another's address
        "limit_concurrency": options.max_connections,
        "backlog": _BACKLOG,
        "timeout_graceful_shutdown": max(1, round(options.upload_timeout)),
    }
    return _Server(uvicorn.Config(app, **settings), service)
