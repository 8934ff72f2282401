"""API keys: read once, kept as digests, compared in constant time, never written anywhere."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

from palikit.errors import InputError

KEYS_VARIABLE = "PALIKIT_API_KEYS"
"""Environment variable of keys, separated by commas."""

MIN_LENGTH = 16
"""Characters of a key: 16 random ones cannot be guessed over a network."""


@dataclass(frozen=True)
class ApiKeys:
    """Who may ask.

    Attributes:
        digests: SHA-256 of each key, under the name that logs show.
    """

    digests: dict[str, bytes] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return bool(self.digests)

    def name_of(self, authorization: str) -> str | None:
        """The name of the key in an Authorization header, Bearer or Basic; None for no key.

        Every known digest is compared, in constant time each, so that the time taken says neither
        which key is near nor how much of it is right.
        """
        offered = hashlib.sha256(_key_in(authorization).encode("utf-8", "surrogatepass")).digest()
        found = None
        for name, digest in self.digests.items():
            if hmac.compare_digest(digest, offered):
                found = name
        return found


def read_keys(file: str | None, environment: str | None) -> ApiKeys:
    """The keys of a file and of the environment.

    Args:
        file: a line for each key: the key, or its name, a blank, and the key; # begins a remark.
        environment: keys between commas.

    Raises:
        InputError: no such file, a file without keys, a key that is short or given twice.
    """
    keys: dict[str, str] = {}
    if file is not None:
        for number, line in enumerate(_lines(file), start=1):
            words = line.partition("#")[0].split()
            if len(words) > 2:
                raise InputError(f"line {number} of {file} has more than a name and a key")
            if words:
                _add(keys, words[0] if len(words) == 2 else f"key-{number}", words[-1])
        if not keys:
            raise InputError(f"{file} holds no key: write one a line, or leave out --api-keys")
    for number, key in enumerate(_parts(environment), start=1):
        _add(keys, f"env-{number}", key)
    return ApiKeys({name: hashlib.sha256(key.encode()).digest() for name, key in keys.items()})


def _add(keys: dict[str, str], name: str, key: str) -> None:
    if len(key) < MIN_LENGTH:
        raise InputError(
            f"the API key {name} has {len(key)} characters: expected at least {MIN_LENGTH}, as "
            "`openssl rand -hex 32` makes them"
        )
    if name in keys or key in keys.values():
        raise InputError(f"the API key {name} is given twice: leave one of them out")
    keys[name] = key


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(f"the file of API keys {file} cannot be read: {reason}") from None


def _parts(environment: str | None) -> list[str]:
    return [part.strip() for part in (environment or "").split(",") if part.strip()]


def _key_in(authorization: str) -> str:
    """The key as it was sent; empty where there is none."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        pair = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return pair.partition(":")[2]
