"""One start for `palikit serve` and `palikit ui`: port, keys, app, model, and what is said."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from palikit.cli.command import remark
from palikit.errors import MissingExtraError
from palikit.options import LoadOptions, ServeOptions, option
from palikit.published import BUILT_IN

if TYPE_CHECKING:
    from fastapi import FastAPI
    from uvicorn import Server

    from palikit.predictor import Predictor
    from palikit.serving.backend import Backend
    from palikit.serving.jobs import SchedulerLike
    from palikit.serving.service import Service

_SERVER = ("fastapi", "prometheus_client", "python_multipart", "uvicorn")

model_option = click.option(
    "--model",
    "-m",
    envvar="PALIKIT_MODEL",
    metavar="MODEL",
    help="Folder, .safetensors or .npz file, or a name on the Hub; else PALIKIT_MODEL, else nano.",
)
"""Of both commands; `command.model_name` reads it."""


@dataclass(frozen=True)
class PageOptions:
    """What the page offers beyond one model on this machine."""

    compare: str | None = option(
        None, "Second model, for the tab that asks two; given as --model is."
    )
    share: bool = option(
        default=False,
        doc="Open a tunnel through gradio.live, so that whoever has the address and the key can "
        "ask over the internet. Pictures then pass through a company's machines.",
    )


def require_packages(*, page: bool) -> None:
    """Looks for what the server imports, and the page, before anything is done.

    Raises:
        MissingExtraError: a package is not installed; the message names the extra.
    """
    extra, purpose = ("ui", "show the page") if page else ("serve", "serve a model")
    for package in (*_SERVER, *(["gradio"] if page else [])):
        if find_spec(package) is None:
            raise MissingExtraError(package, extra, purpose)


def run_server(
    model: str, options: ServeOptions, loading: LoadOptions, page: PageOptions | None = None
) -> None:
    """Serves until a signal comes.

    Args:
        model: name of the model.
        options: bounds of the server.
        loading: how the model is loaded, and the one to compare with.
        page: what the page at /ui/ offers; None for no page.

    Raises:
        InputError: keys or port cannot be used, or no tunnel can be opened.
        MissingExtraError: the packages of server or page are not installed.
        PaliKitError: a model cannot be loaded.
    """
    require_packages(page=page is not None)
    from palikit.serving.keys import KEYS_VARIABLE, read_keys
    from palikit.serving.logs import set_up_logs
    from palikit.serving.server import address_of, bind, make_server
    from palikit.serving.service import Service

    keys = read_keys(options.api_keys, os.environ.get(KEYS_VARIABLE))
    servers: list[Server] = []
    with bind(options) as opened:
        address = address_of(opened)
        if page is not None and page.share:
            from palikit.cli.tunnel import open_tunnel

            address, options, keys = open_tunnel(opened.getsockname()[1], options, keys)
        service = Service(options, keys, os.environ.get("LABEL_STUDIO_API_KEY"))

        def tell() -> None:
            if service.failure is not None:
                servers[0].should_exit = True
            else:
                _say_ready(service, address, page)

        _say_beginning(service, model, address, page)
        set_up_logs()
        app = _app(service, model, loading, page, tell)
        servers.append(make_server(app, service))
        servers[0].run(sockets=[opened])
    if service.failure is not None:
        raise service.failure
    remark("stopped")


def _app(
    service: "Service",
    model: str,
    loading: LoadOptions,
    page: PageOptions | None,
    tell: Callable[[], None],
) -> "FastAPI":
    """The app, which loads the model when it runs, and the page on it."""
    from palikit.serving.app import create_app
    from palikit.serving.service import Service

    options, compare = service.options, page.compare if page else None
    second = Service(options, service.keys) if compare else None

    def load() -> "Backend":
        if second is not None and compare is not None:
            # A name given for the first is not its name.
            unnamed = replace(options, served_name=None)
            second.backend = _backend(compare, unnamed, loading)
        return _backend(model, options, loading)

    app = create_app(service, load, on_loaded=tell)
    if page is not None:
        from palikit.serving.ui.mount import mount_page

        mount_page(app, service, second)
    return app


def _backend(model: str, options: ServeOptions, loading: LoadOptions) -> "Backend":
    from palikit.cli.asking import load_predictor
    from palikit.serving.backend import backend_of

    predictor = load_predictor(model, loading)
    return backend_of(predictor, scheduler_of(predictor, model, options))


def scheduler_of(predictor: "Predictor", model: str, options: ServeOptions) -> "SchedulerLike":
    """The scheduler of a loaded model."""
    from palikit.serving.scheduler import Scheduler

    return Scheduler.bounded(predictor, options.served_name or public_name(model), options)


def public_name(model: str) -> str:
    """What clients may know of a model's name: of a path, its last part."""
    if os.path.exists(model):  # noqa: PTH110 (a name on the Hub is no path)
        return os.path.basename(os.path.abspath(model)) or BUILT_IN  # noqa: PTH100, PTH119
    return model


def _say_beginning(service: "Service", model: str, address: str, page: PageOptions | None) -> None:
    from palikit.serving.gate import is_local

    opened = "/readyz says when it is there" if page is None else "/ui/ is open already"
    remark(f"loading {model}; {address}{opened}")
    if page is not None and page.share:
        remark(
            "warning: --share opens this page to the internet, through machines of gradio.live "
            "that see every picture and answer"
        )
    elif not service.keys and not is_local(service.options.host):
        remark(
            "warning: whoever reaches this machine over the network may ask; --api-keys FILE keeps "
            "them out"
        )


def _say_ready(service: "Service", address: str, page: PageOptions | None) -> None:
    backend = service.ready.scheduler
    masks = "outlines" if backend.has_masks else "no outlines (no mask codec)"
    count = len(service.keys.digests)
    keys = f"{count} API key{'' if count == 1 else 's'}" if count else "no API keys"
    remark(f"serving {backend.model} at {address} ({backend.image_size} px, {masks}, {keys})")
    if page is not None:
        remark(f"the page is at {address}/ui/")
