"""The same app as a deployment of Ray Serve: one address, several replicas, each with a model.

    client -> Ray's proxy -> one of the replicas: gate, routes, scheduler, model

Every bound of the server holds for each replica by itself: its queue, its memory, its rate limit.
Which replica answered is in the header `X-Replica`.
"""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from palikit.errors import InputError, PaliKitError
from palikit.options import LoadOptions, ServeOptions

if TYPE_CHECKING:
    from fastapi import FastAPI

    from palikit.serving.keys import ApiKeys

NAME = "palikit"
"""Of the application in the cluster."""

_PROXY_SLACK = 10.0
"""Seconds that Ray's proxy waits longer than the app, which says itself what took too long."""


@dataclass(frozen=True)
class Scale:
    """How many replicas there are.

    Attributes:
        least: replicas at any time, 1 or more.
        most: replicas under load; as many as `least` for a fixed number.
        target: requests in hand a replica from which another one is started.
    """

    least: int = 1
    most: int = 1
    target: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise InputError(
                f"max_replicas is {self.most}: it must be at least the number of replicas, "
                f"{self.least}, which is 1 or more"
            )
        if self.target < 1:
            raise InputError(f"target_requests is {self.target}: it must be 1 or more")


@dataclass(frozen=True)
class Replica:
    """What every replica is made of.

    Attributes:
        model: name of the model, which every machine must be able to load.
        loading: how.
        options: bounds, of each replica.
        keys: who may ask; digests only.
        label_studio_token: see `Service`.
    """

    model: str
    loading: LoadOptions
    options: ServeOptions
    keys: "ApiKeys"
    label_studio_token: str | None = None


def run_replicas(
    replica: Replica, scale: Scale, *, public_name: str, on_ready: Callable[[str], None]
) -> None:
    """Serves until SIGINT or SIGTERM comes, then finishes what is being answered.

    Args:
        replica: see there.
        scale: see there.
        public_name: what clients call the model.
        on_ready: told the address when the first replicas answer.

    Raises:
        InputError: the cluster has too few processors or GPUs.
        MissingExtraError: Ray is not installed.
        PaliKitError: the replicas could not be started.
    """
    from palikit.batch.ray_data import gpus_of_each, started

    ray = started()
    from ray import serve

    found = ray.cluster_resources()
    num_gpus = gpus_of_each(replica.loading.device, found.get("GPU", 0), scale.most)
    if found.get("CPU", 0) < scale.least:
        raise InputError(
            f"{scale.least} replicas need a processor each and the cluster has "
            f"{found.get('CPU', 0):g}: give fewer --replicas"
        )
    options = replica.options
    serve.start(
        http_options={
            "host": options.host,
            "port": options.port,
            "request_timeout_s": options.request_timeout + options.upload_timeout + _PROXY_SLACK,
        }
    )
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    try:
        try:
            serve.run(deployment_of(replica, scale, public_name, num_gpus), name=NAME)
        except RuntimeError as error:
            raise PaliKitError(
                f"the replicas could not be started ({error}): see Ray's logs"
            ) from None
        on_ready(f"http://{options.host}:{options.port}")
        stop.wait()
    finally:
        _leave()


def _leave() -> None:
    """Take the application off, and Ray Serve with it unless others run on the cluster."""
    from ray import serve

    serve.delete(NAME)
    if not serve.status().applications:
        serve.shutdown()


def deployment_of(replica: Replica, scale: Scale, public_name: str, num_gpus: float) -> Any:
    """The application for `serve.run`."""
    from ray import serve

    def build() -> "FastAPI":  # called in each replica, which is ready when it returns
        return replica_app(replica, public_name)

    options, counts = replica.options, scale
    in_hand = options.max_queue + options.max_batch  # beyond, the app itself says 429
    number: dict[str, Any] = {"num_replicas": counts.least}
    if counts.most > counts.least:
        number = {
            "autoscaling_config": {
                "min_replicas": counts.least,
                "max_replicas": counts.most,
                "target_ongoing_requests": counts.target,
            }
        }
    deployment = serve.deployment(
        name=NAME,
        max_ongoing_requests=2 * in_hand,
        graceful_shutdown_timeout_s=options.drain_timeout,
        ray_actor_options={"num_cpus": 1, "num_gpus": num_gpus},
        **number,
    )
    return deployment(serve.ingress(build)()).bind()


def replica_app(replica: Replica, public_name: str) -> "FastAPI":
    """The app of one replica, its model loaded."""
    from ray import serve

    from palikit.loading import load_with
    from palikit.serving.app import create_app
    from palikit.serving.backend import backend_of
    from palikit.serving.logs import set_up_logs
    from palikit.serving.scheduler import Scheduler
    from palikit.serving.service import Service

    set_up_logs()
    options = replica.options
    service = Service(options, replica.keys, replica.label_studio_token)
    predictor = load_with(replica.model, replica.loading)
    service.backend = backend_of(predictor, Scheduler.bounded(predictor, public_name, options))
    app = create_app(service)
    app.add_middleware(Named, name=serve.get_replica_context().replica_id.unique_id)
    return app


class Named:
    """ASGI middleware that says in every answer which replica gave it."""

    def __init__(self, app: Any, name: str) -> None:
        self._app = app
        self._header = (b"x-replica", name.encode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""

        async def told(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), self._header]
            await send(message)

        await self._app(scope, receive, told)
