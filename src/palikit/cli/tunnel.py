"""`--share`: the page over the internet, behind a key."""

import os
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from palikit.cli.command import remark
from palikit.errors import InputError
from palikit.options import ServeOptions

if TYPE_CHECKING:
    from palikit.serving.keys import ApiKeys


def open_tunnel(
    port: int, options: ServeOptions, keys: "ApiKeys"
) -> tuple[str, ServeOptions, "ApiKeys"]:
    """Opens a tunnel from gradio.live to a port of this machine.

    Args:
        port: of the server.
        options: of the server.
        keys: who may ask; where there are none one is drawn and told, for what is on the internet
            is found.

    Returns:
        The page's address there without its last slash, the options with that name among those
        the server answers to, and the keys.

    Raises:
        InputError: there is no way to the internet.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = (
        "False"  # read when Gradio is imported: nothing is sent
    )
    from gradio.networking import setup_tunnel

    from palikit.serving.keys import read_keys

    try:
        found: str = setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
    except Exception:
        raise InputError(
            "no tunnel can be opened for --share: it needs the internet; leave --share out, or let "
            "others in with --host"
        ) from None
    if not keys:
        key = secrets.token_urlsafe(24)
        remark(f"the page asks for a password, with any name: {key}")
        keys = read_keys(None, key)
    names = filter(None, [options.allowed_hosts, urlsplit(found).hostname])
    return found.rstrip("/"), replace(options, allowed_hosts=",".join(names)), keys
