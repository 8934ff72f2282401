"""The log: a JSON object a line, without prompts, answers, keys, paths or tracebacks.

JSON escapes every control character, so that no text of a client can begin a line of its own.
"""

import json
import logging
import sys
import traceback
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("palikit.serving")


@dataclass
class Line:
    """What the log says of a request; None is left out.

    Attributes:
        request: its id.
        method, route: as the server knows them, never as they were typed.
        key: name of the API key.
        kind: of the problem it ended with.
        ms: milliseconds from its first byte to its answer's last.
        prompt, text: only where the operator asked for them.
    """

    request: str
    method: str
    route: str = "unmatched"
    status: int = 0
    ms: float = 0.0
    key: str | None = None
    kind: str | None = None
    bytes_in: int = 0
    pictures: int | None = None
    task: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: str | None = None
    prompt: str | None = None
    text: str | None = None


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; of an exception its class and where it was, not what it said.

    What an exception says may hold a user's prompt or the path of a file.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, Any] = {"time": at, "level": record.levelname.lower()}
        line = getattr(record, "line", None)
        if isinstance(line, Line):
            fields |= {name: value for name, value in asdict(line).items() if value is not None}
        else:
            # What follows the first line is the insides of asyncio's objects, with paths.
            fields["message"] = record.getMessage().partition("\n")[0]
        if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
            fields |= _whereabouts(record.exc_info[1])
        return json.dumps(fields)


def log_request(line: Line) -> None:
    """One line for a request that has ended."""
    LOGGER.log(logging.INFO if line.status < 500 else logging.ERROR, "", extra={"line": line})


def log_fault(request_id: str, error: BaseException) -> None:
    """An error that nobody foresaw."""
    LOGGER.error("request %s failed", request_id, exc_info=error)


def set_up_logs() -> None:
    """Sends the server's log, and uvicorn's, to standard error; called by the program alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name, level in (
        ("palikit.serving", logging.INFO),
        ("uvicorn", logging.WARNING),
        ("asyncio", logging.ERROR),
    ):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False


def _whereabouts(error: BaseException) -> dict[str, Any]:
    """The class of an error, and functions and lines from the outermost call inwards."""
    frames = [
        f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return {"error": type(error).__name__, "where": frames[-8:]}
