"""The page on the server's app, and what of Gradio strangers can reach."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from palikit.serving.service import Service
from palikit.serving.ui.asking import ROUTE

_GETS = (
    "/assets/",
    "/static/",
    "/svelte/",
    "/gradio_api/heartbeat/",
    "/gradio_api/queue/data",
    "/gradio_api/upload_progress",
    "/gradio_api/startup-events",
    "/theme.css",
    "/gradio_api/theme.css",
    "/config",
    "/favicon.ico",
    "/pwa_icon",
)
_FILE = "/gradio_api/file="
_POSTS = (
    "/gradio_api/queue/join",
    "/gradio_api/run/predict",
    "/gradio_api/upload",
    "/gradio_api/reset",
    "/gradio_api/cancel",
)
"""What the page itself asks; proxies, deep links, monitoring and other APIs are not here."""

_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio compiles templates
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

_STYLE = """
.gradio-container { gap: .5rem; }
.gradio-container > main, main.fillable { max-width: 1440px !important; margin: 0 auto; }
#picture img { object-fit: contain; }
.head { align-items: center; }
#tagline h1 { margin: 0; font-size: 1.5rem; } #tagline p { margin: 0; }
#note { font-size: .9rem; }
#status p { padding: .4rem .6rem; border-radius: 6px; margin: 0; }
#status .fine { background: var(--background-fill-secondary); }
#status .bad { background: #b42318; color: #fff; }
.tab-container button { padding-inline: .55rem !important; }
:focus-visible { outline: 3px solid #2f6fed !important; outline-offset: 2px; }
#view, #view .form { flex-wrap: wrap; } #view label { cursor: pointer; white-space: nowrap; }
#boxes, #masks { flex: 1 1 7.5rem; width: auto; min-width: 7.5rem !important; }
[id$="-example"] { align-self: flex-start; width: auto; }
#score { flex: 10 1 15rem; width: auto; }
:is(#picture, #drawn, #compare-drawn-1, #compare-drawn-2) {
  display: flex; flex-direction: column;
  > label { position: static; align-self: flex-start; }
  > .image-container { flex: 1; min-height: 0; height: auto; }
}
@media (max-width: 640px) { .gradio-container { padding: .5rem !important; } }
"""
"""Labels of pictures stand above them: Gradio lays them over, where a box may be."""
_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "sans-serif")


def mount_page(app: FastAPI, service: Service, second: Service | None = None) -> None:
    """Puts the page at `/ui`, and sends `/` there.

    Args:
        app: of `create_app`, before it runs.
        service: of that app.
        second: of a model to compare with.
    """
    folder = tempfile.TemporaryDirectory(prefix="palikit-ui-")
    uploads = Path(folder.name) / "uploads"
    # Read when Gradio is imported: nothing is reported, and uploads lie in a folder of our own.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    # Outside of an event loop Gradio makes one for each of its locks, and closes none. In a thread,
    # since the caller may be inside a loop, where none can be run.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _mount(app, service, second, uploads)).result()
    for route in app.routes:
        if isinstance(route, Mount) and route.path == ROUTE:
            route.app = PageGuard(route.app, uploads)
    _add_roots(app)
    _remove_at_end(app, folder)


async def _mount(app: FastAPI, service: Service, second: Service | None, uploads: Path) -> None:
    """Gradio's app on ours."""
    import gradio as gr

    from palikit.serving.ui.page import build_page

    gr.mount_gradio_app(
        app,
        build_page(service, second, uploads / "answers"),
        path=ROUTE,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        max_file_size=service.options.max_request_mib * 2**20,
        theme=_theme(),
        css=_STYLE,
    )


def _theme() -> Any:
    """Gradio's own, with its faint texts and its button dark enough to be read."""
    import gradio as gr

    theme = gr.themes.Default(font=_FONTS, font_mono=("ui-monospace", "monospace"))
    return theme.set(
        block_info_text_color="*neutral_600",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
    )


def _add_roots(app: FastAPI) -> None:
    """What browsers ask at the root of the server."""

    @app.get("/", include_in_schema=False)
    async def to_the_page() -> RedirectResponse:
        return RedirectResponse(f"{ROUTE}/")

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        return Response(status_code=204)

    @app.get("/manifest.json", include_in_schema=False)
    async def manifest() -> dict[str, str]:
        """Gradio's page names it at the root of the server."""
        return {"name": "PaliKit", "start_url": f"{ROUTE}/", "display": "browser"}


def _remove_at_end(app: FastAPI, folder: tempfile.TemporaryDirectory[str]) -> None:
    """What was uploaded and drawn goes with the server."""
    running = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        with folder:
            async with running(app) as state:
                yield state

    app.router.lifespan_context = lifespan


class PageGuard:
    """Lets through what the page asks of Gradio, and no more.

    Gradio fetches an address that a question names as its picture, and has routes that a page of
    our kind never uses. Both end here.

    Args:
        app: Gradio's.
        uploads: where pictures of questions may lie.
    """

    def __init__(self, app: ASGIApp, uploads: Path) -> None:
        self._app = app
        self._uploads = uploads.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix(ROUTE) or "/"
        if not self._is_open(scope["method"], path):
            await PlainTextResponse("not found", 404)(scope, receive, send)
            return
        if scope["method"] == "POST" and path.rstrip("/") != "/gradio_api/upload":
            body = await _body(receive)
            if not self._is_honest(body):
                await PlainTextResponse("not a picture of this page", 400)(scope, receive, send)
                return
            receive = _again(body, receive)
        await self._app(scope, receive, _with_policy(send))

    def _is_open(self, method: str, path: str) -> bool:
        """Whether the page itself asks this."""
        if method not in ("GET", "HEAD"):
            return method == "POST" and path.rstrip("/") in _POSTS
        if path.startswith(_FILE):
            return self._is_upload({"path": path.removeprefix(_FILE)})
        return path == "/" or path.startswith(_GETS)

    def _is_honest(self, body: bytes) -> bool:
        """Whether every file a question names is one that was uploaded."""
        try:
            value = json.loads(body or b"null")
        except (ValueError, RecursionError):
            return False
        waiting = [value]
        while waiting:
            each = waiting.pop()
            if isinstance(each, dict):
                if "path" in each and not self._is_upload(each):
                    return False
                waiting += each.values()
            elif isinstance(each, list):
                waiting += each
        return True

    def _is_upload(self, file: dict[str, Any]) -> bool:
        path = file["path"]
        if not isinstance(path, str) or "\0" in path:
            return False
        url = file.get("url")
        if isinstance(url, str) and url.startswith("data:"):
            return False
        return Path(path).resolve().is_relative_to(self._uploads)


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _with_policy(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            policy = (b"content-security-policy", _POLICY.encode())
            message["headers"] = [*message.get("headers", []), policy]
        await send(message)

    return sent
