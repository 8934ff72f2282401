"""`palikit serve --ray`: the server as several replicas."""

import os
from dataclasses import dataclass

from palikit.errors import InputError
from palikit.options import LoadOptions, ServeOptions, option


@dataclass(frozen=True)
class ReplicaOptions:
    """How many replicas answer, over Ray Serve."""

    ray: bool = option(
        default=False,
        doc="Serve by replicas of Ray Serve: in the cluster that RAY_ADDRESS names, else on this "
        "machine. Bounds are those of each replica.",
    )
    replicas: int = option(1, "Replicas at any time, each with a model, and a GPU if there is any.")
    max_replicas: int | None = option(
        None, "Replicas under load; as many as --replicas where not given."
    )
    target_requests: int = option(
        8, "Requests in hand a replica from which another one is started."
    )

    def __post_init__(self) -> None:
        if not self.ray and (self.replicas != 1 or self.max_replicas is not None):
            raise InputError("--replicas and --max-replicas are Ray's: add --ray")


def run_over_ray(
    model: str, name: str, options: ServeOptions, loading: LoadOptions, replicas: ReplicaOptions
) -> None:
    """Serves until a signal comes.

    Raises:
        PaliKitError: as of `run_replicas`.
    """
    from palikit.cli.command import remark
    from palikit.serving.keys import KEYS_VARIABLE, read_keys
    from palikit.serving.replicas import Replica, Scale, run_replicas

    keys = read_keys(options.api_keys, os.environ.get(KEYS_VARIABLE))
    most = replicas.replicas if replicas.max_replicas is None else replicas.max_replicas
    scale = Scale(replicas.replicas, most, replicas.target_requests)
    token = os.environ.get("LABEL_STUDIO_API_KEY")
    remark(f"loading {model} in {scale.least} replicas")
    count = f"{scale.least}" if scale.least == scale.most else f"{scale.least} to {scale.most}"
    served = options.served_name or name
    run_replicas(
        Replica(model, loading, options, keys, token),
        scale,
        public_name=served,
        on_ready=lambda address: remark(f"serving {served} at {address} ({count} replicas)"),
    )
    remark("stopped")
