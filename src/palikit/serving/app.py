"""The app: routes, the gate around them, and the loading of the model behind them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from palikit.serving.backend import Backend
from palikit.serving.chat import chat_routes
from palikit.serving.gate import Gate
from palikit.serving.label_studio import label_studio_routes
from palikit.serving.problems import Problem
from palikit.serving.schemas import ErrorTold
from palikit.serving.service import Service
from palikit.serving.typed import typed_routes

_ABOUT = """\
PaliGemma over HTTP. `POST /v1/chat/completions` speaks to OpenAI's clients; `POST /v1/caption` and
its like answer in types: boxes and outlines in pixels of the picture, with scores.

Every answer has an `X-Request-ID`, which is also in the server's log. Errors are OpenAI's error
objects on every route; 429 and 503 say in `Retry-After` when to ask again."""


def create_app(
    service: Service,
    load: Callable[[], Backend] | None = None,
    *,
    on_loaded: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The app of one server.

    Args:
        service: its parts; without `load`, its backend is there already.
        load: makes the backend, in a thread of its own, while `/readyz` says 503.
        on_loaded: called in the event loop when that is done, well or not (`service.failure`).
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if load is not None:
            _begin_loading(service, load, on_loaded)
        yield

    app = FastAPI(
        title="PaliKit",
        description=_ABOUT,
        version=_version(),
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        dependencies=[Depends(HTTPBearer(auto_error=False))] if service.keys else [],
        responses={
            "4XX": {"model": ErrorTold, "description": "Refused"},
            "5XX": {"model": ErrorTold, "description": "Failed"},
        },
    )
    for error in (HTTPException, RequestValidationError):
        app.add_exception_handler(error, _to_the_gate)
    for router in (chat_routes(service), typed_routes(service), label_studio_routes(service)):
        app.include_router(router)
    _add_operations(app, service)
    app.add_middleware(
        Gate,
        options=service.options,
        keys=service.keys,
        budget=service.budget,
        metrics=service.metrics,
        expect=service.expect,
    )
    return app


async def _to_the_gate(_request: Request, error: Exception) -> Response:
    """The gate tells all errors, in one shape."""
    raise error


def _add_operations(app: FastAPI, service: Service) -> None:
    """What those who run the server ask it."""

    @app.get("/healthz", tags=["operations"], summary="Whether the process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"], summary="Whether it takes requests")
    async def readyz() -> dict[str, str]:
        if service.is_draining:
            raise Problem(503, "draining", "the server is stopping", retry_after=5)
        return {"status": "ready", "model": service.name}

    @app.get(
        "/metrics",
        tags=["operations"],
        summary="Prometheus metrics",
        response_model=None,
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})


def _begin_loading(
    service: Service, load: Callable[[], Backend], on_loaded: Callable[[], None]
) -> None:
    """Loads beside the event loop; a daemon, since nothing is lost when it is broken off."""
    loop = asyncio.get_running_loop()

    def finish(backend: Backend | None, failure: Exception | None) -> None:
        service.backend, service.failure = backend, failure
        on_loaded()

    def work() -> None:
        outcome: tuple[Any, Any]
        try:
            outcome = (load(), None)
        except Exception as error:
            outcome = (None, error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, *outcome)

    threading.Thread(target=work, name="loading", daemon=True).start()


def _version() -> str:
    try:
        return metadata.version("palikit")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "0"
