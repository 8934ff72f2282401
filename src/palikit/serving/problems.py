"""What a request is refused with: a status, a kind for the metrics, and one sentence.

The body is OpenAI's error object on every route, so that one client code reads them all.
"""

import json
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from palikit.errors import InputError, PaliKitError
from palikit.serving.jobs import (
    DeadlineError,
    DrainingError,
    ModelFailedError,
    OverloadedError,
)

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class Problem(PaliKitError):  # noqa: N818 (the word of RFC 9457)
    """A request that gets no answer.

    Args:
        status: of HTTP.
        kind: one word for it, for clients, metrics and logs.
        message: one sentence for the client; it never holds a path or another user's text.
        param: the field of the request that is wrong.
        retry_after: seconds after which asking again makes sense.
        closes: whether the connection cannot be used any more, as the body was not read.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        closes: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.closes = closes

    def body(self) -> bytes:
        """The error object."""
        return as_json(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """OpenAI's error object."""
        kind_of = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {
            "message": self.message,
            "type": _TYPES.get(self.status, kind_of),
            "param": self.param,
            "code": self.kind,
        }
        return {"error": error}

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Of the answer, its length and type included."""
        found = [(b"content-type", b"application/json"), _length(self.body())]
        if self.retry_after is not None:
            found.append((b"retry-after", str(max(1, round(self.retry_after))).encode()))
        if self.status == 401:
            # Basic too, so that a browser asks for the key, and Label Studio can send it.
            found += [(b"www-authenticate", b"Bearer"), (b"www-authenticate", _BASIC)]
        if self.closes:
            found.append((b"connection", b"close"))
        return found


_LONGEST = 300
"""Characters of a sentence that pydantic makes, which may quote the request."""

_BASIC = b'Basic realm="palikit"'


def as_json(value: Any) -> bytes:
    """JSON; halves of surrogate pairs, which UTF-8 cannot write, become their escapes."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def refused(message: str, param: str | None = None) -> Problem:
    """A request that asks for what cannot be done."""
    return Problem(400, "invalid_value", message, param=param)


def problem_of(error: Exception) -> Problem:
    """How any error is told to the client; of one that nobody foresaw, nothing is."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError | ValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        return _of_status(error.status_code, str(error.detail))
    if isinstance(error, OverloadedError):
        return Problem(429, "overloaded", str(error), retry_after=error.retry_after)
    if isinstance(error, DrainingError):
        return Problem(503, "draining", "the server is stopping: ask again soon", retry_after=5)
    if isinstance(error, DeadlineError):
        return Problem(504, "deadline", "the answer took too long and was given up")
    if isinstance(error, InputError):
        return refused(str(error))
    kind = "model_failed" if isinstance(error, ModelFailedError) else "internal"
    return Problem(500, kind, "something went wrong here; the request id finds it in the log")


def _invalid(error: RequestValidationError | ValidationError) -> Problem:
    """The first thing that is wrong, without what was sent."""
    first = error.errors()[0]
    place = [str(each)[:64] for each in first["loc"] if each != "body"]
    if first["type"] == "extra_forbidden":
        name = place[-1]
        return Problem(400, "unknown_parameter", f"there is no parameter {name!r} here", param=name)
    if first["type"] == "json_invalid":
        return Problem(400, "invalid_json", "the body is not valid JSON")
    said = str(first["msg"]).removeprefix("Value error, ")
    said = said[:1].lower() + said[1:]
    param = ".".join(place) or None
    said = f"{param}: {said}" if param else said
    return Problem(400, "invalid_value", said[:_LONGEST], param=param)


def _of_status(status: int, detail: str) -> Problem:
    if status == 404:
        return Problem(404, "not_found", "there is no such address: see /openapi.json")
    if status == 405:
        return Problem(405, "method_not_allowed", "this address takes another method")
    return Problem(status, "invalid_json" if "body" in detail else "invalid_value", detail)


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", str(len(body)).encode()
