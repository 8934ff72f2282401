"""From what a user calls a model to a folder or file on this machine.

The Hub's library is imported only where a name is looked up there: it takes as long to import as a
small model to load.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from palikit.checkpoints.layout import MASK_CODEC_NAMES, OnlyAnAdapterError, find_files
from palikit.errors import CheckpointError, HubError, InputError, PaliKitError
from palikit.published import BUILT_IN, BUILT_IN_FOLDER, PUBLISHED, find_published

_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_FILES = ["*.json", "*.safetensors", "tokenizer.model", *MASK_CODEC_NAMES]
_JAX_FILES = ["*.npz", "*.npz.part*", "*.json", "*.model"]
_PATH_ENDINGS = (".npz", ".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class HubName:
    """A model on the Hugging Face Hub.

    Attributes:
        name: owner/name.
        revision: branch, tag or commit; None is the main branch.
    """

    name: str
    revision: str | None


def resolve(model: str, revision: str | None = None, *, _endpoint: str | None = None) -> Path:
    """The folder or file of a model; models named on the Hugging Face Hub are fetched once.

    Args:
        model: a folder, a `.npz` or `.safetensors` file, "nano" for the built-in model, or a name
            such as `google/paligemma2-3b-mix-448`, also with a revision, `owner/name@bfloat16`.
        revision: branch, tag or commit of a model on the Hub.
        _endpoint: another server that answers as the Hub does, for tests.

    Raises:
        CheckpointError: a path that does not exist.
        HubError: no such model, no access to it, or no network and no earlier copy.
        InputError: a revision of a path, or two that differ.
    """
    place = locate(model, revision)
    if isinstance(place, Path):
        return place
    with explaining(place):
        return _snapshot(place, _endpoint)


def locate(model: str, revision: str | None) -> Path | HubName:
    """Where a model is, a path or a name; nothing is fetched.

    The built-in model comes first, then a path that exists.

    Raises:
        CheckpointError: a path that does not exist.
        HubError: neither a path nor a name.
        InputError: a revision of a path, or two that differ.
    """
    path = _built_in() if model == BUILT_IN else _existing_path(model)
    if path is not None:
        if revision:
            where = "is in the package" if model == BUILT_IN else "is a file or folder here"
            raise InputError(
                f'{_shown(model)} {where} and has no revision "{revision}": leave the revision '
                "out, or give the name of a model on the Hub"
            )
        return path
    name, _, at = model.partition("@")
    if _looks_like_path(model):
        raise CheckpointError(
            f"{_shown(model)}: no such file or folder; give one of a model, or a name that "
            "`palikit models` lists"
        )
    if not _NAME.fullmatch(name):
        raise HubError(
            f'"{_shown(model)}" is neither a file or folder here nor a name of the form owner/name'
            f"{_suggestion(name) or '; `palikit models` lists the names of models'}"
        )
    if revision and at and revision != at:
        raise InputError(
            f'the name asks for revision "{at}" and the option for "{revision}": give one'
        )
    return HubName(name, revision or at or None)


def fetched_folder(model: HubName, endpoint: str | None) -> Path | None:
    """The copy on this machine, if its weights are all there; nothing is fetched."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = _snapshot(model, endpoint, local_files_only=True)
        files = find_files(folder)
    except OnlyAnAdapterError:
        return folder
    except (LocalEntryNotFoundError, CheckpointError):
        return None
    is_whole = files.format == "npz" or (folder / "config.json").is_file()
    return folder if is_whole and not files.missing else None


@contextmanager
def explaining(model: HubName) -> Iterator[None]:
    """Turn whatever the Hub's library raises into one sentence.

    Raises:
        HubError: in place of any other error.
    """
    try:
        yield
    except PaliKitError:
        raise
    # A connection that breaks raises an error of the HTTP library, which differs between versions
    # of huggingface_hub (requests, httpx, httpx2) and shares no base class but this.
    except Exception as error:
        raise _explained(model.name, model.revision, error) from None


def _built_in() -> Path:
    if not (BUILT_IN_FOLDER / "config.json").is_file():
        raise CheckpointError(
            f"the weights of {BUILT_IN}, the built-in model, are not in this installation: install "
            "the package again, or name another model with --model"
        )
    return BUILT_IN_FOLDER


def _existing_path(model: str) -> Path | None:
    try:
        path = Path(model).expanduser()
        return path if model and path.exists() else None
    except OSError as error:
        raise CheckpointError(f"{_shown(model)}: {error.strerror}; give a folder or file") from None
    except RuntimeError:
        raise CheckpointError(
            f"{_shown(model)}: there is no such user, so no such file or folder"
        ) from None


def _shown(model: str) -> str:
    return model if len(model) <= _SHOWN_CHARACTERS else f"{model[:_SHOWN_CHARACTERS]}..."


def _looks_like_path(model: str) -> bool:
    return (
        model.startswith((".", "/", "~"))
        or model.endswith(("/", *_PATH_ENDINGS))
        or "\\" in model
        or model.partition("@")[0].count("/") > 1
    )


def _snapshot(model: HubName, endpoint: str | None, *, local_files_only: bool = False) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            model.name,
            revision=model.revision,
            allow_patterns=_JAX_FILES if model.name.endswith("-jax") else _FILES,
            endpoint=endpoint,
            local_files_only=local_files_only,
        )
    )


def _explained(name: str, revision: str | None, error: Exception) -> HubError:
    """One sentence for what went wrong; the library wraps the first cause in others."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

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
        return HubError(
            f"{name} was never fetched to this machine, and HF_HUB_OFFLINE is set: fetch it "
            f"without that variable, or give a folder{_suggestion(name)}"
        )
    reason = str(causes[-1]).strip().partition("\n")[0] or type(causes[-1]).__name__
    return HubError(
        f"{name} could not be fetched and no whole copy of it is on this machine ({reason}): "
        f"check the network, or give a folder{_suggestion(name)}"
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
    """The nearest name that there is, with or without its owner, where it is another one."""
    known = {checkpoint.name.rpartition("/")[2]: checkpoint.name for checkpoint in PUBLISHED}
    known |= {checkpoint.name: checkpoint.name for checkpoint in PUBLISHED} | {BUILT_IN: BUILT_IN}
    if published := find_published(name):
        nearest = [published.name]
    else:
        nearest = get_close_matches(name.casefold(), known, n=1, cutoff=0.8)
    found = known[nearest[0]] if nearest else name
    return f"; did you mean {found}?" if found != name else ""
