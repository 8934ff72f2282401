"""`palikit serve`: a model behind an HTTP server."""

import os
from typing import TYPE_CHECKING

import click

from palikit.cli.command import Command, names_of, remark
from palikit.cli.options import options_of, read_options
from palikit.cli.serve_replicas import ReplicaOptions
from palikit.errors import InputError, MissingExtraError
from palikit.options import LoadOptions, ServeOptions
from palikit.published import BUILT_IN

if TYPE_CHECKING:
    from uvicorn import Server

    from palikit.predictor import Predictor
    from palikit.serving.jobs import SchedulerLike
    from palikit.serving.service import Service

_WHO = "host port served_name api_keys allowed_hosts requests_per_minute"
_BOUNDS = (
    "max_queue max_batch image_cache_mib max_connections max_request_mib max_pending_mib "
    "max_pixels max_pictures max_prompt_tokens max_output_tokens max_choices request_timeout "
    "upload_timeout drain_timeout"
)
_OUTSIDE = "allow_url_hosts label_studio_url log_prompts"


class _Serve(Command):
    """The command with sections of its own."""

    sections = (
        ("Who may ask, and where", _WHO.split()),
        ("Bounds", _BOUNDS.split()),
        ("Pictures from elsewhere, and the log", _OUTSIDE.split()),
        ("Several replicas", names_of(ReplicaOptions)),
        ("Loading the model", names_of(LoadOptions)),
    )


@click.command(
    cls=_Serve,
    epilog="""\
palikit serve
palikit serve --model google/paligemma2-3b-mix-448 --port 8080
palikit serve --model runs/cells/best --host 0.0.0.0 --api-keys keys.txt
palikit serve --model mix-448-int8/ --served-name paligemma --requests-per-minute 60""",
)
@click.option(
    "--model",
    "-m",
    envvar="PALIKIT_MODEL",
    metavar="MODEL",
    help="Folder, .safetensors or .npz file, or a name on the Hub; else PALIKIT_MODEL, else nano.",
)
@options_of(ServeOptions)
@options_of(ReplicaOptions)
@options_of(LoadOptions)
@click.pass_context
def serve(ctx: click.Context, model: str | None) -> None:
    """Answer over HTTP: OpenAI's chat completions, and typed routes for boxes and masks.

    Only this machine can ask, unless --host says otherwise. SIGTERM finishes what is being
    answered.
    """
    options, loading = read_options(ctx, ServeOptions), read_options(ctx, LoadOptions)
    if model == "":
        raise InputError("--model is empty: give a folder, a file or a name")
    try:
        import fastapi  # noqa: F401 (whether it is there)
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(str(error.name), "serve", "serve a model") from None
    replicas = read_options(ctx, ReplicaOptions)
    if replicas.ray:
        from palikit.cli.serve_replicas import run_over_ray

        run_over_ray(model or BUILT_IN, public_name(model or BUILT_IN), options, loading, replicas)
        return
    run(model or BUILT_IN, options, loading)


def run(model: str, options: ServeOptions, loading: LoadOptions) -> None:
    """Serves until a signal comes.

    Raises:
        InputError: keys or port cannot be used.
        PaliKitError: the model cannot be loaded.
    """
    from palikit.cli.asking import load_predictor
    from palikit.serving.app import create_app
    from palikit.serving.backend import Backend, backend_of
    from palikit.serving.keys import KEYS_VARIABLE, read_keys
    from palikit.serving.logs import set_up_logs
    from palikit.serving.server import address_of, bind, make_server
    from palikit.serving.service import Service

    keys = read_keys(options.api_keys, os.environ.get(KEYS_VARIABLE))
    service = Service(options, keys, os.environ.get("LABEL_STUDIO_API_KEY"))
    servers: list[Server] = []
    with bind(options) as opened:
        address = address_of(opened)

        def load() -> Backend:
            predictor = load_predictor(model, loading)
            return backend_of(predictor, scheduler_of(predictor, model, options))

        def tell() -> None:
            if service.failure is not None:
                servers[0].should_exit = True
            else:
                _say_ready(service, address)

        _say_beginning(service, model, address)
        set_up_logs()
        servers.append(make_server(create_app(service, load, on_loaded=tell), service))
        servers[0].run(sockets=[opened])
    if service.failure is not None:
        raise service.failure
    remark("stopped")


def scheduler_of(predictor: "Predictor", model: str, options: ServeOptions) -> "SchedulerLike":
    """The scheduler of a loaded model."""
    from palikit.serving.scheduler import Scheduler

    return Scheduler(
        predictor,
        name=options.served_name or public_name(model),
        max_queue=options.max_queue,
        max_batch=options.max_batch,
        image_cache_bytes=options.image_cache_mib * 2**20,
    )


def public_name(model: str) -> str:
    """What clients may know of a model's name: of a path, its last part."""
    if os.path.exists(model):  # noqa: PTH110 (a name on the Hub is no path)
        return os.path.basename(os.path.abspath(model)) or BUILT_IN  # noqa: PTH100, PTH119
    return model


def _say_beginning(service: "Service", model: str, address: str) -> None:
    from palikit.serving.gate import is_local

    remark(f"loading {model}; {address}/readyz says when it is there")
    if not service.keys and not is_local(service.options.host):
        remark(
            "warning: whoever reaches this machine over the network may ask; --api-keys FILE keeps "
            "them out"
        )


def _say_ready(service: "Service", address: str) -> None:
    backend = service.ready.scheduler
    masks = "outlines" if backend.has_masks else "no outlines (no mask codec)"
    count = len(service.keys.digests)
    keys = f"{count} API key{'' if count == 1 else 's'}" if count else "no API keys"
    remark(f"serving {backend.model} at {address} ({backend.image_size} px, {masks}, {keys})")
