"""A folder with a model or an adapter, put on the Hugging Face Hub with its card."""

import re
from pathlib import Path

from palikit.errors import HubError, InputError
from palikit.model_card import ModelCard, card_text

CARD_NAME = "README.md"

_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")

_PUBLISHED = (
    "*.json",
    "model*.safetensors",
    "adapter_model.safetensors",
    "tokenizer.model",
    "mask_codec.*",
    "vae-oid.npz",
    CARD_NAME,
)
"""What of a folder is put on the Hub: no states of optimisers, no metrics, no pictures of users."""


def write_card(folder: Path, card: ModelCard) -> Path:
    """Write a folder's README.md, replacing one that is there.

    Returns:
        The file.
    """
    file = folder / CARD_NAME
    file.write_text(card_text(card), encoding="utf-8")
    return file


def publish(
    folder: Path,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool = True,
    _endpoint: str | None = None,
) -> str:
    """Put a saved model or adapter on the Hub, as one commit.

    Args:
        folder: of `save_checkpoint` or `save_adapter`, with its card from `write_card`.
        repo_id: owner/name; made where it does not exist.
        token: None takes that of `hf auth login` or of the variable HF_TOKEN.
        private: whether a new repository is private; one that exists stays as it is.
        _endpoint: another server that answers as the Hub does, for tests.

    Returns:
        The address of the model's page.

    Raises:
        InputError: the folder holds neither model nor adapter, or has no card, or the name is
            none.
        HubError: no access, or no network.
    """
    check_publishable(folder, repo_id)
    from huggingface_hub import HfApi

    api = HfApi(endpoint=_endpoint, token=token)
    try:
        page = api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=list(_PUBLISHED),
            commit_message="Add the model and its card",
        )
    # Errors of the HTTP library differ between versions of huggingface_hub and share no base class.
    except Exception as error:
        raise _explained(folder, repo_id, error) from None
    return str(page)


def check_access(repo_id: str, *, token: str | None = None, _endpoint: str | None = None) -> None:
    """Ask the Hub who is logged in, before the work that is to be pushed begins.

    Whether the account may write to this very repository shows when it is pushed.

    Args:
        repo_id: owner/name.
        token: as of `publish`.
        _endpoint: as of `publish`.

    Raises:
        HubError: nobody is logged in, with a token that only reads, or there is no network.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import LocalTokenNotFoundError

    try:
        account = HfApi(endpoint=_endpoint, token=token).whoami()
    except LocalTokenNotFoundError:
        raise HubError(
            f"{repo_id} could not be pushed, for nobody is logged in: hf auth login, or set the "
            "variable HF_TOKEN, or leave the push to later"
        ) from None
    except Exception as error:  # as in `publish`
        status = getattr(getattr(error, "response", None), "status_code", None)
        what = "the token is not valid (401)" if status == 401 else _reason(error)
        raise HubError(
            f"{repo_id} could not be pushed ({what}): log in with hf auth login and check the "
            "network, or leave the push to later"
        ) from None
    if account.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise HubError(
            f"{repo_id} could not be pushed, for the token of {account.get('name')} only reads: "
            "log in with one that writes (hf auth login)"
        )


def check_name(repo_id: str) -> None:
    """Refuse what the Hub would not take as a name.

    Raises:
        InputError: it is none.
    """
    if not _NAME.fullmatch(repo_id):
        raise InputError(f"{repo_id!r} is no name of a model on the Hub: give owner/name")


def check_publishable(folder: Path, repo_id: str) -> None:
    """Say before the network is asked what cannot be published.

    Raises:
        InputError: as `publish`.
    """
    from palikit.adapters import is_adapter
    from palikit.checkpoints.layout import is_weight_file

    check_name(repo_id)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give one with a saved model or adapter")
    names = [file.name for file in folder.iterdir()]
    if not (is_adapter(folder) or any(map(is_weight_file, names))):
        raise InputError(f"{folder} holds neither a model nor an adapter: there is nothing to push")
    if CARD_NAME not in names:
        raise InputError(f"{folder} has no {CARD_NAME}: write its card first")


def _explained(folder: Path, repo_id: str, error: Exception) -> HubError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return HubError(
            f"{repo_id} was not pushed, for no valid token was sent (401): log in with hf auth "
            f"login, or set the variable HF_TOKEN; the model is in {folder}"
        )
    if status in (403, 404):
        return HubError(
            f"{repo_id} was not pushed, for the token has no right to ({status}): take one that "
            f"may write there, or another owner; the model is in {folder}"
        )
    return HubError(
        f"{repo_id} could not be pushed ({_reason(error)}): check the network and push it "
        f"again; the model is in {folder}"
    )


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
