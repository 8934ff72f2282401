"""`palikit serve`: a model behind an HTTP server."""

import click

from palikit.cli.command import Command, model_name, names_of
from palikit.cli.options import options_of, read_options
from palikit.cli.serve_replicas import ReplicaOptions
from palikit.cli.server_start import (
    PageOptions,
    model_option,
    public_name,
    require_packages,
    run_server,
)
from palikit.errors import InputError
from palikit.options import LoadOptions, ServeOptions

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
@model_option
@click.option("--ui", is_flag=True, help="The page of `palikit ui` too, under /ui/.")
@options_of(ServeOptions)
@options_of(ReplicaOptions)
@options_of(LoadOptions)
@click.pass_context
def serve(ctx: click.Context, model: str | None, *, ui: bool) -> None:
    """Answer over HTTP: OpenAI's chat completions, and typed routes for boxes and masks.

    Only this machine can ask, unless --host says otherwise. SIGTERM finishes what is being
    answered.
    """
    options, loading = read_options(ctx, ServeOptions), read_options(ctx, LoadOptions)
    replicas, name = read_options(ctx, ReplicaOptions), model_name(model)
    if not replicas.ray:
        run_server(name, options, loading, PageOptions() if ui else None)
        return
    if ui:
        raise InputError(
            "--ui and --ray do not go together: a page talks to one process, and replicas are "
            "several; start palikit ui beside them, on another --port"
        )
    from palikit.cli.serve_replicas import run_over_ray

    require_packages(page=False)
    run_over_ray(name, public_name(name), options, loading, replicas)
