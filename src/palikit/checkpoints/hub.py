"""From what a user calls a model to a folder or file on this machine."""

import re
from difflib import get_close_matches
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from palikit.errors import CheckpointError, HubError
from palikit.published import PUBLISHED, find_published

_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_FILES = ["*.json", "*.safetensors", "tokenizer.model"]
_JAX_FILES = ["*.npz", "*.npz.part*", "*.json", "*.model"]
_PATH_ENDINGS = (".npz", ".safetensors", ".bin", ".pt", ".pth", ".ckpt")


def resolve(model: str, revision: str | None = None, *, _endpoint: str | None = None) -> Path:
    """The folder or file of a model; models named on the Hugging Face Hub are fetched once.

    Args:
        model: a folder, a `.npz` or `.safetensors` file, or a name such as
            `google/paligemma2-3b-mix-448`, also with a revision, `owner/name@bfloat16`.
        revision: branch, tag or commit of a model on the Hub.
        _endpoint: another server that answers as the Hub does, for tests.

    Raises:
        CheckpointError: a path that does not exist.
        HubError: no such model, no access to it, or no network and no earlier copy.
    """
    path = Path(model).expanduser()
    if path.exists():
        return path
    name, _, at = model.partition("@")
    if _looks_like_path(model):
        raise CheckpointError(f"{model}: no such file or folder")
    if not _NAME.fullmatch(name):
        raise HubError(
            f'"{model}" is neither a file or folder here nor a name of the form owner/name'
            f"{_suggestion(name)}"
        )
    return _fetch(name, revision or at or None, _endpoint)


def _looks_like_path(model: str) -> bool:
    return (
        model.startswith((".", "/", "~"))
        or model.endswith(("/", *_PATH_ENDINGS))
        or "\\" in model
        or model.partition("@")[0].count("/") > 1
    )


def _fetch(name: str, revision: str | None, endpoint: str | None) -> Path:
    patterns = _JAX_FILES if name.endswith("-jax") else _FILES
    try:
        folder = snapshot_download(
            name, revision=revision, allow_patterns=patterns, endpoint=endpoint
        )
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise _explained(name, revision, error) from None
    return Path(folder)


def _explained(name: str, revision: str | None, error: Exception) -> HubError:
    """One sentence for what went wrong; the library wraps the first cause in others."""
    page = f"https://huggingface.co/{name}"
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, GatedRepoError):
            return _gated(name, page, cause.response.status_code)
        if isinstance(cause, RevisionNotFoundError):
            return HubError(f'{page} has no revision "{revision}"; look for its branches there')
        if isinstance(cause, RepositoryNotFoundError):
            return HubError(
                f"there is no model {page}, or it is private and needs a login "
                f"(hf auth login, or the variable HF_TOKEN){_suggestion(name)}"
            )
        if isinstance(cause, HfHubHTTPError) and cause.response.status_code in (401, 403):
            return _gated(name, page, cause.response.status_code)
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in causes):
        return HubError(f"{name} was never fetched to this machine, and HF_HUB_OFFLINE is set")
    reason = str(causes[-1]).strip().partition("\n")[0]
    return HubError(
        f"{name} could not be fetched and no whole copy of it is on this machine ({reason}): "
        "check the network, or give a folder"
    )


def _gated(name: str, page: str, status: int) -> HubError:
    if status == 403:
        return HubError(
            f"{name} is gated and the account of your token has no access yet (403): accept the "
            f"licence on {page} with that account, or log in with another one (hf auth login, or "
            "the variable HF_TOKEN)"
        )
    return HubError(
        f"{name} is gated or private and you sent no token, or one that is not valid (401): accept "
        f"the licence on {page} and log in with hf auth login, or set the variable HF_TOKEN"
    )


def _causes(error: BaseException) -> list[BaseException]:
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) and cause not in causes:
        causes.append(cause)
    return causes


def _suggestion(name: str) -> str:
    if published := find_published(name):
        return f"; did you mean {published.name}?" if published.name != name else ""
    known = [checkpoint.name for checkpoint in PUBLISHED]
    close = get_close_matches(name, known, n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""
