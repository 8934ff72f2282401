"""What a request is refused with: a status, a kind for the metrics, and one sentence.

The body is OpenAI's error object on every route, so that one client code reads them all.
"""

import json
from dataclasses import fields
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from palikit.errors import InputError, PaliKitError
from palikit.options import GenerationOptions
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

_KINDS = (
    ("string_", "a text"),
    ("int_", "a whole number"),
    ("float_", "a number"),
    ("finite_number", "a number"),
    ("bool_", "true or false"),
    ("list_", "a list"),
    ("dict_", "an object"),
    ("model_", "an object"),
    ("union_tag_not_found", "an object with a type"),
)
"""Beginnings of pydantic's types of errors, and what was expected instead."""

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
    if isinstance(error, RequestValidationError):
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
        return refused(str(error), _field_of(str(error)))
    kind = "model_failed" if isinstance(error, ModelFailedError) else "internal"
    return Problem(500, kind, "something went wrong here; the request id finds it in the log")


def _field_of(sentence: str) -> str | None:
    """The option that an error begins with, where it does: "temperature is ..."."""
    word, _, rest = sentence.partition(" ")
    is_option = any(word == each.name for each in fields(GenerationOptions))
    return word if is_option and rest.startswith("is ") else None


def _invalid(error: RequestValidationError) -> Problem:
    """One thing that is wrong, without what was sent."""
    if isinstance(error.body, bytes):  # FastAPI reads JSON only where it is called so
        return Problem(415, "media_type", "the body must be application/json: say so as its type")
    # Where a field may be of several kinds, pydantic tells all of them; what was meant is the kind
    # in which it came furthest.
    errors = error.errors()
    worst = max(errors, key=lambda each: len(each["loc"]))
    if worst["type"] == "json_invalid":
        return Problem(400, "invalid_json", "the body is not valid JSON")
    place = _place(worst, error.body)
    if worst["type"] == "extra_forbidden":
        name = place[-1]
        return Problem(400, "unknown_parameter", f"there is no parameter {name!r} here", param=name)
    param = ".".join(place) or None
    same = (each for each in errors if _place(each, error.body) == place)
    wanted = list(dict.fromkeys(filter(None, map(_expected, same))))
    said = f"{param or 'the body'} must be {' or '.join(wanted)}"
    if worst["type"] == "missing":
        said = f"{param or 'the body'} is missing"
    elif not wanted:
        own = str(worst["msg"]).removeprefix("Value error, ")
        said = f"{param}: {own[:1].lower()}{own[1:]}"
    return Problem(400, "invalid_value", said[:_LONGEST], param=param)


def _place(error: Any, body: Any) -> list[str]:
    """Names and indices from the body to what is wrong, without pydantic's own names of kinds."""
    place: list[str] = []
    path, inner = error["loc"][1:], body
    for number, each in enumerate(path):
        is_tag = isinstance(inner, dict) and number > 0 and type(path[number - 1]) is int
        if is_tag and inner.get("type") == each:
            continue
        is_index = isinstance(inner, list) and type(each) is int
        is_there = is_index or (isinstance(inner, dict) and each in inner)
        inner = inner[each] if is_there else inner
        if is_there or (number == len(path) - 1 and error["type"] == "missing"):
            place.append(str(each)[:64])
    return place


def _expected(error: Any) -> str | None:
    """What should have been there; None for an error that has words of its own."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return str(context["expected"])
    if kind == "union_tag_invalid":
        return f"an object whose type is {context['expected_tags'].replace(', ', ' or ')}"
    if kind == "too_short":
        return f"a list of {context['min_length']} or more"
    if kind == "too_long":
        return f"a list of at most {context['max_length']}"
    if kind == "string_too_long":
        return f"a text of at most {context['max_length']:,} characters"
    return next((said for start, said in _KINDS if kind.startswith(start)), None)


def _of_status(status: int, detail: str) -> Problem:
    if status == 404:
        return Problem(404, "not_found", "there is no such address: see /openapi.json")
    if status == 405:
        return Problem(405, "method_not_allowed", "this address takes another method")
    return Problem(status, "invalid_json" if "body" in detail else "invalid_value", detail)


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", str(len(body)).encode()
