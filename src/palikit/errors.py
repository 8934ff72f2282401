"""What can go wrong, as one small tree.

PaliKitError
├── InputError          a picture, prompt or option that cannot be used
├── ConfigError         a model configuration that is not PaliGemma's or contradicts itself
├── CheckpointError     weights or tokenizer files that are missing, damaged or of another model
│   └── HubError        a model that could not be fetched by name
└── MissingExtraError   an optional dependency that is not installed

Every message says what was got, what was expected and what to do next, in one sentence or two.
"""


class PaliKitError(Exception):
    """Base of all errors that PaliKit raises on purpose."""


class InputError(PaliKitError):
    """A picture, prompt or option that cannot be used."""


class ConfigError(PaliKitError):
    """A configuration that is not PaliGemma's or contradicts itself."""


class CheckpointError(PaliKitError):
    """Weights or tokenizer files that are missing, damaged or of another model."""


class HubError(CheckpointError):
    """A model that could not be fetched by name: no access, no network, no such name."""


class MissingExtraError(PaliKitError):
    """An optional dependency that is not installed.

    Args:
        package: the import that failed.
        extra: the extra of PaliKit that brings it.
        purpose: what it is needed for, completing "... is needed to ...".
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{package} is needed to {purpose} and is not installed: "
            f"run pip install 'palikit[{extra}]'"
        )


def counted(number: int, what: str) -> str:
    """A number of things in words: 1 row, 2 rows."""
    return f"{number} {what}{'' if number == 1 else 's'}"
