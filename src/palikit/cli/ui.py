"""`palikit ui`: a page in the browser to try a model by hand."""

import os
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from palikit.cli.command import Command, names_of, remark
from palikit.cli.options import options_of, read_options
from palikit.errors import InputError, MissingExtraError
from palikit.options import LoadOptions, ServeOptions, option
from palikit.published import BUILT_IN

if TYPE_CHECKING:
    from uvicorn import Server

    from palikit.serving.backend import Backend
    from palikit.serving.keys import ApiKeys
    from palikit.serving.service import Service


@dataclass(frozen=True)
class UiOptions:
    """What the page offers beyond one model on this machine."""

    compare: str | None = option(
        None, "Second model, for the tab that asks two; given as --model is."
    )
    share: bool = option(
        default=False,
        doc="Open a tunnel through gradio.live, so that whoever has the address and the key can "
        "ask over the internet. Pictures then pass through a company's machines.",
    )


class _Ui(Command):
    """The command with sections of its own."""

    sections = (
        ("Who may ask, and where", ["host", "port", "share", "api_keys", "allowed_hosts"]),
        ("Bounds", [name for name in names_of(ServeOptions) if name.startswith("max_")]),
        ("Server", names_of(ServeOptions)),
        ("Loading the model", names_of(LoadOptions)),
    )


@click.command(
    cls=_Ui,
    epilog="""\
palikit ui
palikit ui --model google/paligemma2-3b-mix-448
palikit ui --model runs/cells/best --compare google/paligemma2-3b-mix-448
palikit ui --model mix-448-int8/ --host 0.0.0.0 --api-keys keys.txt""",
)
@click.option(
    "--model",
    "-m",
    envvar="PALIKIT_MODEL",
    metavar="MODEL",
    help="Folder, .safetensors or .npz file, or a name on the Hub; else PALIKIT_MODEL, else nano.",
)
@options_of(UiOptions)
@options_of(ServeOptions)
@options_of(LoadOptions)
@click.pass_context
def ui(ctx: click.Context, model: str | None) -> None:
    """Try a model in the browser: captions, questions, text, boxes and outlines.

    Only this machine can open the page, unless --host or --share say otherwise. The routes of
    `palikit serve` are there too.
    """
    if model == "":
        raise InputError("--model is empty: give a folder, a file or a name")
    options, loading = read_options(ctx, ServeOptions), read_options(ctx, LoadOptions)
    run_page(model or BUILT_IN, options, loading, read_options(ctx, UiOptions))


def run_page(
    model: str, options: ServeOptions, loading: LoadOptions, page: UiOptions | None = None
) -> None:
    """Serves the page, and the routes of `palikit serve`, until a signal comes.

    Raises:
        InputError: keys or port cannot be used, or no tunnel can be opened.
        MissingExtraError: Gradio or the server's packages are not installed.
        PaliKitError: a model cannot be loaded.
    """
    page = page or UiOptions()
    _require_packages()
    from palikit.serving.app import create_app
    from palikit.serving.keys import KEYS_VARIABLE, read_keys
    from palikit.serving.logs import set_up_logs
    from palikit.serving.server import address_of, bind, make_server
    from palikit.serving.service import Service
    from palikit.serving.ui.mount import mount_page

    keys = read_keys(options.api_keys, os.environ.get(KEYS_VARIABLE))
    servers: list[Server] = []
    with bind(options) as opened:
        address = address_of(opened)
        if page.share:
            keys = _keys_to_share(keys)
            address = _shared(opened.getsockname()[1])
            options = _called(options, address)
        service = Service(options, keys, os.environ.get("LABEL_STUDIO_API_KEY"))
        second = Service(options, keys) if page.compare else None

        def load() -> "Backend":
            if second is not None and page.compare is not None:
                second.backend = _backend(page.compare, options, loading, is_second=True)
            return _backend(model, options, loading)

        def tell() -> None:
            if service.failure is not None:
                servers[0].should_exit = True
            else:
                remark(f"the page of {service.name} is at {address}/ui/")

        _warn(service, page)
        remark(f"loading {model}; {address}/ui/ is open already")
        set_up_logs()
        app = create_app(service, load, on_loaded=tell)
        mount_page(app, service, second)
        servers.append(make_server(app, service))
        servers[0].run(sockets=[opened])
    if service.failure is not None:
        raise service.failure
    remark("stopped")


def _backend(
    model: str, options: ServeOptions, loading: LoadOptions, *, is_second: bool = False
) -> "Backend":
    from palikit.cli.asking import load_predictor
    from palikit.cli.serve import scheduler_of
    from palikit.serving.backend import backend_of

    predictor = load_predictor(model, loading)
    if is_second:  # a name given for the first is not its name
        options = replace(options, served_name=None)
    return backend_of(predictor, scheduler_of(predictor, model, options))


def _require_packages() -> None:
    # Read at import: nothing is reported, no version is asked for.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio  # noqa: F401 (whether it is there)
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(str(error.name), "ui", "show the page") from None


def _keys_to_share(keys: "ApiKeys") -> "ApiKeys":
    """The keys; where there are none one is drawn, for an address on the internet is found."""
    from palikit.serving.keys import read_keys

    if keys:
        return keys
    key = secrets.token_urlsafe(24)
    remark(f"the page asks for a password, with any name: {key}")
    return read_keys(None, key)


def _shared(port: int) -> str:
    """Opens the tunnel; its address."""
    from gradio.networking import setup_tunnel

    try:
        address: str = setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
    except Exception:
        raise InputError(
            "no tunnel can be opened for --share: it needs the internet; leave --share out, or let "
            "others in with --host"
        ) from None
    return address.rstrip("/")


def _called(options: ServeOptions, address: str) -> ServeOptions:
    """The options with the tunnel's name among those the server answers to."""
    names = [options.allowed_hosts or "", urlsplit(address).hostname or ""]
    return replace(options, allowed_hosts=",".join(filter(None, names)))


def _warn(service: "Service", page: UiOptions) -> None:
    from palikit.serving.gate import is_local

    if page.share:
        remark(
            "warning: --share opens this page to the internet, through machines of gradio.live "
            "that see every picture and answer"
        )
    elif not service.keys and not is_local(service.options.host):
        remark(
            "warning: whoever reaches this machine over the network may ask; --api-keys FILE keeps "
            "them out"
        )
